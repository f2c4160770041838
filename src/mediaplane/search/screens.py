"""Moments whose words stand on different lines: times at which all clauses of a query can be read at once."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mediaplane.catalog import lexicon, moments
from mediaplane.catalog.moments import Criteria, Line, Narrowing, Place
from mediaplane.media.words import is_lexical
from mediaplane.postgres import Connection
from mediaplane.search.matching import Reading, match_clause
from mediaplane.search.query import Query, Term, Word

MAX_CLAUSES = 8
MAX_RAREST = 30  # segments of the rarest clause that are looked at, newest first
MAX_OTHERS = 10  # segments of each other clause that are seen at the same time as one of these
UNCOUNTED = moments.MAX_READ_WHOLE + 1  # numbers, names and beginnings of words are not in the lexicon: may be many
MAX_COMBINATIONS = 10  # of lines that overlap one segment of the rarest clause

BEST_SCORE = 0.55
WORST_SCORE = 0.35
BETWEEN_LINES = " … "


async def find_screens(
    conn: Connection, query: Query, criteria: Criteria, reading: Reading, *, excluded: str, ceiling: float = BEST_SCORE
) -> list[Line]:
    """Return moments at which lines that overlap in time match all clauses together, best first.

    Moments that one of their lines matches alone are left out. Bounded: the newest segments of the rarest clause
    are looked at, one query for it and one for each other clause.
    """
    if not 2 <= len(query.clauses) <= MAX_CLAUSES:
        return []
    (rarest, expected), *others = await _by_rarity(conn, query, criteria.narrowing, reading)
    one = _narrowed(criteria, rarest, reading, excluded)
    found = [await moments.newest(conn, one, expected=expected, limit=MAX_RAREST)]
    for clause, expected in others:
        if not found[-1]:
            return []
        one = _narrowed(criteria, clause, reading, excluded)
        found.append(await moments.beside(conn, one, found[0], expected=expected, limit=MAX_OTHERS))
    whole = set.intersection(*({line.segment_id for line in lines} for lines in found))
    return _rank(_combine(found, whole), ceiling)


async def _by_rarity(
    conn: Connection, query: Query, narrowing: Narrowing, reading: Reading
) -> list[tuple[tuple[Term, ...], int]]:
    """The clauses with about how many segments match each, the rarest first."""
    spelt = {word: [word, *reading.meant.get(word, ())] for word in query.words()}
    words = [each for alike in spelt.values() for each in alike]
    seen = await lexicon.known(conn, narrowing.owner, narrowing.team, words)

    def count(word: Word) -> int:
        if word.lexeme not in spelt or not is_lexical(word.lexeme):
            return UNCOUNTED
        return sum(seen.get(each, 0) for each in spelt[word.lexeme])

    def frequency(clause: tuple[Term, ...]) -> int:
        return sum(min(map(count, term.words)) for term in clause)

    return sorted(((clause, frequency(clause)) for clause in query.clauses), key=lambda each: each[1])


def _narrowed(criteria: Criteria, clause: Sequence[Term], reading: Reading, excluded: str) -> Criteria:
    match = match_clause(clause, reading)
    return replace(criteria, index=f"{match.index}{excluded}", order=match.order)


def _combine(found: Sequence[Sequence[Line]], whole: set[int]) -> list[tuple[Line, ...]]:
    """Choose one line for each clause, so that all overlap in time; none that is a hit by itself."""
    by_asset: list[dict[str, list[Line]]] = []
    for lines in found[1:]:
        groups: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if line.segment_id not in whole:
                groups[line.asset_id].append(line)
        by_asset.append(groups)
    combined: list[tuple[Line, ...]] = []
    for first in found[0]:
        rows: list[tuple[tuple[Line, ...], int, int]] = []
        if first.segment_id not in whole:
            rows.append(((first,), first.t_start_ms, first.t_end_ms))
        for groups in by_asset:
            others = groups.get(first.asset_id, [])
            rows = [
                ((*row, other), max(start, other.t_start_ms), min(end, other.t_end_ms))
                for row, start, end in rows
                for other in others
                if other.t_start_ms < end and other.t_end_ms > start
            ][:MAX_COMBINATIONS]
        combined += [row for row, _, _ in rows]
    return combined


def _rank(combined: Sequence[tuple[Line, ...]], ceiling: float) -> list[Line]:
    """One hit for each text and time: the longest of those that overlap, scored by how close its lines stand."""
    hits = sorted((_hit(row, ceiling) for row in combined), key=lambda hit: hit.t_start_ms - hit.t_end_ms)
    kept: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for hit in hits:
        same = kept[hit.asset_id, hit.text]
        if all(hit.t_start_ms >= other.t_end_ms or hit.t_end_ms <= other.t_start_ms for other in same):
            same.append(hit)
    return sorted(
        (hit for same in kept.values() for hit in same),
        key=sort_key,
    )


def sort_key(line: Line | Place) -> tuple[float, str, int, int, int]:
    """Return by what lines are sorted, the best first: as the database does."""
    return -line.score, line.asset_id, line.text_hash, line.t_start_ms, line.segment_id


def _hit(row: Sequence[Line], ceiling: float) -> Line:
    lines = sorted({line.segment_id: line for line in row}.values(), key=_place)
    text = BETWEEN_LINES.join(line.text for line in lines)
    return replace(
        row[0],
        text_hash=zlib.crc32(text.encode()),
        t_start_ms=max(line.t_start_ms for line in lines),
        t_end_ms=min(line.t_end_ms for line in lines),
        text=text,
        box=_around(lines),
        frame_ms=max((line.frame_ms for line in lines if line.frame_ms is not None), default=None),
        score=round(ceiling - (BEST_SCORE - WORST_SCORE) * (1 - _closeness(lines)), 6),
    )


def _place(line: Line) -> tuple[int, int, int]:
    return (line.box[1], line.box[0], line.segment_id) if line.box else (0, 0, line.segment_id)


def _around(lines: Sequence[Line]) -> tuple[int, int, int, int] | None:
    boxes = [line.box for line in lines if line.box]
    if not boxes:
        return None
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def _closeness(lines: Sequence[Line]) -> float:
    """1 where the lines stand right below each other, towards 0 with the space between them."""
    boxes = [line.box for line in lines if line.box]
    around = _around(lines)
    if len(boxes) < len(lines) or around is None or not around[3]:
        return 0.5
    return min(1.0, sum(box[3] for box in boxes) / around[3])
