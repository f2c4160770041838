"""Stage `chunk`: one decode of a time range gives HLS renditions, previews and, where it is asked to, what `ocr` makes.

Frames and text are the run's of `ocr`, which is noted as done with this one, so that a replay of either leaves the
other alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mediaplane.catalog import runs, sprites
from mediaplane.catalog.runs import StageRun
from mediaplane.catalog.sprites import Sheet
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media.ids import new_id
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.ocr import store_reading
from mediaplane.pipeline.renditions import store_renditions
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.results import Chunk, ChunkResult, OcrOptions, ReadingResult, SpriteSheet
from mediaplane.postgres import Connection

ENCODE_SHARE = 0.97  # of the progress bar; the rest is sending files


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Decode, encode and read one chunk; its text can be searched as soon as this run is done.

    Raises:
        MediaError: the original cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run = work.run
    guest = guest_of(run)
    ocr = OcrOptions.from_json(guest.params["ocr"]) if guest else None
    original = await context.original(run.asset_id)
    chunk = Chunk.from_json(run.params)
    result = await encode_chunk(
        context.source_url(original),
        await read_probe(context, run.asset_id),
        chunk if context.keeps("sprite") else replace(chunk, still_ms=0),
        out_dir=directory,
        short_sides=run.params.get("sides", context.settings.rendition_sides),
        frames_per_second=ocr.frames_per_second if ocr else 0,
        ocr=ocr,
        limits=context.limits,
        on_progress=lambda fraction: work.progress(fraction * ENCODE_SHARE),
        ca_file=context.ca_file,
    )
    stored = await store_renditions(context, run, result.renditions, directory)
    read = await store_reading(context, guest, directory, _read_part(result)) if guest else None
    sheets, sheet_files = await _store_sheets(context, work, directory / "sprites", result.sheets)

    async def commit(conn: Connection) -> None:
        for rendition in stored:
            await rendition.commit(conn, run)
        await sheet_files.settle(conn, run.asset_id)
        await sprites.replace_chunk(conn, run.asset_id, run.chunk or 0, sheets)
        if guest and read:
            await read.commit(conn)
            await runs.insert_done(conn, guest, {**read.outputs, "with_run": run.run_id}, host_id=run.run_id)

    return Outcome(outputs={"candidates": [candidate.to_json() for candidate in result.candidates]}, commit=commit)


def guest_of(host: StageRun) -> StageRun | None:
    """Return the run of `ocr` whose work a run of `chunk` does in its own decode; None where it only encodes."""
    asked = host.params.get("read")
    return replace(host, run_id=new_id(), stage="ocr", **asked) if asked else None


def _read_part(result: ChunkResult) -> ReadingResult:
    return ReadingResult(result.frames, result.frames, result.lines, result.debug_frames)


async def _store_sheets(
    context: StageContext, work: Work, directory: Path, made: Sequence[SpriteSheet]
) -> tuple[list[Sheet], Written]:
    def key(file: str) -> ObjectKey:
        return context.key(work.run, "sprite", name=file)

    files = [(key(sheet.file), directory / sheet.file) for sheet in made]
    written = await context.write(work.run, "sprite", files, content_type="image/jpeg")
    sheets = [
        Sheet(
            chunk=work.run.chunk or 0,
            position=position,
            store=written.store,
            key=key(sheet.file),
            first_ms=sheet.first_ms,
            tile_ms=sheet.tile_ms,
            tiles=sheet.tiles,
            columns=sheet.columns,
            tile_width=sheet.tile_width,
            tile_height=sheet.tile_height,
        )
        for position, sheet in enumerate(made)
    ]
    return sheets, written
