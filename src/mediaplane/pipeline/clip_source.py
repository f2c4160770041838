"""What a fast clip is copied from: of a long recording, the few HLS segments around it instead of the whole index.

The index of an hour is megabytes, read twice; three segments are hardly more than the clip itself. Only a rendition
as large as the original will do, and sound where the original has some. Its chunks must begin alike: then the
segments of several can stand behind one init segment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaplane.catalog import playback
from mediaplane.catalog.playback import HlsSegment, Rendition
from mediaplane.errors import MediaError, ToolFailed
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext
from mediaplane.pipeline.tools.child import Limits, run_child
from mediaplane.pipeline.tools.ffmpeg import QUIET, ffmpeg_path
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Probe

Read = Callable[[str, str], Awaitable[bytes]]  # store and key to bytes
SLACK_US = 500_000  # of sound beyond both ends: its segments are cut elsewhere


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A file that holds a range of the recording; its time 0 is `first_ms` of the recording."""

    path: Path
    probe: Probe
    first_ms: float


async def fetch_excerpt(
    context: StageContext, asset_id: str, original: Probe, *, start_ms: int, end_ms: int, directory: Path
) -> Excerpt | None:
    """Write the range's segments into one file; None where the original has to be read instead.

    Raises:
        StorageError: the store failed.
    """
    async with context.pool.connection() as conn:
        known = await playback.renditions(conn, asset_id)
        picture = next((one for one in known if one.kind == "video" and _as_large(one, original)), None)
        sound = next((one for one in known if one.kind == "audio"), None)
        if picture is None or (original.audio and sound is None):
            return None
        wanted = [one for one in (picture, sound) if one is not None]
        listed = [await playback.segments(conn, asset_id, one.name) for one in wanted]

    async def read(store: str, key: str) -> bytes:
        return b"".join([block async for block in context.stores[store].store.read(ObjectKey(key))])

    return await make_excerpt(
        read, listed, start_ms=start_ms, end_ms=end_ms, directory=directory, limits=context.limits
    )


async def make_excerpt(
    read: Read,
    listed: Sequence[Sequence[HlsSegment]],
    *,
    start_ms: int,
    end_ms: int,
    directory: Path,
    limits: Limits,
) -> Excerpt | None:
    """Write what the picture's segments, and those of the sound where there is one, hold of a range into one file.

    None where it cannot be done: chunks that begin differently, or files that do not go together.
    """
    directory.mkdir()
    first_us, frames = pick(listed[0], start_ms * 1000, end_ms * 1000)
    picked = [frames, *(pick(rows, start_ms * 1000 - SLACK_US, end_ms * 1000 + SLACK_US)[1] for rows in listed[1:])]
    parts = [directory / f"{number}.mp4" for number in range(len(picked))]
    for rows, part in zip(picked, parts, strict=True):
        if not await _write(read, rows, part):
            return None
    path = directory / "excerpt.mp4"
    inputs = [word for part in parts for word in ("-i", f"file:{part}")]
    maps = [word for number in range(len(parts)) for word in ("-map", f"{number}:0")]
    command = [ffmpeg_path(), *QUIET, "-copyts", *inputs, *maps, "-c", "copy", "-f", "mp4", f"file:{path}"]
    try:
        await run_child(command, limits=limits)
        found = await probe(str(path), limits=limits)
    except (MediaError, ToolFailed):
        return None  # the original is there still
    return Excerpt(path, found, first_us / 1000)


def pick(rows: Sequence[HlsSegment], start_us: int, end_us: int) -> tuple[int, list[HlsSegment]]:
    """Return the segments that hold something of a range, and when the first of them begins."""
    begins = first_us = 0
    found: list[HlsSegment] = []
    for row in rows:
        if begins < end_us and begins + row.duration_us > start_us:
            first_us = first_us if found else begins
            found.append(row)
        begins += row.duration_us
    return first_us, found


def _as_large(rendition: Rendition, original: Probe) -> bool:
    video = original.video
    if video is None or not rendition.width or not rendition.height:
        return False
    upright = sorted((video.width, video.height))
    # Sides are made even, so one pixel may be missing; anamorphic pictures are wider than their pixels.
    return video.sample_aspect == 1 and all(
        have >= side - 1 for have, side in zip(sorted((rendition.width, rendition.height)), upright, strict=True)
    )


async def _write(read: Read, rows: Sequence[HlsSegment], path: Path) -> bool:
    """Write one init segment and the media segments behind each other; False where they do not fit."""
    heads = {await read(store, key) for store, key in {(row.store, row.init_key) for row in rows}}
    if len(heads) != 1:
        return False
    bodies = await asyncio.gather(*(read(row.store, row.key) for row in rows))
    path.write_bytes(b"".join([*heads, *bodies]))
    return True
