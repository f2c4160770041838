"""Stage `clip`: a piece of an asset as a file of its own, kept until it expires."""

from pathlib import Path

from mediaplane.catalog import clips
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.context import StageContext, read_probe
from mediaplane.pipeline.tools.cut import cut_exact, cut_fast
from mediaplane.postgres import Connection


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Cut the clip that the run is about out of the original, by ranges.

    Raises:
        ObjectNotFound: the original is gone.
        MediaError: it cannot be cut.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run = work.run
    original = await context.original(run.asset_id)
    path = directory / "clip.mp4"
    cut = cut_fast if run.params["mode"] == "fast" else cut_exact
    made = await cut(
        context.source_url(original),
        await read_probe(context, run.asset_id),
        path,
        start_ms=run.params["t_start_ms"],
        end_ms=run.params["t_end_ms"],
        limits=context.limits,
        ca_file=context.ca_file,
    )
    key = context.settings.layout.key("clip", asset_id=run.asset_id, clip_id=run.subject)
    written = await context.write(run, "clip", [(key, path)], content_type="video/mp4")

    async def commit(conn: Connection) -> None:
        await written.settle(conn, run.asset_id)
        await clips.mark_ready(conn, run.subject, store=written.store, key=key)

    return Outcome(outputs=made.to_json(), commit=commit)
