"""Frames as JPEG: from ffmpeg's planes to a file, in the right colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.errors import ToolFailed
from mediaplane.pipeline.tools.filters import color_matrix
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.results import VideoStream

JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class YuvFrame:
    """A yuv420p frame of even sides: luma rows, then the two quarter planes; `width` and `height` are the picture's."""

    planes: NDArray[np.uint8]
    width: int
    height: int

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The brightness alone, cut to the picture; a view."""
        return self.planes[: self.height, : self.width]


def write_jpeg(frame: YuvFrame, video: VideoStream, path: Path) -> None:
    """Write a frame as JPEG in its full size.

    Raises:
        ToolFailed: it cannot be written.
    """
    write_bgr(yuv_to_bgr(frame, video), path)


def yuv_to_bgr(frame: YuvFrame, video: VideoStream) -> NDArray[np.uint8]:
    """Return the picture in the colours that the stream says, which OpenCV's own conversion would take for BT.601."""
    picture = av.VideoFrame.from_ndarray(frame.planes, format="yuv420p")
    found: Any = picture.to_ndarray(format="bgr24", src_colorspace=color_matrix(video), src_color_range=1)
    return np.ascontiguousarray(found[: frame.height, : frame.width])


def write_bgr(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture as JPEG.

    Raises:
        ToolFailed: it cannot be written.
    """
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ToolFailed(f"{path.name} could not be made")
    path.write_bytes(data.tobytes())


def debug_pictures(out_dir: Path, times_ms: Sequence[int], lines: Sequence[Line]) -> list[int]:
    """Write each kept frame once more into `debug/` with what was read on it, and return their times."""
    from mediaplane.pipeline.tools.debug import draw_lines

    (out_dir / "debug").mkdir(exist_ok=True)
    for timestamp_ms in times_ms:
        picture: Any = cv2.imread(str(out_dir / "frames" / f"{timestamp_ms}.jpg"))
        write_bgr(draw_lines(picture, lines, timestamp_ms), out_dir / "debug" / f"{timestamp_ms}.jpg")
    return list(times_ms)
