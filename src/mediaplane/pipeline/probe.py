"""Stage `probe`: what the original is."""

from pathlib import Path

from mediaplane.catalog import assets
from mediaplane.errors import MediaEmpty
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.context import StageContext
from mediaplane.pipeline.tools.probe import probe
from mediaplane.postgres import Connection


async def run(context: StageContext, work: Work, _directory: Path) -> Outcome:
    """Look at the original's headers.

    Raises:
        ObjectNotFound: the original is gone.
        MediaError: it is empty, truncated, or nothing we can read.
    """
    original = await context.original(work.run.asset_id)
    if original.size_bytes == 0:
        raise MediaEmpty("the file has zero bytes: the upload may have been cut off; send it again")
    found = await probe(context.source_url(original), limits=context.limits, ca_file=context.ca_file)
    document = found.to_json()

    async def commit(conn: Connection) -> None:
        await assets.describe(
            conn,
            work.run.asset_id,
            kind=found.kind,
            duration_ms=found.duration_ms,
            width=found.video.width if found.video else None,
            height=found.video.height if found.video else None,
            probe=document,
        )

    return Outcome(outputs=document, commit=commit)
