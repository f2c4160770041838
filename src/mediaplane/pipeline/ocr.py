"""Stage `ocr`: the text on the screen and the frames it was read in, of a time range that is encoded already.

The first time a chunk is worked on, `chunk` does this work in its own decode (`flow.py`); here is how it is done alone,
in a replay, and what both do with what was read.

Frames are kept once for all who read them: those of the same timeline, which are the same pictures at the same times,
are not written again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediaplane.catalog import objects, segments
from mediaplane.catalog.runs import StageRun
from mediaplane.catalog.segments import NewSegment
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.reading import read_chunk
from mediaplane.pipeline.tools.results import Chunk, OcrOptions, ReadingResult
from mediaplane.postgres import Connection

READ_SHARE = 0.97  # of the progress bar; the rest is sending files


@dataclass(frozen=True, slots=True)
class StoredReading:
    """What was read in a chunk: frames are in the store, rows wait to be written with the run."""

    run: StageRun
    result: ReadingResult
    frames: Written
    debug: Written
    reused: tuple[ObjectKey, ...]  # frames of an earlier run

    @property
    def outputs(self) -> dict[str, Any]:
        """What the run says it made."""
        return {"frames": len(self.result.frames), "lines": len(self.result.lines), "frames_reused": len(self.reused)}

    async def commit(self, conn: Connection) -> None:
        """Write the rows: frames, and segments in place of those read before."""
        run = self.run
        await objects.adopt(conn, run.asset_id, store=self.frames.store, keys=self.reused, run_id=run.run_id)
        for written in (self.frames, self.debug):
            await written.settle(conn, run.asset_id)
        owner = (run.asset_id, run.owner, run.team)
        await segments.replace_chunk(conn, owner, run.chunk or 0, [ocr_segment(line) for line in self.result.lines])


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Decode and read one chunk; nothing is encoded.

    Raises:
        MediaError: the original cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run = work.run
    original = await context.original(run.asset_id)
    known = await _known_frames(context, run)
    result = await read_chunk(
        context.source_url(original),
        await read_probe(context, run.asset_id),
        Chunk.from_json(run.params["chunk"]),
        out_dir=directory,
        ocr=OcrOptions.from_json(run.params["ocr"]),
        known_ms=sorted(known),
        limits=context.limits,
        on_progress=lambda fraction: work.progress(fraction * READ_SHARE),
        ca_file=context.ca_file,
    )
    stored = await store_reading(context, run, directory, result)
    return Outcome(outputs=stored.outputs, commit=stored.commit)


async def store_reading(context: StageContext, run: StageRun, directory: Path, result: ReadingResult) -> StoredReading:
    """Put frames and pictures with boxes, which lie in `directory`, into the store as the run's."""
    frames = await _store_pictures(context, run, "frame", directory / "frames", result.written)
    debug = await _store_pictures(context, run, "debug", directory / "debug", result.debug_frames)
    known = sorted({*result.frames} - {*result.written})
    reused = tuple(context.key(run, "frame", timestamp_ms=timestamp_ms) for timestamp_ms in known)
    return StoredReading(run, result, frames, debug, reused)


async def _known_frames(context: StageContext, run: StageRun) -> list[int]:
    """Return the times of the frames that were kept from the same timeline and are still stored."""
    store = context.placement.store_for(run.asset_id, "frame")
    timeline_id = run.params["timeline_id"]
    async with context.pool.connection() as conn:
        keys = await objects.cached_frames(conn, run.asset_id, store=store, timeline_id=timeline_id)
    found = [context.settings.layout.read("frame", key) for key in keys]
    return [int(fields["timestamp_ms"]) for fields in found if fields]


async def _store_pictures(
    context: StageContext, run: StageRun, role: str, directory: Path, times_ms: Sequence[int]
) -> Written:
    files = [(context.key(run, role, timestamp_ms=at_ms), directory / f"{at_ms}.jpg") for at_ms in times_ms]
    return await context.write(run, role, files, content_type="image/jpeg")


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
