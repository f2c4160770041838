"""Stage `clip`: a piece of an asset as a file of its own, with a thumbnail, kept until it expires."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from mediaplane.catalog import clips
from mediaplane.catalog.clips import Clip
from mediaplane.errors import MediaError
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media.clip_names import name_fields
from mediaplane.pipeline.clip_source import fetch_excerpt
from mediaplane.pipeline.context import StageContext, Written, read_probe
from mediaplane.pipeline.tools.cut import cut_exact, cut_fast
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import ClipResult
from mediaplane.postgres import Connection

THUMBNAIL = "thumbnail"


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Cut the clip that the run is about out of the original, by ranges.

    Raises:
        ClipNotFound: it was deleted.
        ObjectNotFound: the original is gone.
        MediaError: it cannot be cut.
        ToolFailed: a tool failed for a reason that may pass.
    """
    run = work.run
    async with context.pool.connection() as conn:
        clip = await clips.get(conn, run.subject)
    path = directory / "clip.mp4"
    made = await _cut(context, work, path)
    named = name_fields(highlight=clip.highlight, version=clip.version, title=clip.title, style=clip.style)
    key = context.key(run, "clip", clip_id=clip.clip_id, **named)
    written = await context.write(run, "clip", [(key, path)], content_type="video/mp4")
    thumbnail = await _write_thumbnail(context, work, clip, path, directory / "thumbnail.jpg")

    async def commit(conn: Connection) -> None:
        await written.settle(conn, run.asset_id)
        thumb = {}
        if thumbnail is not None:
            await thumbnail.settle(conn, run.asset_id)
            thumb = {"thumb_store": thumbnail.store, "thumb_key": str(thumbnail.infos[0].key)}
        await clips.mark_ready(conn, clip.clip_id, store=written.store, key=key, **thumb)

    return Outcome(outputs=made.to_json(), commit=commit)


async def _cut(context: StageContext, work: Work, path: Path) -> ClipResult:
    run = work.run
    source = context.source_url(await context.original(run.asset_id))
    found = await read_probe(context, run.asset_id)
    times = {"start_ms": run.params["t_start_ms"], "end_ms": run.params["t_end_ms"]}
    means: dict[str, Any] = {"limits": context.limits, "ca_file": context.ca_file}
    if run.params["mode"] == "fast":
        part = await fetch_excerpt(context, run.asset_id, found, **times, directory=path.parent / "excerpt")
        if part is None:
            return await cut_fast(source, found, path, **times, **means)
        start_ms, end_ms = (round(at_ms - part.first_ms) for at_ms in times.values())
        return await cut_fast(str(part.path), part.probe, path, start_ms, end_ms, **means)
    shape = run.params.get("aspect")
    return await cut_exact(source, found, path, **times, **means, aspect=Fraction(*shape) if shape else None)


async def _write_thumbnail(context: StageContext, work: Work, clip: Clip, path: Path, picture: Path) -> Written | None:
    """Write a picture of the clip, cropped as it is; None without a place for it in the layout, or of sound alone."""
    if not context.keeps(THUMBNAIL):
        return None
    try:
        found = await probe(str(path), limits=context.limits)
        if found.video is None:
            return None
        await make_poster(str(path), found, picture, limits=context.limits)
    except MediaError:
        return None  # a clip shorter than its first frame: it plays all the same
    named = name_fields(highlight=clip.highlight, version=clip.version, title=clip.title, style=clip.style)
    key = context.key(work.run, THUMBNAIL, clip_id=clip.clip_id, **named)
    return await context.write(work.run, THUMBNAIL, [(key, picture)], content_type="image/jpeg")
