"""Renditions and their segments: what HLS playlists are written from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import class_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("playback")


@dataclass(frozen=True, slots=True)
class Rendition:
    """One quality of an asset."""

    name: str
    kind: str  # video or audio
    width: int | None
    height: int | None
    frame_rate: float | None
    bandwidth: int  # bits per second, peak
    codecs: str  # RFC 6381
    language: str = ""  # of a sound track, as the file says it
    title: str = ""


class HlsSegment(NamedTuple):
    """One media segment in its place; a tuple, because a playlist reads a thousand at once."""

    rendition: str
    chunk: int
    position: int
    store: str
    key: str
    init_key: str
    duration_us: int
    size_bytes: int


async def put_rendition(conn: Connection, asset_id: str, rendition: Rendition) -> None:
    """Add the rendition, or raise its peak bandwidth."""
    values = {
        "name": rendition.name,
        "kind": rendition.kind,
        "width": rendition.width,
        "height": rendition.height,
        "frame_rate": rendition.frame_rate,
        "bandwidth": rendition.bandwidth,
        "codecs": rendition.codecs,
        "language": rendition.language,
        "title": rendition.title,
    }
    await conn.execute(SQL["put_rendition"], {"asset_id": asset_id, **values})


async def replace_segments(
    conn: Connection,
    asset_id: str,
    *,
    rendition: str,
    chunk: int,
    store: str,
    init_key: str,
    segments: Sequence[tuple[str, int, int]],
) -> None:
    """Set the chunk's segments to these (key, duration in µs, size in bytes), in playing order."""
    place = {"asset_id": asset_id, "rendition": rendition, "chunk": chunk}
    await conn.execute(SQL["drop_segments"], place)
    keys, durations, sizes = (list(column) for column in zip(*segments, strict=True)) if segments else ([], [], [])
    columns = {"keys": keys, "durations": durations, "sizes": sizes}
    await conn.execute(SQL["put_segments"], {**place, "store": store, "init_key": init_key, **columns})


async def renditions(conn: Connection, asset_id: str) -> list[Rendition]:
    """Return the asset's renditions, best video first, audio last."""
    async with conn.cursor(row_factory=class_row(Rendition)) as cursor:
        return await (await cursor.execute(SQL["renditions"], {"asset_id": asset_id})).fetchall()


async def segments(conn: Connection, asset_id: str, rendition: str) -> list[HlsSegment]:
    """Return the rendition's segments in playing order."""
    async with conn.cursor(row_factory=_segment_row) as cursor:
        values = {"asset_id": asset_id, "rendition": rendition}
        return await (await cursor.execute(SQL["segments"], values)).fetchall()


def _segment_row(_cursor: object) -> Callable[[Sequence[Any]], HlsSegment]:
    """Take rows as they come, a quarter of the cost of passing names; the query has the columns in this order."""
    return HlsSegment._make


async def drop_stale(conn: Connection, asset_id: str, *, names: Sequence[str], chunks: int) -> None:
    """Forget what an earlier processing left: renditions other than `names`, and chunks from `chunks` on."""
    values = {"asset_id": asset_id, "names": list(names), "chunks": chunks}
    await conn.execute(SQL["drop_stale_segments"], values)
    await conn.execute(SQL["drop_stale_renditions"], values)
