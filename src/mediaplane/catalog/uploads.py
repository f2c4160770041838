"""Uploads of this process: sessions in which it writes an original to a store; clients' own are `direct_uploads.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("uploads")


@dataclass(frozen=True, slots=True)
class Upload:
    """One row of `uploads` that this process, or one like it, works on."""

    upload_id: str
    asset_id: str
    owner: str
    team: str
    store: str
    key: str
    state: str
    size_bytes: int
    digest: str
    content_type: str
    created_at: datetime
    seen_at: datetime
    completed_at: datetime | None


async def open_for(
    conn: Connection,
    *,
    upload_id: str,
    asset_id: str,
    store: str,
    key: str,
    size_bytes: int,
    digest: str,
    content_type: str,
) -> Upload:
    """Begin an upload for the asset; call it only where `find_open` found none."""
    place = {"upload_id": upload_id, "asset_id": asset_id, "store": store, "key": key}
    values = {**place, "size_bytes": size_bytes, "digest": digest, "content_type": content_type}
    return (await _all(conn, "open", values))[0]


async def lock_digest(conn: Connection, owner: str, digest: str) -> None:
    """Make other transactions about the same bytes of this owner wait until this one ends."""
    await conn.execute(SQL["lock_digest"], {"owner": owner, "digest": digest})


async def find_open(conn: Connection, owner: str, digest: str) -> Upload | None:
    """Return the owner's open upload of these bytes, locked, if there is one."""
    found = await _all(conn, "find_open", {"owner": owner, "digest": digest})
    return found[0] if found else None


async def touch(conn: Connection, upload_id: str) -> bool:
    """Note that the writer is alive; False where the upload was swept away."""
    return (await conn.execute(SQL["touch"], {"upload_id": upload_id})).rowcount == 1


async def complete(conn: Connection, upload_id: str) -> bool:
    """Close the upload; False where it is not open any more."""
    return (await conn.execute(SQL["complete"], {"upload_id": upload_id})).rowcount == 1


async def find_abandoned(conn: Connection, *, silence: timedelta) -> list[Upload]:
    """Return open uploads whose writer has been silent, locked until the transaction ends."""
    return await _all(conn, "abandoned", {"silence": silence})


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Upload]:
    async with conn.cursor(row_factory=class_row(Upload)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
