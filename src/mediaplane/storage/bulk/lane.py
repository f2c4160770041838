"""One thread that drives many transfers: each is made of steps that wait, and runs on when its socket is ready.

Threads that block cost as much at four requests at once and twice as much at a hundred (they hand Python's one lock
to each other); so few lanes with many transfers each. The first lane takes everything. The others take only heavy
pieces, whose cost is in hashing and in the kernel, where Python's lock is not held.
"""

import heapq
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from mediaplane.storage.connection import Address, Connection, Steps

SCRATCH_BYTES = 256 << 10
_LONGEST_WAIT = 0.5  # seconds; deadlines are looked at as often

Task = Callable[["Lane"], Steps[None]]


class Source(Protocol):
    """Where lanes get their tasks, and who hears how busy they are."""

    def take(self, lane: "Lane") -> Task | None: ...
    def is_over(self) -> bool: ...
    def note_idle(self, lane: "Lane", seconds: float) -> None: ...
    def fail(self, error: BaseException) -> None: ...


class Lane:
    """A thread, its connections, and the transfers on them."""

    def __init__(self, source: Source, *, takes_small: bool) -> None:
        self.takes_small = takes_small
        self.active = 0
        self.hungry = True  # it waits and would take more
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))  # what is received into, and used before the next wait
        self._source = source
        self._poll = _Poll()
        self._watched: dict[int, tuple[Connection, int]] = {}
        self._waiting: dict[int, Steps[None]] = {}
        self._timers: list[tuple[float, int, Steps[None]]] = []
        self._ready: deque[Steps[None]] = deque()
        self._idle: dict[Address, list[Connection]] = {}
        self._order = itertools.count()
        self._stopped = False
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._rope, False)
        self._poll.watch(self._bell, select.POLLIN)
        self.thread = threading.Thread(target=self._run, name="mediaplane-lane", daemon=True)

    def take(self, address: Address) -> Connection | None:
        """Return a kept connection to the address, or None."""
        kept = self._idle.get(address)
        return kept.pop() if kept else None

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.setdefault(connection.address, []).append(connection)

    def wake(self) -> None:
        """Let the lane look for tasks at once; may be called from any thread."""
        try:
            os.write(self._rope, b"!")
        except (BlockingIOError, OSError):
            return  # it has been rung, or has ended

    def stop(self) -> None:
        """End all transfers where they stand: what they hold they put away themselves."""
        self._stopped = True
        self.wake()

    def _run(self) -> None:
        try:
            self._drive()
        except BaseException as error:  # noqa: BLE001 raised again by the thread that called `run`
            self._source.fail(error)
        finally:
            self._close()

    def _drive(self) -> None:
        looked_at = time.monotonic()
        while not self._stopped:
            while (task := self._source.take(self)) is not None:
                self.active += 1
                self._resume(task(self))
            if not self.active and self._source.is_over():
                return
            self._wait()
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._resume(heapq.heappop(self._timers)[2])
            for _ in range(len(self._ready)):
                self._resume(self._ready.popleft())
            if time.monotonic() - looked_at > _LONGEST_WAIT:
                looked_at = time.monotonic()
                self._resume_late(looked_at)

    def _wait(self) -> None:
        seconds = 0.0 if self._ready else _LONGEST_WAIT
        if self._timers:
            seconds = min(seconds, max(0.0, self._timers[0][0] - time.monotonic()))
        began = time.monotonic()
        self.hungry = True
        ready = self._poll.wait(seconds)
        self.hungry = False
        self._source.note_idle(self, time.monotonic() - began)
        for descriptor, _ in ready:
            if (steps := self._waiting.pop(descriptor, None)) is not None:
                self._resume(steps)
            elif descriptor == self._bell:
                os.read(self._bell, 4096)
            else:
                self._forget(descriptor)

    def _resume(self, steps: Steps[None]) -> None:
        try:
            waits = next(steps)
        except StopIteration:
            self.active -= 1
            return
        if isinstance(waits, Connection):
            self._watch(waits)
            self._waiting[waits.descriptor] = steps
        elif waits is None:
            self._ready.append(steps)
        else:
            heapq.heappush(self._timers, (time.monotonic() + waits, next(self._order), steps))

    def _watch(self, connection: Connection) -> None:
        watched = self._watched.get(connection.descriptor)
        if watched is None or watched[0] is not connection or watched[1] != connection.wants:
            self._poll.watch(connection.descriptor, connection.wants)
            self._watched[connection.descriptor] = (connection, connection.wants)

    def _forget(self, descriptor: int) -> None:
        """Drop a kept connection that something came on: the other side has closed it."""
        watched = self._watched.pop(descriptor, None)
        if watched is None or watched[0].descriptor != descriptor:
            self._poll.forget(descriptor)
            return
        connection = watched[0]
        kept = self._idle.get(connection.address, [])
        if connection in kept:
            kept.remove(connection)
            connection.close()
        else:
            self._poll.forget(descriptor)  # its steps sleep: they are told when they read

    def _resume_late(self, now: float) -> None:
        for descriptor in list(self._waiting):
            if self._watched[descriptor][0].deadline < now:
                self._resume(self._waiting.pop(descriptor))

    def _close(self) -> None:
        for steps in [*self._waiting.values(), *(timer[2] for timer in self._timers), *self._ready]:
            steps.close()
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._poll.close()
        os.close(self._bell)
        os.close(self._rope)


class _Poll:
    """epoll where there is one, else poll."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._poll = None if self._epoll else select.poll()

    def watch(self, descriptor: int, wants: int) -> None:
        """Watch a descriptor, or watch it for something else."""
        if self._epoll is None:
            assert self._poll is not None
            self._poll.register(descriptor, wants)
            return
        try:
            self._epoll.register(descriptor, wants)
        except FileExistsError:
            self._epoll.modify(descriptor, wants)

    def forget(self, descriptor: int) -> None:
        """Watch it no longer; one that is closed is forgotten already."""
        try:
            (self._epoll or self._poll).unregister(descriptor)  # type: ignore[union-attr]
        except (FileNotFoundError, OSError, KeyError):
            return

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return what is ready."""
        if self._epoll is not None:
            return self._epoll.poll(seconds)
        assert self._poll is not None
        return self._poll.poll(seconds * 1000)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._epoll is not None:
            self._epoll.close()
