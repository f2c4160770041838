"""What `mediaplane s3` says while it works: bars for people, lines where nobody watches, JSON lines for programs."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mediaplane.cli.output import console, notes, size
from mediaplane.storage.bulk.work import Abort, Copy, Delete, Download, Event, Refused, Summary, Upload, Work

LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal
SHOWN_FAILURES = 20
_REFRESHES = 8  # a second
_ACTIONS = {Upload: "upload", Download: "download", Copy: "copy", Delete: "delete", Abort: "abort", Refused: "refuse"}


class Events:
    """Takes the events of one command; `tell` may be called for each of a million objects."""

    def __init__(self, *, as_json: bool, removes: bool = False) -> None:
        self._as_json = as_json
        self._removes = removes
        self._done = self._failed = self._bytes = 0
        self._began = self._told = time.monotonic()
        self._bars: Progress | None = None
        self._failures = 0

    @contextmanager
    def watched(self) -> Iterator["Events"]:
        """Draw progress while the block runs, where there is a terminal."""
        if self._as_json or not notes.is_terminal:
            yield self
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=notes, transient=True, refresh_per_second=_REFRESHES) as bars:
            self._bars = bars
            bars.add_task("…", total=None)
            yield self
        self._bars = None

    def tell(self, event: Event) -> None:
        """Count one event and show it."""
        self._bytes += event.bytes_moved
        if event.error:
            self._failed += 1
        elif event.done and not event.skipped:
            self._done += 1
        if self._as_json:
            self._print_event(event)
        elif event.error:
            self._tell_failure(event)
        elif event.planned:
            sys.stdout.write(f"would {sentence(event.work)}\n")
        self._show_progress()

    def finish(self, summary: Summary) -> None:
        """Print the summary."""
        if self._as_json:
            _print_line({"event": "summary", **summary_document(summary)})
            return
        if self._failures > SHOWN_FAILURES:
            notes.print(f"… and {self._failures - SHOWN_FAILURES} more failures; --json lists them all", style="red")
        console.print(_summary_line(summary, removes=self._removes), markup=False)

    def _print_event(self, event: Event) -> None:
        _print_line(event_document(event))
        if (now := time.monotonic()) - self._told > 1 / _REFRESHES:  # whoever reads a pipe wants to see it go on
            self._told = now
            sys.stdout.flush()

    def _tell_failure(self, event: Event) -> None:
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            notes.print(f"failed: {sentence(event.work)}: {event.error}", style="red", markup=False)

    def _show_progress(self) -> None:
        now = time.monotonic()
        if self._bars is not None:
            if now - self._told > 1 / _REFRESHES:
                self._told = now
                self._bars.update(self._bars.task_ids[0], description=self._progress(now))
        elif not self._as_json and now - self._told > LINE_SECONDS:
            self._told = now
            notes.print(self._progress(now), markup=False)

    def _progress(self, now: float) -> str:
        rate = size(int(self._bytes / max(now - self._began, 0.001)))
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} done, {size(self._bytes)} ({rate}/s){failed}"


def event_document(event: Event) -> dict[str, Any]:
    """Return an event as programs read it."""
    names = (
        (event.planned, "planned"), (bool(event.error), "failed"), (event.skipped, "skipped"), (event.done, "done")
    )  # fmt: skip
    document: dict[str, Any] = {
        "event": next((name for holds, name in names if holds), "progress"),
        "action": _ACTIONS[type(event.work)],
        **_ends_of(event.work),
        "bytes": event.bytes_moved,
    }
    return document | ({"error": event.error} if event.error else {})


def summary_document(summary: Summary) -> dict[str, Any]:
    """Return a summary as programs read it; `failures` holds the first 10,000."""
    return {
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "planned": summary.planned,
        "bytes": summary.bytes_moved,
        "seconds": round(summary.seconds, 3),
        "failures": [{"what": what, "error": why} for what, why in summary.failures],
    }


def sentence(work: Work | Refused | Abort) -> str:
    """Return what a piece of work is, as people read it."""
    ends = {name: printable(text) for name, text in _ends_of(work).items()}
    if isinstance(work, Refused):
        return ends["target"]
    between = f"{ends['source']} → {ends['target']}" if "source" in ends else ends["target"]
    return f"{_ACTIONS[type(work)]} {between}"


def printable(name: str) -> str:
    """Return a name without what a terminal would obey, or could not show: a key is a stranger's text."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def _ends_of(work: Work | Refused | Abort) -> dict[str, str]:
    if isinstance(work, Upload):
        return {"source": str(work.path), "target": _s3(work.target.bucket, work.key)}
    if isinstance(work, Download):
        return {"source": _s3(work.source.bucket, work.object.key), "target": str(work.path)}
    if isinstance(work, Copy):
        return {"source": _s3(work.source.bucket, work.object.key), "target": _s3(work.target.bucket, work.key)}
    if isinstance(work, Delete):
        return {"target": _s3(work.target.bucket, work.key) if work.target else work.key}
    if isinstance(work, Abort):
        return {"target": _s3(work.target.bucket, work.key), "upload_id": work.upload_id}
    return {"target": work.what}


def _s3(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def _summary_line(summary: Summary, *, removes: bool) -> str:
    if summary.planned:
        counts = [f"{summary.planned} would be {'removed' if removes else 'done'}"]
    else:
        counts = [f"{summary.done} {'removed' if removes else 'done'}"]
    if summary.skipped:
        counts.append(f"{summary.skipped} whole already")
    if summary.failed:
        counts.append(f"{summary.failed} failed")
    moved = f" {size(summary.bytes_moved)} in" if summary.bytes_moved else ""
    return f"{', '.join(counts)};{moved} {summary.seconds:.1f} s"


def _print_line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=True, default=str) + "\n")
