"""A picture that stands for a video: the original's frame at the moment with most to see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.errors import MediaUnreadable, MediaUnsupported
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.filters import BT2020
from mediaplane.pipeline.tools.pictures import YuvFrame, write_bgr, yuv_to_bgr
from mediaplane.pipeline.tools.probe import opened
from mediaplane.pipeline.tools.results import Candidate, Picture, Probe, VideoStream
from mediaplane.pipeline.tools.stills import choose_moment
from mediaplane.pipeline.tools.tone import to_sdr

MAX_WIDTH = 1280
SHARES = (0.10, 0.03, 0.25, 0.5)  # of the duration, where no moment is known; later ones only while it is dull
LIVELY = 200.0  # variance of brightness; a black or empty picture is below
_FRAMES_TRIED = 600  # from a keyframe to the wanted time, at most
WITHIN_MS = 15_000  # what cannot be searched is decoded from the beginning: no moment further on


async def make_poster(
    source: str,
    probe: Probe,
    path: Path,
    *,
    candidates: Sequence[Candidate] = (),
    limits: Limits,
    ca_file: str | None = None,
) -> Picture:
    """Write a JPEG at most 1280 wide to `path`: the best of `candidates`, else the liveliest of a few moments.

    Raises:
        MediaUnsupported: there is no picture.
        MediaError, StorageError, ToolFailed: none can be read.
    """
    within = [found for found in candidates if probe.seekable or found.timestamp_ms <= WITHIN_MS]
    request = {
        "source": source,
        "probe": probe.to_json(),
        "path": str(path),
        "at_ms": choose_moment(within, probe.duration_ms),
        "ca_file": ca_file,
    }
    return Picture.from_json(await ask("poster", request, limits=limits))


def _work(request: dict[str, Any], _report: Report) -> dict[str, Any]:
    probe, path = Probe.from_json(request["probe"]), Path(request["path"])
    if probe.video is None:
        raise MediaUnsupported("there is no picture to make a poster of")
    cv2.setNumThreads(1)
    with opened(request["source"], request["ca_file"]) as container:
        frame = _choose(container, probe, probe.video, request["at_ms"])
        picture = _shown(frame, probe.video)
    write_bgr(picture, path)
    return Picture(picture.shape[1], picture.shape[0], path.stat().st_size).to_json()


def _choose(container: Any, probe: Probe, video: VideoStream, at_ms: int | None) -> Any:
    stream = container.streams[video.index]
    if at_ms is not None and (found := _frame_at(container, stream, video, at_ms)) is not None:
        return found
    shares = SHARES if probe.duration_ms and probe.seekable else (0.0,)
    best, most = None, -1.0
    for share in shares:
        frame = _frame_at(container, stream, video, share * (probe.duration_ms or 0))
        variance = _variance(frame) if frame is not None else -1.0
        if variance > most:
            best, most = frame, variance
        if most >= LIVELY:
            break
    if best is None:
        raise MediaUnreadable("no frame of the video can be decoded")
    return best


def _frame_at(container: Any, stream: Any, video: VideoStream, timestamp_ms: float) -> Any:
    target = video.start_pts + round(timestamp_ms / 1000 / video.time_base)
    last = None
    try:
        if timestamp_ms > 0:
            container.seek(target, stream=stream)
        for tried, frame in enumerate(container.decode(stream)):
            last = frame
            if frame.pts is None or frame.pts >= target or tried >= _FRAMES_TRIED:
                break
    except av.error.InvalidDataError:
        pass  # damaged here; other moments may be whole
    return last


def _variance(frame: Any) -> float:
    gray = frame.reformat(width=160, height=90, format="gray").to_ndarray()
    return float(np.var(gray))


def _shown(frame: Any, video: VideoStream) -> NDArray[np.uint8]:
    """Return the picture as a player shows it: square pixels, upright, at most `MAX_WIDTH` wide."""
    rotated = video.rotation in (90, 270)
    width, height = float(video.width * video.sample_aspect), float(video.height)
    factor = min(1.0, MAX_WIDTH / width)
    size = [max(2, round(side * factor / 2) * 2) for side in (width, height)]
    stored = size[::-1] if rotated else size
    picture = _hdr_picture(frame, video, stored) if video.hdr else _plain_picture(frame, video, stored)
    if video.interlaced:  # one of its two moments
        whole: Any = cv2.resize(picture[::2], (picture.shape[1], picture.shape[0]))
        picture = whole
    return np.ascontiguousarray(np.rot90(picture, -video.rotation // 90))


def _plain_picture(frame: Any, video: VideoStream, size: list[int]) -> NDArray[np.uint8]:
    planes = frame.reformat(width=size[0], height=size[1], format="yuv420p", dst_color_range=1).to_ndarray()
    return yuv_to_bgr(YuvFrame(planes, size[0], size[1]), video)


def _hdr_picture(frame: Any, video: VideoStream, size: list[int]) -> NDArray[np.uint8]:
    deep = frame.reformat(width=size[0], height=size[1], format="rgb48le", src_colorspace=BT2020)
    return np.ascontiguousarray(to_sdr(deep.to_ndarray(), video.hdr)[..., ::-1])


if __name__ == "__main__":
    answer(_work)
