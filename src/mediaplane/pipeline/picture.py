"""Stage `picture`: a still image becomes a JPEG any browser shows, a small one, and text that can be found."""

from pathlib import Path

from mediaplane.catalog import objects, playback, segments, sprites
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.assemble import DERIVED
from mediaplane.pipeline.context import StageContext
from mediaplane.pipeline.ocr import ocr_segment
from mediaplane.pipeline.tools.image import make_pictures
from mediaplane.pipeline.tools.results import OcrOptions
from mediaplane.postgres import Connection


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Decode the image once; its upright picture is kept as the frame at 0 ms.

    Raises:
        MediaError: it cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run = work.run
    options = OcrOptions.from_json(run.params["ocr"]) if run.params["ocr"] else None
    original = await context.original(run.asset_id)
    result = await make_pictures(
        context.source_url(original),
        out_dir=directory,
        ocr=options,
        limits=context.limits,
        ca_file=context.ca_file,
    )
    frame = context.key(run, "frame", timestamp_ms=0)
    poster = context.key(run, "poster")
    pictures = [("frame", frame, directory / "picture.jpg"), ("poster", poster, directory / "poster.jpg")]
    if result.lines and options and options.debug_pictures:
        debug = context.key(run, "debug", timestamp_ms=0)
        pictures.append(("debug", debug, directory / "debug.jpg"))
    written = [await context.write(run, role, [(key, path)], content_type="image/jpeg") for role, key, path in pictures]

    async def commit(conn: Connection) -> None:
        for files in written:
            await files.settle(conn, run.asset_id)
        owner = (run.asset_id, run.owner, run.team)
        await segments.replace_chunk(conn, owner, 0, [ocr_segment(line) for line in result.lines])
        await _remove_leftovers(conn, run.asset_id, run.run_id)

    return Outcome(outputs={"lines": len(result.lines)}, commit=commit)


async def _remove_leftovers(conn: Connection, asset_id: str, run_id: str) -> None:
    """Remove what the asset had while its original was another file, perhaps a recording."""
    await objects.delete_superseded(conn, asset_id, roles=DERIVED, run_ids=[run_id])
    await playback.drop_stale(conn, asset_id, names=[], chunks=0)
    await segments.drop_chunks(conn, asset_id, from_chunk=1)
    await sprites.drop_chunks(conn, asset_id, from_chunk=0)
