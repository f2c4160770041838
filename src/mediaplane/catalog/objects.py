"""Objects: one blob at a key in a store, always of an asset, in a role.

Each write is intent row, then bytes, then settled row: `intend`, the store's `put`, `settle`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import AssetNotFound, InvalidKey, ObjectNotFound
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection, load_queries
from mediaplane.storage.store import ObjectInfo

SQL = load_queries("objects")


@dataclass(frozen=True, slots=True)
class Object:
    """One row of `objects`."""

    store: str
    key: str
    asset_id: str
    owner: str
    team: str
    role: str
    state: str
    size_bytes: int
    etag: str | None
    content_type: str
    run_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RoleSummary:
    """What an asset has in one role."""

    role: str
    objects: int
    size_bytes: int
    first_key: str


async def intend(
    conn: Connection,
    *,
    store: str,
    asset_id: str,
    role: str,
    keys: Sequence[ObjectKey],
    content_type: str,
    run_id: str | None = None,
) -> None:
    """Write down which keys are about to be written, before any byte is.

    Raises:
        AssetNotFound: the asset was deleted.
        InvalidKey: a key belongs to another asset or has another role.
    """
    values = {"store": store, "asset_id": asset_id, "role": role, "keys": list(keys), "content_type": content_type}
    cursor = await conn.execute(SQL["intend"], {**values, "run_id": run_id})
    if cursor.rowcount == len(keys):
        return
    if (
        cursor.rowcount == 0
        and await (await conn.execute("SELECT 1 FROM assets WHERE asset_id = %s", (asset_id,))).fetchone() is None
    ):
        raise AssetNotFound(asset_id)
    raise InvalidKey(f"a key of {asset_id} ({role}) belongs to another asset or role already: {keys[0]}")


async def settle(conn: Connection, *, store: str, asset_id: str, infos: Sequence[ObjectInfo]) -> int:
    """Note that the bytes are there; return how many of the rows still exist."""
    values = {
        "store": store,
        "asset_id": asset_id,
        "keys": [info.key for info in infos],
        "sizes": [info.size_bytes for info in infos],
        "etags": [info.etag for info in infos],
    }
    return (await conn.execute(SQL["settle"], values)).rowcount


async def get(conn: Connection, store: str, key: str) -> Object:
    """Return the object's row.

    Raises:
        ObjectNotFound: there is no row for the key.
    """
    rows = await _all(conn, "get", {"store": store, "key": key})
    if not rows:
        raise ObjectNotFound(key)
    return rows[0]


async def of_asset(conn: Connection, asset_id: str, role: str | None = None) -> list[Object]:
    """Return the asset's objects, of one role or all, by role and key."""
    return await _all(conn, "of_asset", {"asset_id": asset_id, "role": role})


async def original(conn: Connection, asset_id: str) -> Object:
    """Return the asset's original.

    Raises:
        ObjectNotFound: it has none in the catalog.
    """
    found = [row for row in await of_asset(conn, asset_id, "original") if row.state == "stored"]
    if not found:
        raise ObjectNotFound(f"the original of {asset_id}")
    return found[0]


async def summary(conn: Connection, asset_id: str) -> list[RoleSummary]:
    """Return count and bytes of the asset's stored objects, one entry a role."""
    async with conn.cursor(row_factory=class_row(RoleSummary)) as cursor:
        return await (await cursor.execute(SQL["summary"], {"asset_id": asset_id})).fetchall()


async def known(conn: Connection, store: str, keys: Sequence[str]) -> dict[str, Object]:
    """Return the rows that exist for these keys."""
    return {row.key: row for row in await _all(conn, "known_keys", {"store": store, "keys": list(keys)})}


async def delete(conn: Connection, store: str, keys: Sequence[str]) -> None:
    """Remove rows; the bytes follow through the outbox."""
    await conn.execute(SQL["delete_keys"], {"store": store, "keys": list(keys)})


async def delete_superseded(conn: Connection, asset_id: str, *, roles: Sequence[str], run_ids: Sequence[str]) -> None:
    """Remove the asset's objects of `roles` that other runs than these wrote."""
    await conn.execute(SQL["delete_superseded"], {"asset_id": asset_id, "roles": list(roles), "run_ids": list(run_ids)})


async def delete_expired(conn: Connection, store: str, *, role: str, prefix: str, age: timedelta, limit: int) -> int:
    """Remove rows of stored objects older than `age`, of a role or else under a prefix; return how many.

    Reads the whole table. Clips, playlists and segments are left out.
    """
    values = {"store": store, "role": role, "prefix": prefix, "age": age, "limit": limit}
    return (await conn.execute(SQL["delete_expired"], values)).rowcount


async def delete_forgotten(conn: Connection, *, age: timedelta) -> int:
    """Undo intents older than `age` that no active run or open upload will finish; return how many."""
    return (await conn.execute(SQL["delete_forgotten"], {"age": age})).rowcount


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Object]:
    async with conn.cursor(row_factory=class_row(Object)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
