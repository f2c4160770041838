"""One line that stays on the screen where two chunks meet is one segment: find which rows to join.

Each chunk is read on its own, so a line that is there across a boundary ends at it and begins at it. Left out on
purpose: what happens to the rows (`catalog/segments.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from mediaplane.catalog.segments import Join
from mediaplane.media.words import fold, shape

ENDS_WITHIN_MS = 300  # of the boundary: a line's last look may be a few frames before it
STARTS_WITHIN_MS = 700  # a new chunk's first picture may move, and is then read half a second late
SAME_TEXT = 90.0  # per cent; the two readings are of different encodings of the same pixels
SAME_BOX = 0.5  # shared area over the area of both together
NEAR_PX = 12  # a page that scrolls just then moves its lines up or down
MIN_MOVED_LETTERS = 6
MOVED = 1.0  # less than any line that stands still

BoxValues = Sequence[int]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Row:
    """A segment as the catalog has it."""

    id: int
    chunk: int
    t_start_ms: int
    t_end_ms: int
    text: str
    box: BoxValues
    confidence: float | None


def find_joins(rows: Iterable[Row], boundaries_ms: Sequence[int]) -> list[Join]:
    """Return which rows continue which, over any number of chunks.

    `boundaries_ms[k]` is where chunk `k + 1` begins and chunk `k` ends. A row is continued by at most one row, the
    most alike of the next chunk: nearly the same text at the same place, else the same text scrolled up or down. Rows
    of chunks that do not touch are never joined. Cost grows with the rows that stand at one boundary, squared.
    """
    ordered = list(rows)
    successor: dict[int, Row] = {}
    for chunk, boundary_ms in enumerate(boundaries_ms):
        ending = [row for row in ordered if row.chunk == chunk and row.t_end_ms >= boundary_ms - ENDS_WITHIN_MS]
        starting = [
            row for row in ordered if row.chunk == chunk + 1 and row.t_start_ms <= boundary_ms + STARTS_WITHIN_MS
        ]
        successor |= _pair(ending, starting)
    continued = {row.id for row in successor.values()}
    return [_chain(row, successor) for row in ordered if row.id in successor and row.id not in continued]


def _pair(ending: Sequence[Row], starting: Sequence[Row]) -> dict[int, Row]:
    """Return the row that continues each ending row, the most alike first."""
    alike = [
        (likeness, before.id, after.id)
        for before in ending
        for after in starting
        if (likeness := _likeness(before, after)) > 0
    ]
    by_id = {row.id: row for row in starting}
    pairs: dict[int, Row] = {}
    taken: set[int] = set()
    for _, before_id, after_id in sorted(alike, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if before_id not in pairs and after_id not in taken:
            pairs[before_id] = by_id[after_id]
            taken.add(after_id)
    return pairs


def _likeness(before: Row, after: Row) -> float:
    """Return how sure it is that two rows are one line; 0 when they are not."""
    same_box = _overlap(before.box, after.box)
    before_key, after_key = _key(before.text), _key(after.text)
    if same_box < SAME_BOX:
        near = abs(before.box[0] - after.box[0]) <= NEAR_PX
        return MOVED if near and before_key == after_key and len(before_key) >= MIN_MOVED_LETTERS else 0.0
    same_text = fuzz.ratio(before_key, after_key)
    if same_text < SAME_TEXT or (before_key != after_key and _digits(before.text) != _digits(after.text)):
        return 0.0  # another page, step or price is another text, however long the words around its number are
    return same_text + same_box


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _key(text: str) -> str:
    return shape(fold("".join(text.split())))


def _overlap(one: BoxValues, other: BoxValues) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared) if shared else 0.0


def _chain(row: Row, successor: dict[int, Row]) -> Join:
    absorbed: list[Row] = []
    last = row
    while (following := successor.get(last.id)) is not None:
        absorbed.append(following)
        last = following
    return Join(row.id, last.t_end_ms, tuple(part.id for part in absorbed))
