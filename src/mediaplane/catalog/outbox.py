"""The deletion outbox: keys whose rows are gone and whose bytes are to follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection, load_queries
from mediaplane.storage.store import ObjectInfo

SQL = load_queries("outbox")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What still has to be removed."""

    keys: int
    size_bytes: int
    since: datetime | None


async def stores_due(conn: Connection) -> list[str]:
    """Return the stores in which something is to be removed now."""
    return [row[0] for row in await (await conn.execute(SQL["stores"])).fetchall()]


async def take(conn: Connection, store: str, *, limit: int) -> list[ObjectKey]:
    """Return keys to remove, locked until the caller's transaction ends."""
    rows = await (await conn.execute(SQL["take"], {"store": store, "limit": limit})).fetchall()
    return [ObjectKey(row[0]) for row in rows]


async def put_unowned(conn: Connection, store: str, infos: Sequence[ObjectInfo]) -> int:
    """Note that bytes without a row are to be removed; return how many of them still have none."""
    values = {"store": store, "keys": [info.key for info in infos], "sizes": [info.size_bytes for info in infos]}
    return (await conn.execute(SQL["put_unowned"], values)).rowcount


async def left_at(conn: Connection, store: str, key: str) -> datetime | None:
    """Return since when the bytes at the key are to be removed; None where they are not."""
    row = await (await conn.execute(SQL["left_at"], {"store": store, "key": key})).fetchone()
    return None if row is None else row[0]


async def mark_done(conn: Connection, store: str, keys: Sequence[str]) -> None:
    """Note that the bytes of these keys are gone."""
    await conn.execute(SQL["done"], {"store": store, "keys": list(keys)})


async def postpone(conn: Connection, store: str, keys: Sequence[str], *, error: str) -> None:
    """Note that the store refused, and when to try again."""
    await conn.execute(SQL["postpone"], {"store": store, "keys": list(keys), "error": error})


async def waiting(conn: Connection) -> Waiting:
    """Return how much waits to be removed."""
    row = await (await conn.execute(SQL["waiting"])).fetchone()
    assert row is not None
    return Waiting(keys=row[0], size_bytes=int(row[1]), since=row[2])
