"""Finding segments: the queries behind search. Which text query to ask is `search/`'s business."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from mediaplane.postgres import Connection, load_queries, values_of

SQL = load_queries("moments")

MAX_READ_WHOLE = 2000  # matches that are all read, then sorted or narrowed; of more, the newest are, or the times
MAX_LOOKED_AT = 200  # segments before the end of each line, where those that match are too many to be read
MAX_CANDIDATES = 1000  # ranked at a time, newest first: a word that is everywhere costs no more than this


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Where to look: one owner, one team, an asset, a time range in assets, a source, each where given."""

    owner: str | None
    team: str | None = None
    asset_id: str | None = None
    after_ms: int | None = None
    before_ms: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class EntityCondition:
    """Segments that have (or have not) an entity: a URL by host or part of its path, a number by value or range."""

    kind: str
    value: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A segment that matches."""

    segment_id: int
    asset_id: str
    source: str
    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int] | None
    frame_ms: int | None
    score: float
    text_hash: int  # the same for the same text


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a segment must be. `index` and `order` are tsqueries, `order` checked on what `index` has found."""

    narrowing: Narrowing
    index: str | None = None
    order: str | None = None
    entities: Sequence[EntityCondition] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a line is scored: `best` where it matches the tsquery `exact` (or that is None), else `rest`.

    To that comes up to `spread`, the more of the line the query's words are.
    """

    exact: str | None
    best: float
    rest: float
    spread: float
    words: int  # of the query


@dataclass(frozen=True, slots=True)
class Window:
    """A range of segment ids, both ends included; what is ranked together. None: open."""

    upper: int | None = None
    lower: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands among all: by score, then by these."""

    score: float
    asset_id: str
    text_hash: int
    t_start_ms: int
    segment_id: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A page of lines, best first, and the window it came from; `is_full`: older segments may match too."""

    lines: list[Line]
    window: Window
    is_full: bool


def place_of(line: Line) -> Place:
    """Return where `line` stands."""
    return Place(line.score, line.asset_id, line.text_hash, line.t_start_ms, line.segment_id)


async def rank(
    conn: Connection, criteria: Criteria, ranking: Ranking, *, window: Window, behind: Place | None, limit: int
) -> Ranked:
    """Return the best `limit` matching lines of the window that come behind a place.

    Lines of one asset with the same text and score follow each other in the order of time.
    """
    conditions = _conditions(criteria)
    if window.upper is not None:
        conditions.append("s.segment_id <= %(upper)s")
    if window.lower is not None:
        conditions.append("s.segment_id >= %(lower)s")
    query = _rank_query(tuple(conditions), has_exact=ranking.exact is not None, is_behind=behind is not None)
    values = _values(criteria) | _window_values(window, behind) | values_of(ranking)
    rows = await _fetch(conn, query, values | {"candidates": MAX_CANDIDATES, "limit": limit})
    candidates, oldest, newest_id = rows[0][:3]
    lines = [_line(row[3:]) for row in rows if row[3] is not None]
    return Ranked(lines, Window(newest_id, oldest), candidates >= MAX_CANDIDATES)


async def newest(conn: Connection, criteria: Criteria, *, expected: int, limit: int) -> list[Line]:
    """Return the newest `limit` segments that match, unranked; `expected` is how many match at all."""
    name = "newest_of_rare" if expected <= MAX_READ_WHOLE else "newest_of_common"
    query = _plain_query(name, tuple(_conditions(criteria)))
    return [_line(row) for row in await _fetch(conn, query, {**_values(criteria), "limit": limit})]


async def beside(
    conn: Connection, criteria: Criteria, lines: Sequence[Line], *, expected: int, limit: int
) -> list[Line]:
    """Return segments that match and are seen at the same time as one of `lines`: about `limit` for each.

    `expected` is how many segments match at all: few are all read, of many only those near the lines.
    """
    name = "beside_rare" if expected <= MAX_READ_WHOLE else "beside_common"
    query = _plain_query(name, tuple(_conditions(criteria)))
    times = {
        "assets": [line.asset_id for line in lines],
        "starts": [line.t_start_ms for line in lines],
        "ends": [line.t_end_ms for line in lines],
        "looked_at": MAX_LOOKED_AT,
    }
    return [_line(row) for row in await _fetch(conn, query, {**_values(criteria), **times, "limit": limit})]


@cache
def _rank_query(conditions: tuple[str, ...], *, has_exact: bool, is_behind: bool) -> sql.SQL:
    return _compose(
        "rank",
        conditions=sql.SQL(" AND ").join(map(sql.SQL, conditions)),
        is_exact=sql.SQL("lexemes @@ %(exact)s::tsquery" if has_exact else "true"),
        is_behind=SQL["is_behind"] if is_behind else sql.SQL("true"),
    )


@cache
def _plain_query(name: str, conditions: tuple[str, ...]) -> sql.SQL:
    return _compose(name, conditions=sql.SQL(" AND ").join(map(sql.SQL, conditions)))


def _compose(name: str, **parts: sql.Composable) -> sql.SQL:
    """Return the query as one text: joining its parts costs as much as asking for a rare word."""
    return sql.SQL(SQL[name].format(**parts).as_string())


async def _fetch(conn: Connection, query: sql.SQL, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        # Planned anew each time: the best plan for a rare word is the worst for one that is everywhere.
        return await (await cursor.execute(query, values, prepare=False)).fetchall()


def _line(row: Sequence[Any]) -> Line:
    segment_id, asset_id, source, t_start_ms, t_end_ms, text, box, *more = row
    return Line(segment_id, asset_id, source, t_start_ms, t_end_ms, text, tuple(box) if box else None, *more)


def _conditions(criteria: Criteria) -> list[str]:
    narrowing = criteria.narrowing
    wanted: dict[str, bool] = {
        "s.owner = %(owner)s": narrowing.owner is not None,
        "s.team = %(team)s": narrowing.team is not None,
        "s.lexemes @@ %(index)s::tsquery": criteria.index is not None,
        # IS TRUE keeps it from the index, which would read the same words a second time.
        "(s.lexemes @@ %(order)s::tsquery) IS TRUE": criteria.order is not None,
        "s.asset_id = %(asset_id)s": narrowing.asset_id is not None,
        "s.t_end_ms >= %(after_ms)s": narrowing.after_ms is not None,
        "s.t_start_ms <= %(before_ms)s": narrowing.before_ms is not None,
        "s.source = %(source)s": narrowing.source is not None,
    }
    texts = [text for text, is_wanted in wanted.items() if is_wanted] or ["true"]
    return texts + [_entity(place, condition) for place, condition in enumerate(criteria.entities)]


def _entity(place: int, condition: EntityCondition) -> str:
    name = "url_condition" if condition.kind == "url" else "number_condition" if condition.value else "range_condition"
    names = ("value", "begins", "low", "high")
    inner = SQL[name].format(**{field: sql.Placeholder(f"{field}_{place}") for field in names}).as_string()
    return f"s.segment_id {'NOT IN' if condition.negative else 'IN'} ({inner})"


def _values(criteria: Criteria) -> dict[str, Any]:
    values = values_of(criteria.narrowing) | {"index": criteria.index, "order": criteria.order}
    for place, condition in enumerate(criteria.entities):
        begins = (condition.value or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        values |= {f"value_{place}": condition.value, f"begins_{place}": begins}
        values |= {f"low_{place}": condition.low, f"high_{place}": condition.high}
    return values


def _window_values(window: Window, behind: Place | None) -> dict[str, Any]:
    values: dict[str, Any] = {"upper": window.upper, "lower": window.lower}
    if behind:
        values |= {"score": behind.score, "behind_asset": behind.asset_id, "behind_hash": behind.text_hash}
        values |= {"behind_ms": behind.t_start_ms, "behind_id": behind.segment_id}
    return values
