"""Stage `assemble`: what needs all chunks: playlists, poster, leftovers removed; their text is the stage `text`'s."""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from mediaplane.catalog import assets, objects, playback, runs, segments, sprites
from mediaplane.catalog.playback import HlsSegment, Rendition
from mediaplane.catalog.runs import StageRun
from mediaplane.catalog.sprites import Sheet
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media import playlists, previews
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.tools.filters import may_jump
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.proxy import make_proxy
from mediaplane.pipeline.tools.results import Candidate, Chunk, Probe
from mediaplane.postgres import Connection

DERIVED = ("segment", "frame", "debug", "playlist", "poster", "proxy", "sprite", "waveform", "peaks")
READ = ("frame", "debug")  # those of DERIVED that the stage `ocr` writes
PREVIEW = "thumbnails.vtt"


@dataclass(frozen=True, slots=True)
class Finished:
    """The finished stages an assembly stands on."""

    runs: list[StageRun]
    chunks: list[Chunk]
    renditions: list[Rendition]
    segments: dict[str, list[HlsSegment]]
    sheets: list[Sheet]

    @property
    def length_ms(self) -> int:
        """How long the longest rendition plays."""
        return max(sum(part.duration_us for part in listed) for listed in self.segments.values()) // 1000


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Write playlists, preview and poster, remove what earlier runs left.

    Raises:
        ToolFailed: the poster or the proxy failed for a reason that may pass.
    """
    finished = await _read_finished(context, work.run)
    written = [await _write_playlists(context, work.run, finished, directory)]
    work.progress(0.3)
    probe = await read_probe(context, work.run.asset_id)
    written += await _write_preview(context, work.run, finished, directory)
    written += await _write_poster(context, work.run, probe, finished, directory)
    work.progress(0.6)
    if work.run.params.get("proxy", context.settings.progressive_proxy):
        written.append(await _write_proxy(context, work.run, probe, directory))

    async def commit(conn: Connection) -> None:
        for files in written:
            await files.settle(conn, work.run.asset_id)
        await _remove_leftovers(conn, work.run, finished)
        if may_jump(probe):
            await assets.note_length(conn, work.run.asset_id, finished.length_ms)

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
        sheets = [sheet for sheet in await sprites.of_asset(conn, run.asset_id) if sheet.chunk < len(chunks)]
    return Finished(used, chunks, renditions, listed, sheets)


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
        files.append((context.key(run, "playlist", name=name), path))
    return await context.write(run, "playlist", files, content_type="application/vnd.apple.mpegurl")


def _relative(context: StageContext, run: StageRun, key: str) -> str:
    here = context.key(run, "playlist", name="index.m3u8").rpartition("/")[0]
    return posixpath.relpath(f"/{key}", f"/{here}")


async def _write_preview(context: StageContext, run: StageRun, finished: Finished, directory: Path) -> list[Written]:
    """Write the scrubbing preview beside the playlists, with relative names as theirs."""
    if not finished.sheets:
        return []
    path = directory / PREVIEW
    end_ms = (finished.chunks[-1].end_us or 0) // 1000
    path.write_text(previews.preview_track(finished.sheets, end_ms, lambda sheet: _relative(context, run, sheet.key)))
    key = context.key(run, "playlist", name=PREVIEW)
    return [await context.write(run, "playlist", [(key, path)], content_type="text/vtt")]


async def _write_poster(
    context: StageContext, run: StageRun, probe: Probe, finished: Finished, directory: Path
) -> list[Written]:
    if probe.video is None:
        return []
    source = context.source_url(await context.original(run.asset_id))
    path = directory / "poster.jpg"
    candidates = [
        Candidate.from_json(found)
        for entry in finished.runs
        if entry.stage == "chunk"
        for found in (entry.outputs or {}).get("candidates", [])
    ]
    await make_poster(source, probe, path, candidates=candidates, limits=context.limits, ca_file=context.ca_file)
    key = context.key(run, "poster")
    return [await context.write(run, "poster", [(key, path)], content_type="image/jpeg")]


async def _write_proxy(context: StageContext, run: StageRun, probe: Probe, directory: Path) -> Written:
    source = context.source_url(await context.original(run.asset_id))
    path = directory / "proxy.mp4"
    await make_proxy(source, probe, path, limits=context.limits, ca_file=context.ca_file)
    key = context.key(run, "proxy")
    return await context.write(run, "proxy", [(key, path)], content_type="video/mp4")


async def _remove_leftovers(conn: Connection, run: StageRun, finished: Finished) -> None:
    run_ids = [run.run_id, *(entry.run_id for entry in finished.runs)]
    roles = [role for role in DERIVED if role not in READ]
    await objects.delete_superseded(conn, run.asset_id, roles=roles, run_ids=run_ids)
    written_now = {name for name, listed in finished.segments.items() if listed}
    await playback.drop_stale(conn, run.asset_id, names=sorted(written_now), chunks=len(finished.chunks))
    await segments.drop_chunks(conn, run.asset_id, from_chunk=len(finished.chunks))
    await sprites.drop_chunks(conn, run.asset_id, from_chunk=len(finished.chunks))
