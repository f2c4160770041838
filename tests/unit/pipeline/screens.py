"""Frames whose text a simple engine reads exactly: each letter is a column of seven blocks, its ASCII code.

A bar under every letter, spaces too, keeps words of a line together and tells the engine where letters stand.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from mediaplane.pipeline.tools.engine import Reading
from mediaplane.pipeline.tools.lines import Box
from mediaplane.pipeline.tools.luma import Luma

LETTER_WIDTH, LETTER_HEIGHT = 8, 16
PAPER, INK = 240, 20
MARGIN = 3  # pixels around the ink, as detectors leave them


def blank(width: int = 640, height: int = 320) -> Luma:
    return np.full((height, width), PAPER, np.uint8)


def write(frame: Luma, x: int, y: int, text: str) -> Luma:
    """Write `text` into the frame with its upper left corner at (x, y); what is outside is cut off."""
    for place, letter in enumerate(text):
        left = x + place * LETTER_WIDTH
        for bit in range(7):
            if ord(letter) >> bit & 1:
                frame[y + 2 * bit : y + 2 * bit + 2, left + 1 : left + 7] = INK
        frame[y + 14 : y + 16, left + 1 : left + 7] = INK
    return frame


def screen(*lines: tuple[int, int, str]) -> Luma:
    frame = blank()
    for x, y, text in lines:
        write(frame, x, y, text)
    return frame


class BlockEngine:
    """Reads what `write` wrote; `doubtful` texts get that confidence instead of 1."""

    def __init__(self, doubtful: dict[str, float] | None = None) -> None:
        self.detections = 0
        self.pixels = 0
        self.read: list[str] = []
        self._doubtful = doubtful or {}

    def detect(self, luma: Luma) -> list[Box]:
        self.detections += 1
        self.pixels += luma.size
        ink = (luma < (PAPER + INK) // 2).astype(np.uint8)
        joined = cv2.dilate(ink, np.ones((1, 5), np.uint8))
        joined = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, np.ones((15, 1), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        boxes = [Box(*stats[number][:4].tolist()) for number in range(1, count)]
        height, width = luma.shape
        return [box.grown(MARGIN, MARGIN, width, height) for box in boxes if box.width >= 8 and box.height >= 8]

    def recognise(self, crops: Sequence[Luma]) -> list[Reading]:
        return [self._recognise(crop) for crop in crops]

    def _recognise(self, crop: Luma) -> Reading:
        ink = crop < (PAPER + INK) // 2
        left, bottom = int(np.flatnonzero(ink.any(0))[0]) - 1, int(np.flatnonzero(ink.any(1))[-1]) + 1
        text = ""
        for middle in range(left + 4, crop.shape[1], LETTER_WIDTH):
            rows = [bottom - 15 + 2 * bit for bit in range(7)]
            text += chr(sum(1 << bit for bit, row in enumerate(rows) if row >= 0 and ink[row, middle]))
        text = text.strip("\0 ")
        self.read.append(text)
        return Reading(text, self._doubtful.get(text, 1.0))
