"""What OCR saw, drawn into the frame: for people who wonder why a word is not found."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.lines import Line

Picture = NDArray[np.uint8]  # height x width x (blue, green, red)

_FRAME = (60, 180, 40)
_PAPER = (255, 255, 255)
_INK = (140, 30, 20)


def draw_lines(picture: Picture, lines: Iterable[Line], timestamp_ms: int | None = None) -> Picture:
    """Return a copy of `picture` with the box and text of each line; with a time, of the lines visible then.

    The drawing font has no letters beyond ASCII: others are shown as `?`.
    """
    drawn = picture.copy()
    for line in lines:
        if timestamp_ms is None or line.t_start_ms <= timestamp_ms <= line.t_end_ms:
            _draw(drawn, line)
    return drawn


def _draw(picture: Picture, line: Line) -> None:
    x, y, width, height = line.box
    cv2.rectangle(picture, (x, y), (x + width, y + height), _FRAME, 1)
    label = f"{line.text.encode('ascii', 'replace').decode()} {line.confidence:.2f}"
    (text_width, text_height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    top = y - text_height - 4 if y > text_height + 4 else y + height
    cv2.rectangle(picture, (x, top), (x + text_width, top + text_height + 4), _PAPER, cv2.FILLED)
    cv2.putText(picture, label, (x, top + text_height + 1), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
