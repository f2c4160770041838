"""Stage `plan`: which time ranges the recording is worked on in."""

from pathlib import Path

from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.context import StageContext, read_probe
from mediaplane.pipeline.tools.plan import plan_chunks


async def run(context: StageContext, work: Work, _directory: Path) -> Outcome:
    """Cut the recording into chunks that begin on keyframes; sound alone has none."""
    original = await context.original(work.run.asset_id)
    found = await read_probe(context, work.run.asset_id)
    if found.video is None:
        return Outcome(outputs={"chunks": []})
    chunks = await plan_chunks(
        context.source_url(original),
        found,
        chunk_seconds=work.run.params.get("chunk_seconds", context.settings.chunk_seconds),
        limits=context.limits,
        ca_file=context.ca_file,
    )
    return Outcome(outputs={"chunks": [chunk.to_json() for chunk in chunks]})
