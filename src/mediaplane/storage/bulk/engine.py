"""Bulk transfer: any amount of work, done many pieces at a time in bounded memory, with a summary in the end.

`run` is the whole interface. The thread that calls it fetches the work and reports; lanes (`lane.py`) move the bytes,
and a crew (`crew.py`) of other processes helps with small pieces.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from mediaplane.errors import MediaplaneError
from mediaplane.storage.bulk.copies import copy
from mediaplane.storage.bulk.crew import BATCH, Crew, processors
from mediaplane.storage.bulk.downloads import SMALL_BYTES, download
from mediaplane.storage.bulk.lane import Lane, Task
from mediaplane.storage.bulk.names import sentence_of
from mediaplane.storage.bulk.pace import Level, Pace
from mediaplane.storage.bulk.run import LOW, QUEUED, Run
from mediaplane.storage.bulk.uploads import upload
from mediaplane.storage.bulk.work import (
    KEPT_FAILURES,
    Copy,
    Delete,
    Download,
    Event,
    Move,
    Options,
    Report,
    Summary,
    Upload,
    Work,
)
from mediaplane.storage.connection import Steps
from mediaplane.storage.wire import BATCH_KEYS

REPORT_SECONDS = 0.1
_MOST_LANES = 4

W = TypeVar("W", Upload, Download, Copy, Delete)


def new_crew() -> Crew:
    """Return processes that help with small pieces of one run after another; close it (`with`) in the end."""
    return Crew(_serve)


def run(
    work: Iterable[Work], options: Options, report: Report = lambda _: None, *, crew: Crew | None = None
) -> Summary:
    """Do all the work and return what became of it; `report` hears of each piece, in the calling thread.

    Without a crew the run has one of its own, which is none where the caller has threads. A limit that was given, of
    requests or of bytes a second, is that of one process, which then does everything.
    `work` is fetched as it is needed. What fails is listed and the rest goes on. An error raised by `work` itself
    ends the fetching; what was fetched before is finished, then the error is raised.

    Raises:
        KeyboardInterrupt: after all transfers were ended: no half file has its final name, and multipart uploads
            that were under way are aborted.
    """
    if options.workers or options.bytes_per_second:
        return _Engine(options, report).run(work)
    if crew is not None:
        return _Engine(options, report, crew).run(work)
    with new_crew() as own:
        return _Engine(options, report, own).run(work)


def _serve(work: Iterator[Work], options: Options, report: Report) -> None:
    """Be one process of a crew."""
    _Engine(options, report, lanes=1, queued=2 * BATCH, low=BATCH).run(work)


class _Engine:
    def __init__(
        self,
        options: Options,
        report: Report,
        crew: Crew | None = None,
        *,
        lanes: int = _MOST_LANES,
        queued: int = QUEUED,
        low: int = LOW,
    ) -> None:
        pace = Pace(options.bytes_per_second) if options.bytes_per_second else None
        self._members = crew.members if crew else []
        self._run = Run(options, Level(options.workers), pace, _task_of, queued, low, self._members)
        self._report = report
        self._summary = Summary()
        self._deletes: dict[int, list[Delete]] = {}  # by endpoint, until a request is full
        for number in range(min(lanes, processors())):
            self._run.lanes.append(Lane(self._run, takes_small=number == 0))

    def run(self, work: Iterable[Work]) -> Summary:
        began = time.monotonic()
        for lane in self._run.lanes:
            lane.thread.start()
        for member in self._members:
            member.begin(self._run)
        over = False
        try:
            self._do(work)
            over = True
        finally:
            self._end(early=not over)
            self._summary.seconds = time.monotonic() - began
        return self._summary

    def _do(self, work: Iterable[Work]) -> None:
        problem: Exception | None = None
        try:
            for piece in work:
                self._fetch(piece)
        except Exception as error:  # noqa: BLE001 raised again below
            problem = error
        self._flush_deletes()
        self._run.finish_fetching()
        while not self._run.is_over():
            self._wait()
        if problem:
            raise problem

    def _fetch(self, piece: Work) -> None:
        run = self._run
        with run.lock:
            run.unsettled += 1
        if isinstance(piece, Delete):
            self._fetch_delete(piece)
        elif _size_of(piece) <= SMALL_BYTES:
            run.add_small(piece)
        else:
            run.add(_task_of(run, piece))
        if run.waiting() >= run.queued:
            while run.waiting() > run.low:
                self._wait()

    def _fetch_delete(self, piece: Delete) -> None:
        if piece.target is None:
            self._run.add(partial(_settled, self._run, _remove_file, piece))
            return
        batch = self._deletes.setdefault(id(piece.target), [])
        batch.append(piece)
        if len(batch) == BATCH_KEYS:
            self._flush_deletes()

    def _flush_deletes(self) -> None:
        for batch in self._deletes.values():
            self._run.add(partial(_delete, self._run, batch))
        self._deletes = {}

    def _wait(self) -> None:
        """Report what has happened, and wait until more has."""
        run = self._run
        run.stirred.wait(REPORT_SECONDS)
        run.stirred.clear()
        self._report_events()
        if run.error:
            raise run.error

    def _report_events(self) -> None:
        events = self._run.events
        for _ in range(len(events)):
            event = events.popleft()
            self._count(event)
            self._report(event)

    def _count(self, event: Event) -> None:
        summary = self._summary
        summary.bytes_moved += event.bytes_moved
        if not event.done:
            return
        if event.error:
            summary.failed += 1
            if len(summary.failures) < KEPT_FAILURES:
                summary.failures.append((_name_of(event.work), event.error))
        elif event.skipped:
            summary.skipped += 1
        else:
            summary.done += 1

    def _end(self, *, early: bool) -> None:
        for member in self._members:
            member.end(early=early)
        for lane in self._run.lanes:
            lane.stop()
        for lane in self._run.lanes:
            lane.thread.join()
        self._run.put_away()
        self._report_events()


def _size_of(piece: Move) -> int:
    return piece.size_bytes if isinstance(piece, Upload) else piece.object.size_bytes


def _task_of(run: Run, piece: Move) -> Task:
    match piece:
        case Upload():
            return partial(_settled, run, upload, piece)
        case Download():
            return partial(_settled, run, download, piece)
        case Copy():
            return partial(_settled, run, copy, piece)


def _settled(run: Run, move: Callable[[Run, Lane, W], Steps[int | None]], work: W, lane: Lane) -> Steps[None]:
    """Move a piece of work and report what became of it; None from `move` means that others will report."""
    try:
        count = yield from move(run, lane, work)
    except (MediaplaneError, OSError, EOFError, UnicodeError) as error:
        run.settle(work, error=sentence_of(error))
    else:
        if count is not None:
            run.settle(work, count)


def _delete(run: Run, batch: list[Delete], lane: Lane) -> Steps[None]:
    target = batch[0].target
    assert target
    try:
        refused = yield from run.client(target).ask_delete_many([piece.key for piece in batch], lane)
    except (MediaplaneError, UnicodeError) as error:
        refused = dict.fromkeys((piece.key for piece in batch), sentence_of(error))
    for piece in batch:
        run.settle(piece, error=refused.get(piece.key, ""))


def _remove_file(_run: Run, _lane: Lane, piece: Delete) -> Steps[int]:
    Path(piece.key).unlink(missing_ok=True)
    return 0
    yield  # steps that never wait


def _name_of(work: object) -> str:
    match work:
        case Upload(path=path):
            return str(path)
        case Download(source=source, object=found) | Copy(source=source, object=found):
            return f"s3://{source.bucket}/{found.key}"
        case Delete(target=None, key=key):
            return key
        case Delete(target=target, key=key):
            return f"s3://{target.bucket if target else ''}/{key}"
    return str(getattr(work, "what", work))
