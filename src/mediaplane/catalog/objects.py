"""Objects: one blob at a key in a store, always of an asset, in a role.

Each write is intent row, then bytes, then settled row: `intend`, the store's `put`, `settle`.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg.rows import class_row

from mediaplane.errors import AssetNotFound, InvalidKey, ObjectNotFound
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection, load_queries
from mediaplane.storage.found import Found
from mediaplane.storage.store import ObjectInfo

SQL = load_queries("objects")
# Source: CPython, hashlib: of more it lets other threads run meanwhile; to have its turn again takes longer than this.
_UNSHARED_BYTES = 2047


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


@dataclass(frozen=True, slots=True)
class Part:
    """A thousand stored objects next to each other, or the rest: up to which key, and the digest of all."""

    last_key: str
    digest: str


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


async def lock(conn: Connection, store: str, key: str) -> Object:
    """Return the object's row, locked until the caller's transaction ends.

    Raises:
        ObjectNotFound: there is no row for the key.
    """
    rows = await _all(conn, "lock", {"store": store, "key": key})
    if not rows:
        raise ObjectNotFound(key)
    return rows[0]


async def set_writer(conn: Connection, store: str, key: str, *, run_id: str | None) -> None:
    """Note which run wrote what is at the key now, None for no run."""
    await conn.execute(SQL["set_writer"], {"store": store, "key": key, "run_id": run_id})


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


async def parts(conn: Connection, store: str, prefix: str, *, after: str) -> AsyncGenerator[Part]:
    """Yield what is stored below a prefix and behind a key, in byte order, a thousand objects at a time.

    The connection is busy until the last part. Of a million objects this takes a second or two, and 100 kB.
    """
    values = {"store": store, "prefix": prefix, "end": prefix + chr(0x10FFFF), "after": after}
    async with conn.cursor(row_factory=class_row(Part)) as cursor:
        rows = cast("AsyncGenerator[Part]", cursor.stream(SQL["parts"], values))
        async with aclosing(rows):  # left early, the connection is free again
            async for part in rows:
                yield part


def digest_of(found: Sequence[Found]) -> str:
    """Return the digest that a part has if it is of just these objects."""
    text = "".join([f"{key}\t{size_bytes}\t{etag}\n" for key, size_bytes, etag, _, _ in found])
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, len(data), _UNSHARED_BYTES):
        digest.update(data[start : start + _UNSHARED_BYTES])
    return digest.hexdigest()


async def unlike(conn: Connection, store: str, found: Sequence[Found]) -> list[int]:
    """Return the positions of those that have no row, or one with other bytes, or one whose bytes are not settled.

    `found` is in byte order of its keys. Costs one walk along the rows between its first and its last key.
    """
    keys, etags = [entry.key for entry in found], [entry.etag for entry in found]
    together = "\n".join(keys), "\n".join(etags)  # texts of a thousand entries cost the driver a tenth of arrays
    if any(text.count("\n") != len(found) - 1 for text in together) or not _is_text(together[0]):
        return await _unlike_one_by_one(conn, store, found)
    values = {
        "store": store,
        "keys": together[0],
        "etags": together[1],
        "sizes": ",".join([str(entry.size_bytes) for entry in found]),
        "first": keys[0],
        "last": keys[-1],
    }
    return [row[0] for row in await (await conn.execute(SQL["unlike"], values, prepare=True)).fetchall()]


async def delete(conn: Connection, store: str, keys: Sequence[str]) -> None:
    """Remove rows; the bytes follow through the outbox."""
    await conn.execute(SQL["delete_keys"], {"store": store, "keys": list(keys)})


async def cached_frames(conn: Connection, asset_id: str, *, store: str, timeline_id: str) -> set[str]:
    """Return the keys of stored frames that any run has taken from the same timeline: same pictures, same times."""
    values = {"asset_id": asset_id, "store": store, "timeline_id": timeline_id}
    rows = await (await conn.execute(SQL["cached_frames"], values)).fetchall()
    return {row[0] for row in rows}


async def adopt(conn: Connection, asset_id: str, *, store: str, keys: Sequence[str], run_id: str) -> None:
    """Make stored objects another run's, which uses them unchanged."""
    await conn.execute(SQL["adopt"], {"asset_id": asset_id, "store": store, "keys": list(keys), "run_id": run_id})


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


async def _unlike_one_by_one(conn: Connection, store: str, found: Sequence[Found]) -> list[int]:
    """The same where a key or an etag has a line break in it, or what PostgreSQL does not take as text."""
    rows = await known(conn, store, [entry.key for entry in found if _is_text(entry.key)])
    stored = {key: (row.size_bytes, row.etag) for key, row in rows.items() if row.state == "stored"}
    return [at for at, entry in enumerate(found) if stored.get(entry.key) != (entry.size_bytes, entry.etag)]


def _is_text(text: str) -> bool:
    """Tell whether PostgreSQL takes it: a bucket may have keys that are no UTF-8, or with a NUL in them."""
    try:
        return "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Object]:
    async with conn.cursor(row_factory=class_row(Object)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
