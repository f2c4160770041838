"""Stage `assemble`: what needs all chunks: playlists, poster, text merged across chunks, leftovers removed."""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from mediaplane.catalog import objects, playback, runs, segments
from mediaplane.catalog.playback import HlsSegment, Rendition
from mediaplane.catalog.runs import StageRun
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media import playlists
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.merging import Row, find_joins
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.proxy import make_proxy
from mediaplane.pipeline.tools.results import Chunk, Probe
from mediaplane.postgres import Connection

DERIVED = ("segment", "frame", "debug", "playlist", "poster", "proxy")


@dataclass(frozen=True, slots=True)
class Finished:
    """The finished stages an assembly stands on."""

    runs: list[StageRun]
    chunks: list[Chunk]
    renditions: list[Rendition]
    segments: dict[str, list[HlsSegment]]


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Write playlists and poster, join text across chunks, remove what earlier runs left.

    Raises:
        ToolFailed: the poster or the proxy failed for a reason that may pass.
    """
    finished = await _read_finished(context, work.run)
    written = [await _write_playlists(context, work.run, finished, directory)]
    work.progress(0.3)
    probe = await read_probe(context, work.run.asset_id)
    written += await _write_pictures(context, work.run, probe, directory)
    work.progress(0.6)
    if context.settings.progressive_proxy:
        written.append(await _write_proxy(context, work.run, probe, directory))

    async def commit(conn: Connection) -> None:
        for files in written:
            await files.settle(conn, work.run.asset_id)
        await _join_text(conn, work.run.asset_id, finished)
        await _remove_leftovers(conn, work.run, finished)

    return Outcome(outputs={"renditions": [rendition.name for rendition in finished.renditions]}, commit=commit)


async def _read_finished(context: StageContext, run: StageRun) -> Finished:
    async with context.pool.connection() as conn:
        past = [entry for entry in await runs.of_asset(conn, run.asset_id) if not entry.subject]
        plan = next(entry for entry in past if entry.stage == "plan")
        chunks = [Chunk.from_json(chunk) for chunk in (plan.outputs or {})["chunks"]]
        used = [entry for entry in past if _is_used(entry, len(chunks))]
        renditions = await playback.renditions(conn, run.asset_id)
        listed = {
            rendition.name: await playback.segments(conn, run.asset_id, rendition.name) for rendition in renditions
        }
    return Finished(used, chunks, renditions, listed)


def _is_used(run: StageRun, chunks: int) -> bool:
    """Tell whether what the run wrote belongs to the recording as it is now."""
    return run.stage != "picture" and (run.stage != "chunk" or (run.chunk or 0) < chunks)


async def _write_playlists(context: StageContext, run: StageRun, finished: Finished, directory: Path) -> Written:
    """Write playlists with relative names: they play wherever the bucket's objects can be read."""
    texts = {"index.m3u8": playlists.master_playlist(finished.renditions, lambda name: f"{name}.m3u8")}
    for rendition in finished.renditions:
        texts[f"{rendition.name}.m3u8"] = playlists.media_playlist(
            finished.segments[rendition.name], lambda key: _relative(context, run, key)
        )
    files = []
    for name, text in texts.items():
        path = directory / name
        path.write_text(text)
        files.append((context.settings.layout.key("playlist", asset_id=run.asset_id, name=name), path))
    return await context.write(run, "playlist", files, content_type="application/vnd.apple.mpegurl")


def _relative(context: StageContext, run: StageRun, key: str) -> str:
    here = context.settings.layout.key("playlist", asset_id=run.asset_id, name="index.m3u8").rpartition("/")[0]
    return posixpath.relpath(f"/{key}", f"/{here}")


async def _write_pictures(context: StageContext, run: StageRun, probe: Probe, directory: Path) -> list[Written]:
    if probe.video is None:
        return []
    source = context.source_url(await context.original(run.asset_id))
    path = directory / "poster.jpg"
    await make_poster(source, probe, path, limits=context.limits, ca_file=context.ca_file)
    key = context.settings.layout.key("poster", asset_id=run.asset_id)
    return [await context.write(run, "poster", [(key, path)], content_type="image/jpeg")]


async def _write_proxy(context: StageContext, run: StageRun, probe: Probe, directory: Path) -> Written:
    source = context.source_url(await context.original(run.asset_id))
    path = directory / "proxy.mp4"
    await make_proxy(source, probe, path, limits=context.limits, ca_file=context.ca_file)
    key = context.settings.layout.key("proxy", asset_id=run.asset_id)
    return await context.write(run, "proxy", [(key, path)], content_type="video/mp4")


async def _join_text(conn: Connection, asset_id: str, finished: Finished) -> None:
    """Make one segment of text that stays on the screen where two chunks meet."""
    rows = [
        Row(
            id=segment.segment_id,
            chunk=segment.chunk,
            t_start_ms=segment.t_start_ms,
            t_end_ms=segment.t_end_ms,
            text=segment.text,
            box=segment.box,
            confidence=segment.confidence,
        )
        for segment in await segments.of_asset(conn, asset_id)
        if segment.source == "ocr" and segment.box
    ]
    boundaries = [chunk.start_us // 1000 for chunk in finished.chunks[1:]]
    await segments.apply_joins(conn, find_joins(rows, boundaries))


async def _remove_leftovers(conn: Connection, run: StageRun, finished: Finished) -> None:
    run_ids = [run.run_id, *(entry.run_id for entry in finished.runs)]
    await objects.delete_superseded(conn, run.asset_id, roles=DERIVED, run_ids=run_ids)
    written_now = {name for name, listed in finished.segments.items() if listed}
    await playback.drop_stale(conn, run.asset_id, names=sorted(written_now), chunks=len(finished.chunks))
    await segments.drop_chunks(conn, run.asset_id, from_chunk=len(finished.chunks))
