"""Stage `audio`: one pass over the sound gives an audio rendition of its own."""

from pathlib import Path

from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.context import StageContext, read_probe
from mediaplane.pipeline.renditions import store_renditions
from mediaplane.pipeline.tools.audio import encode_audio
from mediaplane.postgres import Connection


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Encode the first sound track for HLS.

    Raises:
        MediaError: it cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    original = await context.original(work.run.asset_id)
    encoded = await encode_audio(
        context.source_url(original),
        await read_probe(context, work.run.asset_id),
        out_dir=directory / "audio",
        limits=context.limits,
        on_progress=work.progress,
        ca_file=context.ca_file,
    )
    stored = await store_renditions(context, work.run, [encoded], directory)

    async def commit(conn: Connection) -> None:
        for rendition in stored:
            await rendition.commit(conn, work.run)

    return Outcome(outputs={"segments": len(encoded.segments)}, commit=commit)
