"""How fast a bulk transfer goes: bytes a second that must not be passed, and how many requests run at once."""

import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]

_BURST_SECONDS = 0.1


class Pace:
    """A token bucket for all threads of a run: whoever moves bytes waits as long as it says."""

    def __init__(self, bytes_per_second: int, *, now: Clock = time.monotonic) -> None:
        self._rate = bytes_per_second
        self._now = now
        self._free_at = 0.0  # when what was promised so far has flowed
        self._lock = threading.Lock()

    def delay(self, count: int) -> float:
        """Take `count` bytes and return the seconds to wait before moving on."""
        with self._lock:
            now = self._now()
            self._free_at = max(self._free_at, now - _BURST_SECONDS) + count / self._rate
            return max(0.0, self._free_at - now)


class Level:
    """How many transfers run at once; finds the number by itself where none is asked for.

    While the threads mostly wait and more is there to be done, the number doubles; it stays where a doubling brings
    less than a tenth, and goes back where it brings nothing. A busy thread gains nothing by more, so on a loopback
    the number stays small; at 10 ms a request it reaches `MAX` in a fifth of a second. SlowDown halves it, stops
    all for a moment, and from then on it grows one by one.
    """

    START, MAX = 8, 128
    _WINDOW_SECONDS = 0.05
    _LONGEST_WINDOW_SECONDS = 3.0
    _OBJECT_COST = 64 << 10  # bytes that an object counts beside its own
    _IDLE_SHARE = 0.25
    _SETTLED_SECONDS = 5.0  # then it tries again: networks change

    def __init__(self, fixed: int = 0, *, now: Clock = time.monotonic) -> None:
        self.limit = fixed or self.START
        self._fixed = fixed
        self._now = now
        self._lock = threading.Lock()
        self._began = now()
        self._done = 0
        self._moved = 0
        self._idle_seconds = 0.0
        self._best = 0.0  # throughput before the last doubling
        self._tried = False  # the last window was the first after a doubling
        self._settled_until = 0.0
        self._careful = False  # the store has asked us to slow down
        self._slowed_at = 0.0
        self.paused_until = 0.0

    def note_done(self, count: int) -> None:
        """Hear that a transfer, or a part of one, of `count` bytes has ended well."""
        self._done += 1
        self._moved += count + self._OBJECT_COST

    def note_idle(self, seconds: float) -> None:
        """Hear that the first lane waited for its sockets so long, with all places taken."""
        self._idle_seconds += seconds

    def slow_down(self) -> None:
        """Halve the number, at most once a second: many requests hear of the same trouble."""
        with self._lock:
            now = self._now()
            if now - self._slowed_at < 1.0:
                return
            self._slowed_at, self._careful = now, True
            self.paused_until = now + 0.2
            if not self._fixed:
                self.limit = max(1, self.limit // 2)
            self._begin_window(now)

    def adjust(self) -> None:
        """Look at the last window, if it is over, and choose the number for the next."""
        now = self._now()
        seconds = now - self._began
        if self._fixed or seconds < self._WINDOW_SECONDS:
            return
        if self._done < 2 * self.limit and seconds < self._LONGEST_WINDOW_SECONDS:
            return
        with self._lock:
            throughput, idle = self._moved / seconds, self._idle_seconds / seconds
            self._choose(now, throughput, idle)
            self._begin_window(now)

    def _choose(self, now: float, throughput: float, idle: float) -> None:
        if self._careful:
            self.limit = min(self.MAX, self.limit + 1)
        elif now < self._settled_until or idle < self._IDLE_SHARE:
            return
        elif self._tried and throughput <= self._best * 1.1:
            if throughput < self._best * 1.02:
                self.limit = max(self.START, self.limit // 2)
            self._tried, self._settled_until = False, now + self._SETTLED_SECONDS
        elif self.limit < self.MAX:
            self._best, self._tried = throughput, True
            self.limit = min(self.MAX, self.limit * 2)

    def is_paused(self) -> bool:
        """Tell whether nothing new may begin: a store has just asked for it."""
        return bool(self._slowed_at) and self._now() < self.paused_until

    def _begin_window(self, now: float) -> None:
        self._began, self._done, self._moved, self._idle_seconds = now, 0, 0, 0.0
