"""Stage `chunk`: one decode of a time range gives HLS renditions, keyframes and the text on the screen."""

from collections.abc import Sequence
from pathlib import Path

from mediaplane.catalog import segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.renditions import store_renditions
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.results import Chunk
from mediaplane.postgres import Connection

ENCODE_SHARE = 0.97  # of the progress bar; the rest is sending files


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Decode, encode and read one chunk; its text can be searched as soon as this run is done.

    Raises:
        MediaError: the original cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run, settings = work.run, context.settings
    original = await context.original(run.asset_id)
    result = await encode_chunk(
        context.source_url(original),
        await read_probe(context, run.asset_id),
        Chunk.from_json(run.params),
        out_dir=directory,
        short_sides=settings.rendition_sides,
        frames_per_second=settings.frames_per_second,
        ocr=context.ocr_options,
        limits=context.limits,
        on_progress=lambda fraction: work.progress(fraction * ENCODE_SHARE),
        ca_file=context.ca_file,
    )
    stored = await store_renditions(context, run, result.renditions, directory)
    frames = await _store_pictures(context, work, "frame", directory / "frames", result.frames)
    debug = await _store_pictures(context, work, "debug", directory / "debug", result.debug_frames)

    async def commit(conn: Connection) -> None:
        for rendition in stored:
            await rendition.commit(conn, run)
        for written in (frames, debug):
            await written.settle(conn, run.asset_id)
        owner = (run.asset_id, run.owner, run.team)
        await segments.replace_chunk(conn, owner, run.chunk or 0, [ocr_segment(line) for line in result.lines])

    return Outcome(outputs={"frames": len(result.frames), "lines": len(result.lines)}, commit=commit)


async def _store_pictures(
    context: StageContext, work: Work, role: str, directory: Path, times_ms: Sequence[int]
) -> Written:
    layout, asset_id = context.settings.layout, work.run.asset_id

    def key(timestamp_ms: int) -> ObjectKey:
        return layout.key(role, asset_id=asset_id, timestamp_ms=timestamp_ms)

    files = [(key(timestamp_ms), directory / f"{timestamp_ms}.jpg") for timestamp_ms in times_ms]
    return await context.write(work.run, role, files, content_type="image/jpeg")


def ocr_segment(line: Line) -> NewSegment:
    """Return the row of a line that was read."""
    return NewSegment(
        source="ocr",
        t_start_ms=line.t_start_ms,
        t_end_ms=line.t_end_ms,
        text=line.text,
        box=line.box,
        confidence=line.confidence,
        language=line.language,
        frame_ms=line.frame_ms,
    )
