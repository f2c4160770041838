"""What all transfers of one run share: options, clients, events, and the queue that lanes take tasks from."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mediaplane.errors import MediaplaneError
from mediaplane.storage.bulk.lane import Lane, Task
from mediaplane.storage.bulk.pace import Level, Pace
from mediaplane.storage.bulk.work import Event, Move, Options, Work
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.wire import Client

QUEUED = 2000  # tasks that wait at most
LOW = 500  # when fewer wait, more work is fetched
KEPT = 64  # small pieces that are not shared with other processes


class Wakeable(Protocol):
    """A process beside this one that takes small pieces; see `crew.py`."""

    hungry: bool

    def wake(self) -> None: ...


@dataclass(slots=True)
class Run:
    """One call of the engine."""

    options: Options
    level: Level
    pace: Pace | None
    task_of: Callable[["Run", Move], Task]  # what a lane does for a piece
    queued: int = QUEUED
    low: int = LOW
    members: Sequence[Wakeable] = ()
    lanes: list[Lane] = field(default_factory=list)
    events: deque[Event] = field(default_factory=deque)
    unsettled: int = 0  # pieces of work that were fetched and have no last event yet
    error: BaseException | None = None  # a fault of ours, on a lane
    stirred: threading.Event = field(default_factory=threading.Event)  # the fetching thread has something to do
    lock: threading.Lock = field(default_factory=threading.Lock)
    gave_up: bool = False  # the store is out of reach: what is unfinished stays so
    unfinished: dict[object, Callable[[], None]] = field(default_factory=dict)  # how to undo what is under way
    _all_fetched: bool = False
    _tasks: deque[Task] = field(default_factory=deque)
    _heavy: deque[Task] = field(default_factory=deque)
    _small: deque[Move] = field(default_factory=deque)
    _clients: dict[S3Endpoint, Client] = field(default_factory=dict)
    _recent: dict[int, tuple[S3Endpoint, Client]] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    def client(self, endpoint: S3Endpoint) -> Client:
        """Return the client of an endpoint; all work on it shares what the client learns."""
        recent = self._recent.get(id(endpoint))
        if recent is not None and recent[0] is endpoint:
            return recent[1]
        with self.lock:
            client = self._clients.get(endpoint)
            if client is None:
                client = self._clients[endpoint] = Client(
                    endpoint,
                    retries=self.options.retries,
                    on_slow_down=self.level.slow_down,
                    hashes_bodies=self.options.verify,
                )
            if len(self._recent) > 100:
                self._recent.clear()
            self._recent[id(endpoint)] = (endpoint, client)
        return client

    def make_folder(self, path: str) -> None:
        """Make the directory of a file, once a run."""
        folder = path.rpartition("/")[0]
        if folder and folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)

    def add(self, task: Task, *, heavy: bool = False) -> None:
        """Put a task in the queue; a heavy one (from 1 MiB) may run on any lane, and comes first."""
        (self._heavy if heavy else self._tasks).append(task)
        for lane in self.lanes if heavy else self.lanes[:1]:
            if lane.hungry:
                lane.wake()

    def add_small(self, piece: Move) -> None:
        """Put a small piece in the queue: for the first lane, or for another process."""
        self._small.append(piece)
        if self.lanes[0].hungry:
            self.lanes[0].wake()
        if self.members and len(self._small) > KEPT:
            for member in self.members:
                if member.hungry:
                    member.wake()

    def share(self, count: int) -> list[Move]:
        """Return small pieces for another process, at most half of what waits here; none where few do."""
        waiting = len(self._small)
        shared: list[Move] = []
        if waiting > KEPT:
            with suppress(IndexError):  # others were quicker
                for _ in range(min(count, waiting // 2)):
                    shared.append(self._small.popleft())  # noqa: PERF401 what was taken is kept when one is missing
            if waiting - count < self.low:
                self.stirred.set()
        return shared

    def is_handed_out(self) -> bool:
        """Tell whether there will be nothing more to share."""
        return self._all_fetched and len(self._small) <= KEPT

    def waiting(self) -> int:
        """Return how many tasks are queued."""
        return len(self._tasks) + len(self._heavy) + len(self._small)

    def take(self, lane: Lane) -> Task | None:
        """Return the next task for a lane, or None where there is none or enough are running."""
        if sum([each.active for each in self.lanes]) >= self.level.limit or self.level.is_paused():
            return None
        try:
            if self._heavy:
                return self._heavy.popleft()
            if lane.takes_small:
                if self._tasks:
                    return self._tasks.popleft()
                piece = self._small.popleft()
                if len(self._small) == self.low:
                    self.stirred.set()
                return self.task_of(self, piece)
        except IndexError:
            pass  # nothing there, or another lane was quicker
        if lane.takes_small and not self._all_fetched:
            self.stirred.set()
        return None

    def finish_fetching(self) -> None:
        """Say that no more work will come."""
        self._all_fetched = True
        for each in (*self.lanes, *self.members):
            each.wake()

    def is_over(self) -> bool:
        """Tell whether nothing is left to be done."""
        return self._all_fetched and not self.unsettled

    def note_idle(self, lane: Lane, seconds: float) -> None:
        """Hear how long a lane has waited; see `Level`."""
        if lane.takes_small:
            if self._small or self._tasks or self._heavy:
                self.level.note_idle(seconds)
            self.level.adjust()

    def fail(self, error: BaseException) -> None:
        """Hear of a fault of ours: it ends the run."""
        self.error = self.error or error
        self.stirred.set()

    def moved(self, work: Work, count: int) -> None:
        """Report how far a long piece of work is."""
        self.level.note_done(count)
        self.events.append(Event(work, done=False, bytes_moved=count))

    def settle(self, work: Work, count: int = 0, error: str = "", *, skipped: bool = False) -> None:
        """Report what became of a piece of work: its last event."""
        if not error:
            self.level.note_done(count)
        self.hear(work, count, error, skipped=skipped)

    def hear(self, work: Work, count: int, error: str, *, skipped: bool = False) -> None:
        """Report what became of a piece of work, here or in another process."""
        self.events.append(Event(work, True, count, error, skipped))  # noqa: FBT003 once an object: keywords cost
        with self.lock:
            self.unsettled -= 1
        if self.is_over():
            self.stirred.set()
            for lane in self.lanes:
                lane.wake()

    def put_away(self) -> None:
        """Undo what was cut off, and close all connections."""
        for undo in list(self.unfinished.values()):
            try:
                undo()
            except (MediaplaneError, OSError):
                self.gave_up = True  # `rm --incomplete` finds it
        for client in self._clients.values():
            client.close()
