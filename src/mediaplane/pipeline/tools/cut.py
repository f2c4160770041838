"""Clips out of an original, by ranges: copied exactly as it is, or re-encoded to the frame.

A clip begins with the frame that is on the screen at its start. Which one that is, is looked up first: with a
variable frame rate it may be seconds old. Everything happens in one child process.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

from mediaplane.errors import InvalidRange, MediaError
from mediaplane.pipeline.tools import ffmpeg
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.encode import exact_cut_arguments, fast_cut_arguments
from mediaplane.pipeline.tools.probe import opened
from mediaplane.pipeline.tools.results import ClipResult, Probe, VideoStream
from mediaplane.pipeline.tools.source import input_arguments

# What MP4 may hold and browsers play. Others are re-encoded.
COPIED_PICTURES = frozenset({"h264", "hevc", "av1", "vp9"})
COPIED_SOUNDS = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
EARLY_US = 10_000_000  # how far before the start reading begins where there is no index
_PACKETS_TRIED = 20_000


async def cut_fast(
    source: str, probe: Probe, out_path: Path, start_ms: int, end_ms: int, *, limits: Limits, ca_file: str | None = None
) -> ClipResult:
    """Copy `start_ms` to `end_ms` without decoding; the result's `mode` is `exact` where that cannot be done.

    The start is exact through an edit list: the file holds what comes since the keyframe before, and hides it.

    Raises:
        InvalidRange: the range is empty or begins after the end.
        MediaError, StorageError, ToolFailed: the source cannot be read.
    """
    request = _request(source, probe, out_path, start_ms, end_ms) | {"mode": "fast", "ca_file": ca_file}
    return ClipResult.from_json(await ask("cut", request, limits=limits))


async def cut_exact(
    source: str,
    probe: Probe,
    out_path: Path,
    start_ms: int,
    end_ms: int,
    *,
    limits: Limits,
    ca_file: str | None = None,
    aspect: Fraction | None = None,
) -> ClipResult:
    """Re-encode `start_ms` to `end_ms`; first and last frame are exact, and nothing is hidden in the file.

    With an `aspect` the middle of the picture is cut out in that shape.

    Raises:
        InvalidRange: the range is empty or begins after the end.
        MediaError, StorageError, ToolFailed: the source cannot be read.
    """
    shape = [aspect.numerator, aspect.denominator] if aspect else None
    asked = {"mode": "exact", "ca_file": ca_file, "aspect": shape}
    request = _request(source, probe, out_path, start_ms, end_ms) | asked
    return ClipResult.from_json(await ask("cut", request, limits=limits))


def _request(source: str, probe: Probe, out_path: Path, start_ms: int, end_ms: int) -> dict[str, Any]:
    end_ms = min(end_ms, probe.duration_ms) if probe.duration_ms else end_ms
    if not 0 <= start_ms < end_ms:
        raise InvalidRange(f"there is nothing to cut between {start_ms} and {end_ms} ms")
    return {
        "source": source,
        "probe": probe.to_json(),
        "out_path": str(out_path),
        "start_us": start_ms * 1000,
        "end_us": end_ms * 1000,
    }


@dataclass(frozen=True, slots=True)
class Start:
    """Where a clip begins, in ticks of the picture: the frame on the screen, and the keyframe to read from."""

    shown_pts: int
    seek: int | None  # the time to seek to in order to land on that keyframe; None: read from the beginning


def _work(request: dict[str, Any], _report: Report) -> dict[str, Any]:
    probe = Probe.from_json(request["probe"])
    out_path = Path(request["out_path"])
    start = _find_start(request, probe, probe.video) if probe.video else None
    mode: Literal["fast", "exact"] = "exact"
    if request["mode"] == "fast" and _can_copy(probe):
        try:
            _copy(request, probe, start, out_path)
            mode = "fast"
        except MediaError:
            _encode(request, probe, start, out_path)
    else:
        _encode(request, probe, start, out_path)
    with opened(str(out_path), None) as container:
        duration_ms = round((container.duration or 0) / 1000)
    return ClipResult(mode, duration_ms, out_path.stat().st_size).to_json()


def _can_copy(probe: Probe) -> bool:
    """Tell whether the picture can be copied; without an index a copy might begin after the start."""
    if probe.video is None:
        return probe.audio[0].codec in COPIED_SOUNDS
    return probe.seekable and probe.video.codec in COPIED_PICTURES


def _find_start(request: dict[str, Any], probe: Probe, video: VideoStream) -> Start:
    """Find the frame that is on the screen at the start, and the keyframe before it, from packets alone."""
    target = video.start_pts + int(Fraction(request["start_us"], 1_000_000) / video.time_base)
    with opened(request["source"], request["ca_file"]) as container:
        stream = container.streams[video.index]
        if not probe.seekable:
            early = round(EARLY_US / 1_000_000 / video.time_base)
            return _without_index(container, stream, video, target, early)
        seek = target
        while True:
            container.seek(seek, stream=stream)
            keyframe, times = _times_until(container, stream, target)
            if times:
                return Start(max(times), seek)
            if keyframe is None or keyframe[1] <= video.start_pts:
                return Start(video.start_pts, None)
            # MP4 is searched by decoding times, which lie before those of showing: it landed behind the target.
            seek = min(seek, keyframe[0]) - 1


def _without_index(container: Any, stream: Any, video: VideoStream, target: int, early: int) -> Start:
    if target - early <= video.start_pts:
        return Start(max(_times_until(container, stream, target)[1], default=video.start_pts), None)
    container.seek(target - early, stream=stream)
    return Start(max(_times_until(container, stream, target)[1], default=video.start_pts), target - early)


def _times_until(container: Any, stream: Any, target: int) -> tuple[tuple[int, int] | None, list[int]]:
    """Return the first keyframe (decoded at, shown at), and the times of frames at or before `target`.

    A frame may be stored up to 16 places before it is shown (Source: ITU-T H.264, max_num_reorder_frames).
    """
    keyframe, found, beyond = None, [], 0
    for tried, packet in enumerate(container.demux(stream)):
        if packet.pts is None:
            continue
        if keyframe is None and packet.is_keyframe:
            keyframe = (int(packet.pts if packet.dts is None else packet.dts), int(packet.pts))
        if packet.pts <= target:
            found.append(int(packet.pts))
        else:
            beyond += 1
        if beyond > 16 or tried > _PACKETS_TRIED:
            break
    return keyframe, found


def _copy(request: dict[str, Any], probe: Probe, start: Start | None, out_path: Path) -> None:
    start_us, seek_us = request["start_us"], None
    if probe.video is not None and start is not None:
        # A player drops a frame that begins before the edit list does, so the list begins with the frame.
        start_us = floor(start.shown_pts * probe.video.time_base * 1_000_000) - probe.start_us
        seek_us = _seek_us(probe.video, start)
    elif start_us > EARLY_US:
        seek_us = probe.start_us + start_us - EARLY_US
    arguments = fast_cut_arguments(
        input_arguments(request["source"], request["ca_file"]),
        probe,
        start_us=start_us,
        end_us=request["end_us"],
        seek_us=seek_us,
        copy_sound=bool(probe.audio) and probe.audio[0].codec in COPIED_SOUNDS,
    )
    ffmpeg.run([*arguments, str(out_path)])


def _seek_us(video: VideoStream, start: Start) -> int | None:
    return None if start.seek is None else ceil(start.seek * video.time_base * 1_000_000)


def _encode(request: dict[str, Any], probe: Probe, start: Start | None, out_path: Path) -> None:
    if probe.video is not None and start is not None:
        seek_us = _seek_us(probe.video, start)
    else:
        seek_us = probe.start_us + request["start_us"] - EARLY_US if request["start_us"] > EARLY_US else None
    arguments = exact_cut_arguments(
        input_arguments(request["source"], request["ca_file"]),
        probe,
        start_us=request["start_us"],
        end_us=request["end_us"],
        shown_pts=None if start is None else start.shown_pts,
        seek_us=seek_us,
        aspect=Fraction(*request["aspect"]) if request.get("aspect") else None,
    )
    ffmpeg.run([*arguments, str(out_path)])


if __name__ == "__main__":
    answer(_work)
