"""Spaces that the recognition model left out, put back where the picture has a gap.

Only clear gaps count: as wide as half the height of the ink, and much wider than the gaps between other letters, so
that letters set apart in a heading stay one word.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.luma import Luma

INK = 40  # levels from the background
MIN_GAP = 0.5  # of the ink's height
MIN_TIMES_OTHER_GAPS = 2.5


def restore_spaces(letters: Sequence[str], centres: Sequence[float], crop: Luma) -> str:
    """Return `letters` as text, with a space where two neighbours stand apart.

    `centres` are the columns of `crop` at which the letters were seen, more or less: their middle.
    """
    text = list(letters)
    ink = _ink(crop)
    rows = np.flatnonzero(ink.any(1))
    if len(letters) < 2 or not rows.size:
        return "".join(text)
    gaps = _gaps(np.asarray(ink.any(0)))
    least = max(MIN_GAP * float(rows[-1] - rows[0] + 1), MIN_TIMES_OTHER_GAPS * _usual(gaps))
    for start, end in reversed([gap for gap in gaps if gap[1] - gap[0] >= least]):
        after = int(np.searchsorted(centres, (start + end) / 2))
        if 0 < after < len(text) and not text[after - 1].isspace() and not text[after].isspace():
            text.insert(after, " ")
    return "".join(text)


def _ink(crop: Luma) -> NDArray[np.bool_]:
    background = int(np.bincount(crop.ravel()).argmax())
    ink: NDArray[np.bool_] = np.asarray(cv2.absdiff(crop, np.full_like(crop, background)) > INK)
    return ink


def _gaps(columns: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of columns without ink between columns with ink, as (first, beyond the last)."""
    filled = np.flatnonzero(columns)
    steps = np.flatnonzero(np.diff(filled) > 1)
    return [(int(filled[step]) + 1, int(filled[step + 1])) for step in steps]


def _usual(gaps: Sequence[tuple[int, int]]) -> float:
    return float(np.median([end - start for start, end in gaps])) if gaps else 0.0
