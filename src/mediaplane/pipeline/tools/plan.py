"""Where to cut a recording into chunks: on keyframes, found by seeking, in a child process."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice
from math import ceil
from typing import Any

import av.error

from mediaplane.errors import MediaUnsupported
from mediaplane.media.timecodes import format_timecode
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.filters import may_jump
from mediaplane.pipeline.tools.probe import opened
from mediaplane.pipeline.tools.results import Chunk, Probe, VideoStream

STRETCH = 0.1  # a chunk may be this much longer than asked for; a recording of 70 s is better cut in two
LEAST_HALVED_SECONDS = 30  # the first chunk, where chunks are at least this long
SHORTEST = 0.4  # of an even share: a chunk shorter than this is not worth its own start
_PACKETS_TRIED = 200  # after a seek, until a keyframe comes
STANDING_SECONDS = 1800  # a longer one needs a frame a minute
STILLS = 300  # small pictures for the scrubbing preview of a recording, about
STILL_STEPS_MS = (500, 1000, 2000, 5000, 10_000)
JUMPING_STILL_MS = 2000  # where the header's times say nothing about the length
STILLS_A_CHUNK = 6  # at least: sheets of one picture each would be a request each

FindKeyframe = Callable[[int], Sequence[int]]


async def plan_chunks(
    source: str, probe: Probe, *, chunk_seconds: int, limits: Limits, ca_file: str | None = None
) -> list[Chunk]:
    """Return the chunks of a video in order, together all of it, about equal, as keyframes allow.

    Costs a seek and a few packets for each chunk. Only a file whose header names no duration is read through.
    The last chunk's `end_us` is the duration.

    Raises:
        MediaError, StorageError, ToolFailed: the source cannot be read.
    """
    request = {"source": source, "probe": probe.to_json(), "chunk_seconds": chunk_seconds, "ca_file": ca_file}
    found = await ask("plan", request, limits=limits)
    return [Chunk.from_json(chunk) for chunk in found]


def _work(request: dict[str, Any], _report: Report) -> list[dict[str, Any]]:
    probe = Probe.from_json(request["probe"])
    assert probe.video is not None
    video = probe.video
    with opened(request["source"], request["ca_file"]) as container:
        stream = container.streams[video.index]
        duration_us = _duration_us(container, stream, probe)
        boundaries: list[int] = []
        if probe.seekable:
            find = _keyframe_finder(container, stream)
            boundaries = choose_boundaries(video, duration_us, request["chunk_seconds"], find)
        if not may_jump(probe):
            _check_moving(container, stream, video, duration_us, boundaries)
    still_ms = JUMPING_STILL_MS if may_jump(probe) else still_interval_ms(duration_us, request["chunk_seconds"])
    return [chunk.to_json() for chunk in chunks_between(video, duration_us, boundaries, still_ms)]


def _check_moving(container: Any, stream: Any, video: VideoStream, duration_us: int, boundaries: Sequence[int]) -> None:
    """Check that a recording of hours is no single picture, which would be looked at ten times a second all the same.

    Reads on only until there are frames enough, one a minute.

    Raises:
        MediaUnsupported: there are too few.
    """
    seconds = duration_us / 1_000_000
    if boundaries or seconds < STANDING_SECONDS:
        return
    needed = ceil(seconds / 60)
    container.seek(video.start_pts, stream=stream)
    frames = sum(1 for _ in islice((packet for packet in container.demux(stream) if packet.size), needed))
    if frames < needed:
        length = format_timecode(round(seconds * 1000)).partition(".")[0]
        raise MediaUnsupported(
            f"this video of {length} has {frames} picture{'s' * (frames != 1)} only: send the picture as an image"
        )


def still_interval_ms(duration_us: int, chunk_seconds: int) -> int:
    """Return the time between two pictures of the scrubbing preview: longer for long recordings."""
    wanted_ms = min(duration_us / 1000 / STILLS, chunk_seconds * 1000 / STILLS_A_CHUNK)
    return next((step for step in STILL_STEPS_MS if step >= wanted_ms), STILL_STEPS_MS[-1])


def choose_boundaries(video: VideoStream, duration_us: int, chunk_seconds: int, find: FindKeyframe) -> list[int]:
    """Return the keyframes (ticks) nearest to even shares of the duration, rising, none too near to another.

    The first of several shares is halved: two workers make its text searchable in half the time.
    """
    count = max(1, ceil(duration_us / 1_000_000 / chunk_seconds - STRETCH))
    share = duration_us / 1_000_000 / count / video.time_base  # in ticks
    boundaries = [video.start_pts]
    end = video.start_pts + share * count
    halved = count > 1 and duration_us / 1_000_000 / count >= LEAST_HALVED_SECONDS
    for number in ([Fraction(1, 2)] if halved else []) + [Fraction(whole) for whole in range(1, count)]:
        target = round(video.start_pts + share * number)
        fitting = [
            pts for pts in find(target) if pts - boundaries[-1] >= share * SHORTEST and end - pts >= share * SHORTEST
        ]
        if fitting:
            boundaries.append(min(fitting, key=lambda pts: abs(pts - target)))
    return boundaries[1:]


def chunks_between(video: VideoStream, duration_us: int, boundaries: list[int], still_ms: int = 0) -> list[Chunk]:
    """Return the chunks that meet at `boundaries`."""
    starts = [None, *boundaries]
    ends = [*boundaries, None]

    def since_start_us(pts: int) -> int:
        return round((pts - video.start_pts) * video.time_base * 1_000_000)

    return [
        Chunk(
            index=index,
            start_us=0 if start is None else since_start_us(start),
            end_us=duration_us if end is None else since_start_us(end),
            start_pts=start,
            end_pts=end,
            still_ms=still_ms,
        )
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _keyframe_finder(container: Any, stream: Any) -> FindKeyframe:
    def land(target: int, *, backward: bool) -> int | None:
        # In MP4 `backward` means by decoding time: the keyframe found may be shown a little after the target.
        try:
            container.seek(target, stream=stream, backward=backward)
        except av.error.FFmpegError:
            return None  # there is none behind the last
        for tried, packet in enumerate(container.demux(stream)):
            if packet.is_keyframe and packet.pts is not None:
                return int(packet.pts)
            if tried >= _PACKETS_TRIED:
                break
        return None

    def find(target: int) -> list[int]:
        landed = (land(target, backward=True), land(target, backward=False))
        return [pts for pts in landed if pts is not None]

    return find


def _duration_us(container: Any, stream: Any, probe: Probe) -> int:
    """Return how long the picture is, from the first frame on."""
    assert probe.video is not None
    if stream.duration and "mov" in probe.container:
        end = (stream.start_time or 0) + stream.duration
        return _length_us(probe.video, end)
    if probe.duration_ms is not None:
        container_start = container.start_time or 0
        return max(1, probe.duration_ms * 1000 + container_start - probe.video.start_us)
    end = max((p.pts + (p.duration or 0) for p in container.demux(stream) if p.pts is not None), default=0)
    return _length_us(probe.video, end)


def _length_us(video: VideoStream, end_pts: int) -> int:
    return max(1, round((end_pts - video.start_pts) * video.time_base * 1_000_000))


if __name__ == "__main__":
    answer(_work)
