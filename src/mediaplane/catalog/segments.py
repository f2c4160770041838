"""Segments: time ranges with text, with their entities and their words in the lexicon."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg.rows import class_row, scalar_row, tuple_row

from mediaplane.catalog import lexicon
from mediaplane.errors import AssetNotFound
from mediaplane.media.entities import find_entities
from mediaplane.media.words import count_words, tsvector
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("segments")


class AssetOwner(NamedTuple):
    """Whose the segments are; a plain tuple of the three serves as well."""

    asset_id: str
    owner: str
    team: str


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A time range with text, as OCR or speech gave it."""

    source: str  # ocr or speech
    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int] | None = None  # x, y, width, height in pixels of the original
    confidence: float | None = None
    language: str | None = None
    frame_ms: int | None = None  # the kept keyframe in which it is first seen


@dataclass(frozen=True, slots=True)
class Segment:
    """One row of `segments`."""

    segment_id: int
    asset_id: str
    chunk: int
    source: str
    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int] | None
    confidence: float | None
    language: str | None
    frame_ms: int | None

    def __post_init__(self) -> None:
        """Take the box as PostgreSQL gives it, a list."""
        if self.box is not None:
            object.__setattr__(self, "box", tuple(self.box))


@dataclass(frozen=True, slots=True)
class Join:
    """Segments that are one line seen on: the first lives until `t_end_ms`, the absorbed ones go."""

    segment_id: int
    t_end_ms: int
    absorbed: Sequence[int]


async def replace_chunk(
    conn: Connection, asset: tuple[str, str, str], chunk: int, segments: Sequence[NewSegment]
) -> None:
    """Make these the segments of the asset's chunk, in the caller's transaction; `asset` is (asset_id, owner, team).

    Writes entities and lexicon as well. The lexicon comes last, its rows in the order of their words, so that two
    chunks of one owner wait for each other instead of deadlocking: let nothing that locks follow in the transaction,
    and replace one chunk in it.

    Raises:
        AssetNotFound: it was deleted.
    """
    asset_id, owner, team = asset
    await _hold_asset(conn, asset_id)
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(SQL["delete_chunk"], {"asset_id": asset_id, "chunk": chunk})
        old = await cursor.fetchall()
    texts = [_storable(segment.text) for segment in segments]
    ids = await _take_ids(conn, len(segments))
    await _copy_segments(conn, (asset_id, owner, team, chunk), list(zip(ids, texts, segments, strict=True)))
    await _copy_entities(conn, (asset_id, owner, team), zip(ids, texts, strict=True))
    await _adjust_lexicon(conn, owner, team, added=texts, removed=old)


async def of_asset(conn: Connection, asset_id: str) -> list[Segment]:
    """Return the asset's segments in the order of time."""
    async with conn.cursor(row_factory=class_row(Segment)) as cursor:
        return await (await cursor.execute(SQL["of_asset"], {"asset_id": asset_id})).fetchall()


async def page(conn: Connection, asset_id: str, *, after: tuple[int, int] | None, limit: int) -> list[Segment]:
    """Return the asset's segments in the order of time, behind the place `after` (t_start_ms, segment_id)."""
    after_ms, after_id = after or (None, None)
    values = {"asset_id": asset_id, "after_ms": after_ms, "after_id": after_id, "limit": limit}
    async with conn.cursor(row_factory=class_row(Segment)) as cursor:
        return await (await cursor.execute(SQL["page"], values)).fetchall()


async def apply_joins(conn: Connection, joins: Sequence[Join]) -> None:
    """Lengthen the kept segments and delete the absorbed ones, in the caller's transaction."""
    kept = {"ids": [join.segment_id for join in joins], "ends": [join.t_end_ms for join in joins]}
    await conn.execute(SQL["lengthen"], kept)
    gone = [segment_id for join in joins for segment_id in join.absorbed]
    async with conn.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(SQL["delete_many"], {"ids": gone})).fetchall()
    await _forget_words(conn, rows)


async def drop_chunks(conn: Connection, asset_id: str, *, from_chunk: int) -> None:
    """Delete the segments of chunks that a new plan no longer has, in the caller's transaction."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        rows = await (
            await cursor.execute(SQL["delete_chunks_from"], {"asset_id": asset_id, "chunk": from_chunk})
        ).fetchall()
    await _forget_words(conn, rows)


async def _forget_words(conn: Connection, rows: Sequence[tuple[str, str, str]]) -> None:
    """Take the words of deleted segments, rows of (owner, team, text), out of the lexicon's counts."""
    for owner, team in sorted({(owner, team) for owner, team, _ in rows}):
        removed = [text for row_owner, row_team, text in rows if (row_owner, row_team) == (owner, team)]
        await _adjust_lexicon(conn, owner, team, added=(), removed=removed)


async def _hold_asset(conn: Connection, asset_id: str) -> None:
    """Lock the asset against deletion first: the foreign keys would do it later, after other locks."""
    if await (await conn.execute(SQL["hold_asset"], {"asset_id": asset_id})).fetchone() is None:
        raise AssetNotFound(asset_id)


async def _take_ids(conn: Connection, count: int) -> list[int]:
    async with conn.cursor(row_factory=scalar_row) as cursor:
        return await (await cursor.execute(SQL["take_ids"], {"count": count})).fetchall()


async def _copy_segments(
    conn: Connection, place: tuple[str, str, str, int], rows: Sequence[tuple[int, str, NewSegment]]
) -> None:
    async with conn.cursor() as cursor, cursor.copy(SQL["copy_segments"]) as copy:
        for segment_id, text, new in rows:
            box = list(new.box) if new.box else None
            seen = (new.source, new.t_start_ms, new.t_end_ms, text, tsvector(text), box)
            await copy.write_row((segment_id, *place, *seen, new.confidence, new.language, new.frame_ms))


async def _copy_entities(conn: Connection, place: tuple[str, str, str], rows: Iterable[tuple[int, str]]) -> None:
    async with conn.cursor() as cursor, cursor.copy(SQL["copy_entities"]) as copy:
        for segment_id, text in rows:
            for entity in find_entities(text):
                await copy.write_row((segment_id, *place, entity.kind, entity.value, entity.text))


async def _adjust_lexicon(
    conn: Connection, owner: str, team: str, *, added: Iterable[str], removed: Iterable[str]
) -> None:
    changes: Counter[str] = count_words(added)
    changes.subtract(count_words(removed))
    await lexicon.adjust(conn, owner, team, changes)


def _storable(text: str) -> str:
    """Drop what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
