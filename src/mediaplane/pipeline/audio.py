"""Stage `audio`: one pass over the sound gives renditions of its own, its peaks and a picture of its waveform."""

from pathlib import Path

from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.renditions import store_renditions
from mediaplane.pipeline.tools.audio import PEAKS_FILE, WAVEFORM_FILE, encode_sound
from mediaplane.postgres import Connection

ENCODE_SHARE = 0.97  # of the progress bar; the rest is sending files


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Encode the sound tracks for HLS, the default one first.

    Raises:
        MediaError: it cannot be decoded.
        ToolFailed: a tool failed for a reason that may pass.
    """
    original = await context.original(work.run.asset_id)
    encoded = await encode_sound(
        context.source_url(original),
        await read_probe(context, work.run.asset_id),
        out_dir=directory,
        limits=context.limits,
        on_progress=lambda fraction: work.progress(fraction * ENCODE_SHARE),
        ca_file=context.ca_file,
    )
    stored = await store_renditions(context, work.run, encoded.renditions, directory)
    pictures = [
        await _store(context, work, "peaks", directory / PEAKS_FILE, "application/json"),
        await _store(context, work, "waveform", directory / WAVEFORM_FILE, "image/png"),
    ]

    async def commit(conn: Connection) -> None:
        for rendition in stored:
            await rendition.commit(conn, work.run)
        for written in filter(None, pictures):
            await written.settle(conn, work.run.asset_id)

    outputs = {"tracks": len(stored), "segments": len(encoded.renditions[0].segments), "peaks": encoded.peaks}
    return Outcome(outputs=outputs, commit=commit)


async def _store(context: StageContext, work: Work, role: str, path: Path, content_type: str) -> Written | None:
    if not context.keeps(role):
        return None
    key = context.key(work.run, role)
    return await context.write(work.run, role, [(key, path)], content_type=content_type)
