"""Assets: one piece of media as its owner knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import AssetNotFound
from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("assets")


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of `assets`."""

    asset_id: str
    owner: str
    team: str
    title: str
    kind: str
    status: str
    error_code: str | None
    error_message: str | None
    digest: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    probe: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None


async def add(
    conn: Connection, *, asset_id: str, owner: str, team: str, title: str, status: str, digest: str | None
) -> Asset:
    """Add an asset and return it."""
    values = {"asset_id": asset_id, "owner": owner, "team": team, "title": title, "status": status, "digest": digest}
    return await _one(conn, "insert", values)


async def get(conn: Connection, asset_id: str, owner: str | None = None, team: str | None = None) -> Asset:
    """Return the asset.

    Raises:
        AssetNotFound: there is none, or it is not the owner's, or the team's.
    """
    return await _one(conn, "get", {"asset_id": asset_id, "owner": owner, "team": team})


async def lock(conn: Connection, asset_id: str) -> Asset:
    """Return the asset, locked until the caller's transaction ends.

    Raises:
        AssetNotFound: it was deleted.
    """
    return await _one(conn, "lock", {"asset_id": asset_id})


async def lock_all(conn: Connection, asset_ids: Sequence[str]) -> list[Asset]:
    """Return those of the assets that are there, locked until the caller's transaction ends."""
    if not asset_ids:
        return []
    async with conn.cursor(row_factory=class_row(Asset)) as cursor:
        return await (await cursor.execute(SQL["lock_all"], {"asset_ids": list(asset_ids)})).fetchall()


async def find_same_bytes(conn: Connection, owner: str, digest: str) -> Asset | None:
    """Return the owner's newest asset with these bytes that is ready or on its way, if there is one."""
    try:
        return await _one(conn, "same_bytes", {"owner": owner, "digest": digest})
    except AssetNotFound:
        return None


async def page(
    conn: Connection,
    *,
    owner: str | None,
    team: str | None = None,
    status: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[Asset]:
    """Return the assets of an owner and a team, each where given, newest first.

    They begin behind the place `after` (created_at, asset_id) of the last page.
    """
    before, before_id = after or (None, None)
    values = {"owner": owner, "team": team, "status": status, "before": before, "before_id": before_id, "limit": limit}
    async with conn.cursor(row_factory=class_row(Asset)) as cursor:
        return await (await cursor.execute(SQL["page"], values)).fetchall()


async def owners(conn: Connection, asset_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return owner and team of those of the assets that are there."""
    rows = await (await conn.execute(SQL["owners"], {"asset_ids": list(asset_ids)})).fetchall()
    return {asset_id: (owner, team) for asset_id, owner, team in rows}


async def find_stalled(conn: Connection, *, age: timedelta) -> list[str]:
    """Return ids of assets in processing for which nothing is queued or running since `age`."""
    rows = await (await conn.execute(SQL["stalled"], {"age": age})).fetchall()
    return [row[0] for row in rows]


async def begin_processing(conn: Connection, asset_id: str, digest: str) -> None:
    """Note that the original's bytes are there and what they are."""
    await conn.execute(SQL["begin_processing"], {"asset_id": asset_id, "digest": digest})


async def describe(
    conn: Connection,
    asset_id: str,
    *,
    kind: str,
    duration_ms: int | None,
    width: int | None,
    height: int | None,
    probe: Mapping[str, Any],
) -> None:
    """Write what the probe found."""
    values = {"kind": kind, "duration_ms": duration_ms, "width": width, "height": height, "probe": Jsonb(dict(probe))}
    await conn.execute(SQL["describe"], {"asset_id": asset_id, **values})


async def note_length(conn: Connection, asset_id: str, duration_ms: int) -> None:
    """Write how long the asset is, where its header cannot be trusted."""
    await conn.execute(SQL["note_length"], {"asset_id": asset_id, "duration_ms": duration_ms})


async def mark_ready(conn: Connection, asset_id: str) -> None:
    """Note that all stages are done."""
    await conn.execute(SQL["mark_ready"], {"asset_id": asset_id})


async def mark_failed(conn: Connection, asset_id: str, *, code: str, message: str) -> None:
    """Note why the asset cannot be used."""
    await conn.execute(SQL["mark_failed"], {"asset_id": asset_id, "code": code, "message": message})


async def delete(conn: Connection, asset_id: str, *, owner: str | None, team: str | None = None) -> None:
    """Remove the asset; its objects go on the outbox in the same transaction.

    Raises:
        AssetNotFound: there is none, or it is not the owner's, or the team's.
    """
    cursor = await conn.execute(SQL["delete"], {"asset_id": asset_id, "owner": owner, "team": team})
    if cursor.rowcount == 0:
        raise AssetNotFound(asset_id)


async def usage_bytes(conn: Connection, owner: str) -> int:
    """Return the bytes an owner has in all stores, deleted ones included until they are really gone."""
    row = await (await conn.execute(SQL["usage"], {"owner": owner})).fetchone()
    assert row is not None
    return int(row[0])


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> Asset:
    async with conn.cursor(row_factory=class_row(Asset)) as cursor:
        row = await (await cursor.execute(SQL[name], values)).fetchone()
    if row is None:
        raise AssetNotFound(str(values.get("asset_id", "")))
    return row
