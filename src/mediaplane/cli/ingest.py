"""`ingest` and `scan`: recordings in, from files, URLs, or a bucket they were put into by hand."""

import asyncio
import logging
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import typer
from rich.progress import Progress, TaskID

from mediaplane.access.uploads import Ingested
from mediaplane.catalog import assets, runs
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.runs import StageRun
from mediaplane.cli.following import follow
from mediaplane.cli.output import console, notes, print_json, progress_bars, size
from mediaplane.cli.report import describe_ending, render_report
from mediaplane.errors import AssetNotFound, DatabaseUnavailable, MediaplaneError
from mediaplane.jobs.outage import AWAY
from mediaplane.logs import set_up_logging
from mediaplane.postgres import Connection
from mediaplane.servers import find_services
from mediaplane.settings import load_settings
from mediaplane.wiring import Plane, open_plane

LINE_SECONDS = 10.0
FETCH_BYTES = 1 << 20
FETCH_SECONDS = 60.0  # without a byte


def ingest(
    sources: list[str] = typer.Argument(
        help="Files, directories (all files in them), or http(s) URLs", metavar="PATH|URL..."
    ),
    title: str = typer.Option("", "--title", help="Title; the file's name where none is given"),
    wait: bool = typer.Option(True, "--wait/--no-wait", help="Wait until each is ready or has failed"),
    report: Path | None = typer.Option(
        None, "--report", help="Write how each file ended to this file, as a table in Markdown"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Put recordings in and wait until their words can be found."""
    settings = find_services(load_settings(role="gateway"))

    files = find_files(sources)
    if not files:
        raise typer.BadParameter(f"there is no file in {', '.join(sources)}")

    async def run() -> list[dict[str, Any]]:
        async with open_plane(settings) as plane:
            with progress_bars() as bars:
                found = await _ingest_all(plane, [source for source, _ in files], title, bars, wait=wait)
            if report:
                await _write_report(plane, report, [name for _, name in files], found)
            return found

    outcomes = asyncio.run(run())
    if as_json:
        print_json({"assets": outcomes})
    else:
        _tell(outcomes)
    if any(outcome["status"] == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def find_files(sources: Sequence[str]) -> list[tuple[str, str]]:
    """Return each file or URL with the name a report gives it; of a directory all files below it but hidden ones."""
    found: list[tuple[str, str]] = []
    for source in sources:
        directory = Path(source)
        if _is_url(source) or not directory.is_dir():
            found.append((source, _name_of(source)))
            continue
        inside = [path for path in directory.rglob("*") if path.is_file()]
        names = [path.relative_to(directory) for path in inside]
        shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        found += [(str(directory / name), name.as_posix()) for name in sorted(shown)]
    return found


async def _write_report(plane: Plane, path: Path, names: Sequence[str], outcomes: Sequence[dict[str, Any]]) -> None:
    endings = []
    async with plane.pool.connection() as conn:
        for name, outcome in zip(names, outcomes, strict=True):
            asset_id = outcome["asset_id"]
            about: dict[str, Any] = {}
            if asset_id:
                with suppress(AssetNotFound):  # it was deleted meanwhile
                    about = await describe_ending(conn, await assets.get(conn, asset_id))
            endings.append((name, {**outcome, "about": about}))
    path.write_text(render_report(endings))
    notes.print(f"written: {path}")


def scan(as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else")) -> None:
    """Find originals that were put into the bucket by hand."""
    set_up_logging(logging.WARNING)
    settings = find_services(load_settings(role="scanner"))

    async def run() -> dict[str, Any]:
        async with open_plane(settings) as plane:
            with notes.status("listing …") as status:
                return await _scan_all(plane, lambda seen: status.update(f"{seen} keys looked at"))

    report = asyncio.run(run())
    if as_json:
        print_json(report)
    else:
        _tell_scan(report)
    for store, reason in report["failed"]:
        notes.print(f"store {store} could not be listed: {reason}", style="red")
    if report["failed"]:
        raise typer.Exit(1)


def _tell_scan(report: dict[str, Any]) -> None:
    console.print(f"{report['seen']} keys looked at, {report['registered_count']} new originals")
    for asset_id in report["registered"]:
        console.print(f"  {asset_id}   follow it: mediaplane show {asset_id}")
    if more := report["registered_count"] - len(report["registered"]):
        console.print(f"  and {more} more: mediaplane ls")
    for key, reason in report["skipped"]:
        console.print(f"  left alone: {key}: {reason}", style="yellow")
    if more := report["skipped_count"] - len(report["skipped"]):
        console.print(f"  and {more} more keys left alone", style="yellow")


async def _scan_all(plane: Plane, on_progress: Callable[[int], None]) -> dict[str, Any]:
    """Scan every store that originals may be in; one that fails does not stop the others."""
    found: dict[str, Any] = {"seen": 0, "registered_count": 0, "registered": [], "skipped_count": 0, "skipped": []}
    found["failed"] = []
    for scanner in plane.scanners():
        try:
            report = await scanner.scan(on_progress)
        except MediaplaneError as error:
            found["failed"].append((scanner.store_name, error.message))
            continue
        found["seen"] += report.seen
        found["registered_count"] += report.registered_count
        found["skipped_count"] += report.skipped_count
        found["registered"] += report.registered
        found["skipped"] += report.skipped
    return found


async def _ingest_all(
    plane: Plane, sources: Sequence[str], title: str, bars: Progress, *, wait: bool
) -> list[dict[str, Any]]:
    """Send one file after the other, and follow those that are sent meanwhile."""
    async with asyncio.TaskGroup() as group:
        followed = []
        for source in sources:
            name = title or _name_of(source)
            taken = await _take(plane, source, name, bars)
            label = name if len(sources) > 1 else ""
            followed.append(group.create_task(_finish(plane, taken, bars, label, wait=wait)))
    return [task.result() for task in followed]


async def _take(plane: Plane, source: str, name: str, bars: Progress) -> Ingested | Exception:
    """Return what became of the bytes; a source that cannot be read or stored does not stop the others."""
    try:
        async with _local_copy(source, plane.settings.state_dir, bars) as path:
            return await _upload(plane, path, name, bars)
    except (MediaplaneError, OSError, *AWAY) as error:
        return error


async def _finish(
    plane: Plane, taken: Ingested | Exception, bars: Progress, label: str, *, wait: bool
) -> dict[str, Any]:
    if isinstance(taken, Exception):
        return _refusal(taken)
    try:
        asset = await _draw(plane, taken.asset_id, bars, label) if wait else await _get(plane, taken.asset_id)
    except (MediaplaneError, *AWAY) as error:
        return _refusal(error, asset_id=taken.asset_id, reused=taken.reused)
    return _outcome(asset, reused=taken.reused)


async def _upload(plane: Plane, path: Path, title: str, bars: Progress) -> Ingested:
    bar = bars.add_task("upload", total=1, note=title)

    def on_progress(done: int, total: int) -> None:
        bars.update(bar, completed=done, total=total or 1, note=f"{title}, {size(total)}")

    taken = await plane.uploader().ingest(path, title=title, on_progress=on_progress)
    bars.update(bar, completed=1, total=1, note=f"{title}: the same bytes are here already" if taken.reused else title)
    return taken


async def _draw(plane: Plane, asset_id: str, bars: Progress, label: str) -> Asset:
    """Draw a bar for each stage until the asset is ready or has failed; a line now and then where there are no bars.

    Raises:
        AssetNotFound: it was deleted.
        DatabaseUnavailable: the database has been away for long.
    """
    prefix = f"{label}: " if label else ""
    drawn: dict[str, TaskID] = {}
    told = time.monotonic()

    async def look(conn: Connection) -> Asset:
        nonlocal told
        asset = await assets.get(conn, asset_id)
        stages = await runs.of_asset(conn, asset_id)
        for name, done, note in _stage_progress(stages):
            bar = drawn.setdefault(name, bars.add_task(name, total=1, note="") if name not in drawn else drawn[name])
            bars.update(bar, completed=done, note=prefix + note)
        if bars.disable and time.monotonic() - told > LINE_SECONDS:
            told = time.monotonic()
            notes.print(prefix + ", ".join(f"{name} {done:.0%}" for name, done, _ in _stage_progress(stages)))
        return asset

    return await follow(plane.pool, look, again=f"mediaplane show {asset_id}")


def _stage_progress(stages: Sequence[StageRun]) -> Iterator[tuple[str, float, str]]:
    """Yield name, share done and a remark for each stage, chunks taken together."""
    names = list(dict.fromkeys(run.stage for run in stages if not run.subject))
    for name in names:
        group = [run for run in stages if run.stage == name and not run.subject]
        done = sum(1.0 if run.state == "done" else run.progress for run in group) / len(group)
        finished = sum(run.state == "done" for run in group)
        remark = f"{finished} of {len(group)}" if len(group) > 1 else ""
        failure = next((run.error_message for run in group if run.error_message and run.state != "done"), None)
        yield name, done, failure or remark


async def _get(plane: Plane, asset_id: str) -> Asset:
    async with plane.pool.connection() as conn:
        return await assets.get(conn, asset_id)


def _outcome(asset: Asset, *, reused: bool) -> dict[str, Any]:
    failure = {"code": asset.error_code, "message": asset.error_message} if asset.error_code else None
    return {
        "asset_id": asset.asset_id,
        "status": asset.status,
        "duration_ms": asset.duration_ms,
        "reused": reused,
        "error": failure,
    }


def _refusal(error: Exception, *, asset_id: str | None = None, reused: bool = False) -> dict[str, Any]:
    if isinstance(error, MediaplaneError):
        code = error.code
    else:
        code = DatabaseUnavailable.code if isinstance(error, AWAY) else "file_unreadable"
    told = {"code": code, "message": str(error)}
    return {"asset_id": asset_id, "status": "failed", "duration_ms": None, "reused": reused, "error": told}


def _tell(outcomes: Sequence[dict[str, Any]]) -> None:
    for outcome in outcomes:
        name = outcome["asset_id"] or "-"
        if outcome["error"]:
            console.print(f"{name}  failed: {outcome['error']['message']} ({outcome['error']['code']})", style="red")
        else:
            console.print(f"{name}  {outcome['status']}{' (was here already)' if outcome['reused'] else ''}")


def _name_of(source: str) -> str:
    return unquote(Path(urlsplit(source).path).name) if _is_url(source) else Path(source).name


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


@asynccontextmanager
async def _local_copy(source: str, state_dir: Path, bars: Progress) -> AsyncIterator[Path]:
    """Give the file itself, or what a URL gave in a temporary file."""
    if not _is_url(source):
        yield Path(source)
        return
    state_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=state_dir, prefix="fetch-") as directory:
        path = Path(directory) / (_name_of(source) or "download.bin")
        await _fetch(source, path, bars)
        yield path


async def _fetch(url: str, path: Path, bars: Progress) -> None:
    bar = bars.add_task("fetch", total=None, note=_name_of(url))
    answer = await asyncio.to_thread(urllib.request.urlopen, url, timeout=FETCH_SECONDS)
    with answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while block := await asyncio.to_thread(answer.read, FETCH_BYTES):
            file.write(block)
            bars.update(bar, completed=file.tell(), total=total or None, note=f"{_name_of(url)}, {size(file.tell())}")
    if total and path.stat().st_size != total:
        raise OSError(f"{url} ended early: {path.stat().st_size} of {total} bytes came; run it again")
