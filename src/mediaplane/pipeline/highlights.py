"""Stage `highlights`: which moments are worth a clip, written to `highlights.json`."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from mediaplane.catalog import assets, playback, segments
from mediaplane.catalog.playback import HlsSegment
from mediaplane.jobs.highlights import HighlightsFile
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.media.highlights import check
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext
from mediaplane.pipeline.tools.detect import Recording, Text
from mediaplane.pipeline.tools.highlights import detect

FETCH_SHARE = 0.2  # of the progress bar
DETECT_SHARE = 0.75


async def run(context: StageContext, work: Work, directory: Path) -> Outcome:
    """Look for highlights in what the other stages made; one that somebody has edited is left alone.

    Raises:
        MediaError: what was made cannot be decoded.
        ToolFailed: the detector failed.
        StorageError: the store failed.
    """
    run = work.run
    recording = await _gather(context, work, directory)
    work.progress(FETCH_SHARE)
    found = await detect(
        recording,
        detector=run.params["detector"],
        limits=context.limits,
        on_progress=lambda fraction: work.progress(FETCH_SHARE + fraction * DETECT_SHARE),
    )
    async with context.pool.connection() as conn:
        asset = await assets.get(conn, run.asset_id)
    file = HighlightsFile(context.pool.connection, context.stores, context.placement, context.settings.layout)
    highlights = check(run.asset_id, recording.duration_ms, found, detector=run.params["detector"])
    written = await file.write(asset, highlights.to_bytes(), None, run_id=run.run_id)
    return Outcome(outputs={"moments": len(found), "kept_edited": not written.detected})


async def _gather(context: StageContext, work: Work, directory: Path) -> Recording:
    """Return the recording with its sound and its smallest picture as files, and its texts."""
    params, asset_id = work.run.params, work.run.asset_id
    async with context.pool.connection() as conn:
        asset = await assets.get(conn, asset_id)
        renditions = await playback.renditions(conn, asset_id)
        texts = await segments.of_asset(conn, asset_id)
        sound = next((one.name for one in renditions if one.kind == "audio"), "")
        pictures = [one for one in renditions if one.kind == "video"]
        picture = min(pictures, key=lambda one: one.height or 0).name if pictures else ""
        sound_segments = await playback.segments(conn, asset_id, sound)
        picture_segments = await playback.segments(conn, asset_id, picture)
    sound_paths = await _fetch(context, sound_segments, directory / "sound")
    picture_paths = await _fetch(context, picture_segments, directory / "picture")
    length_ms = sum(segment.duration_us for segment in sound_segments or picture_segments) // 1000
    return Recording(
        duration_ms=asset.duration_ms or length_ms,
        texts=[Text(one.t_start_ms, one.t_end_ms, one.text, one.source) for one in texts],
        sound_path=sound_paths[0] if sound_paths else "",
        picture_paths=picture_paths,
        count=params["count"],
        shortest_ms=params["seconds"][0] * 1000,
        longest_ms=params["seconds"][1] * 1000,
    )


async def _fetch(context: StageContext, listed: Sequence[HlsSegment], directory: Path) -> list[str]:
    """Write each chunk's init section and segments into one file, which is an MP4 of its own; return the paths."""
    directory.mkdir()
    paths = []
    for number, (init_key, pieces) in enumerate(groupby(listed, key=lambda segment: segment.init_key)):
        path = directory / f"{number}.mp4"
        chunk = list(pieces)
        store = context.stores[chunk[0].store].store
        with path.open("wb") as file:
            for key in (init_key, *(segment.key for segment in chunk)):
                async for block in store.read(ObjectKey(key)):
                    file.write(block)
        paths.append(str(path))
    return paths
