"""What a command has done besides the engine's work: refused, found whole, removed locally, planned."""

from threading import Lock

from mediaplane.storage.bulk.work import KEPT_FAILURES, Abort, Event, Refused, Report, Summary, Work


class Tally:
    """Counts, and tells `report` one event at a time, from whatever thread."""

    def __init__(self, report: Report | None = None) -> None:
        self._report = report
        self._lock = Lock()
        self.done = 0
        self.skipped = 0  # whole already: counted, not told one by one
        self.refused = 0
        self.planned = 0
        self._failures: list[tuple[str, str]] = []

    def tell(self, event: Event) -> None:
        """Hand on one event."""
        if self._report is not None:
            with self._lock:
                self._report(event)

    def skip(self, count: int = 1) -> None:
        """Note what is whole already."""
        with self._lock:
            self.skipped += count

    def refuse(self, what: str, why: str) -> None:
        """Note what cannot be done."""
        with self._lock:
            self.refused += 1
            if len(self._failures) < KEPT_FAILURES:
                self._failures.append((what, why))
        self.tell(Event(Refused(what), done=True, bytes_moved=0, error=why))

    def finish(self, work: Work | Abort) -> None:
        """Note what was done without the engine."""
        with self._lock:
            self.done += 1
        self.tell(Event(work, done=True, bytes_moved=0))

    def plan(self, work: Work | Abort) -> None:
        """Note what a dry run would do."""
        with self._lock:
            self.planned += 1
        self.tell(Event(work, done=False, bytes_moved=0, planned=True))

    def add_to(self, summary: Summary) -> Summary:
        """Return the engine's summary with all this in it."""
        summary.done += self.done
        summary.skipped += self.skipped
        summary.failed += self.refused
        summary.planned += self.planned
        summary.failures = [*self._failures, *summary.failures][:KEPT_FAILURES]
        return summary
