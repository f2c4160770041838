"""Lines of text that were read before, found again by how they look.

The same line comes back when a window is switched, a page is scrolled or a caret beside it blinks. Exact pixels
differ by codec noise and by a fraction of a pixel, so crops are compared: cut tightly around the ink, aligned by
up to two pixels, equal when no spot of 3 x 3 pixels differs by more than a fraction of the contrast.
"""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from mediaplane.pipeline.tools.engine import Reading
from mediaplane.pipeline.tools.luma import Luma

MAX_ENTRIES = 4_000  # about 10 KB each
MIN_SIDE = 4  # pixels; smaller ink is no text
ALIGN = 2  # pixels
SOLID = 0.92  # share of one shade in a caret; letters have strokes and gaps
INK = 40  # levels from the background; thinner strokes are antialiased away
SAME_MEAN = 0.06  # of the contrast
SAME_SPOT = 0.25  # of the contrast: a dot on an i or the bar of a G is more
MIN_CONTRAST = 60.0  # below, noise counts as much as ink


@dataclass(frozen=True, slots=True)
class _Entry:
    framed: Luma  # the ink with a border of ALIGN pixels of background
    reading: Reading


def cut_ink(crop: Luma) -> Luma | None:
    """Return `crop` cut tightly around what stands out from its background; None where nothing does."""
    background = int(np.bincount(crop.ravel()).argmax())
    ink = cv2.absdiff(crop, np.full_like(crop, background)) > INK
    x, y, width, height = cv2.boundingRect(ink.view(np.uint8))
    return crop[y : y + height, x : x + width] if width >= MIN_SIDE and height >= MIN_SIDE else None


def is_solid(ink: Luma) -> bool:
    """Tell whether tightly cut ink is one filled rectangle: a caret, no letter."""
    shade = int(np.bincount(ink.ravel()).argmax())
    others = int(np.count_nonzero(cv2.absdiff(ink, np.full_like(ink, shade)) > INK))
    return ink.shape[1] <= 2 * ink.shape[0] and others <= (1 - SOLID) * ink.size


class LineCache:
    """Readings of the latest `MAX_ENTRIES` different crops."""

    def __init__(self) -> None:
        self._by_size: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._next = 0

    def find(self, ink: Luma) -> Reading | None:
        """Return what was read from a crop that looks the same."""
        height, width = ink.shape
        contrast = max(MIN_CONTRAST, float(ink.max()) - float(ink.min()))
        for width_off in (0, -1, 1, -2, 2):
            for height_off in (0, -1, 1):
                for number in self._by_size.get((width + width_off, height + height_off), ()):
                    entry = self._entries[number]
                    if _looks_same(entry.framed, ink, contrast):
                        self._entries.move_to_end(number)
                        return entry.reading
        return None

    def keep(self, ink: Luma, reading: Reading) -> None:
        """Remember what was read from `ink`."""
        background = int(np.bincount(ink.ravel()).argmax())
        border = cv2.copyMakeBorder(ink, ALIGN, ALIGN, ALIGN, ALIGN, cv2.BORDER_CONSTANT, value=background)
        self._entries[self._next] = _Entry(cast("Luma", border), reading)
        self._by_size[ink.shape[1], ink.shape[0]].append(self._next)
        self._next += 1
        if len(self._entries) > MAX_ENTRIES:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        number, entry = self._entries.popitem(last=False)
        height, width = (side - 2 * ALIGN for side in entry.framed.shape)
        self._by_size[width, height].remove(number)
        if not self._by_size[width, height]:
            del self._by_size[width, height]


def _looks_same(framed: Luma, ink: Luma, contrast: float) -> bool:
    """Compare where `ink` fits best into `framed`; what hangs over the edge was background there."""
    distance = cv2.matchTemplate(framed, ink, cv2.TM_SQDIFF)
    _, _, (x, y), _ = cv2.minMaxLoc(distance)
    difference = cv2.absdiff(framed[y : y + ink.shape[0], x : x + ink.shape[1]], ink)
    if float(difference.mean()) > SAME_MEAN * contrast:
        return False
    return float(cv2.blur(difference, (3, 3)).max()) <= SAME_SPOT * contrast
