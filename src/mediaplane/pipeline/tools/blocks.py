"""The parts of a picture that are not blank: detection costs half a second per million pixels, also where nothing is.

A strip is blank across when no pixel in it differs from the one above, and blank down when none differs from the one
beside it: so the vertical edge of a window does not make every row count. Strips are cut away where they are wide
enough to keep a margin around what is left, rows first, then columns of each part, then rows again.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.lines import Box
from mediaplane.pipeline.tools.luma import Luma

EDGE = 12  # levels between neighbours: fainter is codec noise or a gradient
MARGIN = 20  # pixels kept around: detection needs the paper around a line
MIN_BLANK = 64  # pixels; narrower strips are not worth a second run
MIN_AREA = 200_000  # pixels: below, one run is cheaper than thinking
DEPTH = 3


def find_blocks(luma: Luma) -> list[Box]:
    """Return boxes that hold everything which is not blank, as (x, y, width, height) within `luma`."""
    height, width = luma.shape
    if luma.size < MIN_AREA:
        return [Box(0, 0, width, height)]
    across = cv2.absdiff(luma[1:], luma[:-1]) > EDGE
    down = cv2.absdiff(luma[:, 1:], luma[:, :-1]) > EDGE
    return _split(np.asarray(across), np.asarray(down), Box(0, 0, width, height), DEPTH, by_rows=True)


def _split(across: NDArray[np.bool_], down: NDArray[np.bool_], box: Box, depth: int, *, by_rows: bool) -> list[Box]:
    if not depth:
        return [box]
    part = np.s_[box.y : box.bottom, box.x : box.right]
    filled = np.flatnonzero(across[part].any(1) if by_rows else down[part].any(0))
    if not filled.size:
        return []
    cuts = np.flatnonzero(np.diff(filled) > 2 * MARGIN + MIN_BLANK)
    starts = [int(filled[0]), *(int(filled[cut + 1]) for cut in cuts)]
    ends = [*(int(filled[cut]) for cut in cuts), int(filled[-1])]
    parts = [
        _strip(box, max(0, start - MARGIN), end + MARGIN + 2, by_rows=by_rows)
        for start, end in zip(starts, ends, strict=True)
    ]
    return [block for strip in parts for block in _split(across, down, strip, depth - 1, by_rows=not by_rows)]


def _strip(box: Box, start: int, end: int, *, by_rows: bool) -> Box:
    if by_rows:
        return Box(box.x, box.y + start, box.width, min(end, box.height) - start)
    return Box(box.x + start, box.y, min(end, box.width) - start, box.height)
