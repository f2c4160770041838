"""Clips: cuts made from an asset, kept until they expire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import AssetNotFound, ClipNotFound
from mediaplane.media.clip_names import PLAIN_STYLE
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("clips")


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of `clips`; the times are of the cut, padding included."""

    clip_id: str
    asset_id: str
    owner: str
    team: str
    mode: str
    t_start_ms: int
    t_end_ms: int
    status: str
    error_code: str | None
    error_message: str | None
    store: str | None
    key: str | None
    created_at: datetime
    expires_at: datetime | None
    highlight: int = 0  # its number in highlights.json, from 1; 0: cut by hand
    version: int = 1  # counts the clips of one highlight
    title: str = ""
    style: str = PLAIN_STYLE
    thumb_store: str | None = None
    thumb_key: str | None = None


async def request(
    conn: Connection,
    *,
    clip_id: str,
    asset_id: str,
    mode: str,
    t_start_ms: int,
    t_end_ms: int,
    expiry: timedelta,
    highlight: int = 0,
    title: str = "",
    style: str = PLAIN_STYLE,
) -> Clip:
    """Return the clip of this cut, a new row with `clip_id` if it was never asked for.

    Asked for in the second half of its life it is to be cut anew, and then lives as long again.

    Raises:
        AssetNotFound: the asset was deleted.
    """
    cut = {"clip_id": clip_id, "asset_id": asset_id, "mode": mode, "t_start_ms": t_start_ms, "t_end_ms": t_end_ms}
    named = {"highlight": highlight, "title": title, "style": style}
    found = await _all(conn, "request", {**cut, **named, "expiry": expiry})
    if not found:
        raise AssetNotFound(asset_id)
    return found[0]


async def get(conn: Connection, clip_id: str, owner: str | None = None, team: str | None = None) -> Clip:
    """Return the clip.

    Raises:
        ClipNotFound: there is none, or it is not the owner's, or the team's.
    """
    found = await _all(conn, "get", {"clip_id": clip_id, "owner": owner, "team": team})
    if not found:
        raise ClipNotFound(clip_id)
    return found[0]


async def find(conn: Connection, clip_ids: Sequence[str], owner: str | None, team: str | None) -> dict[str, Clip]:
    """Return those of the clips that are there and the owner's and the team's, each where given."""
    found = await _all(conn, "find", {"clip_ids": list(clip_ids), "owner": owner, "team": team})
    return {clip.clip_id: clip for clip in found}


async def of_asset(conn: Connection, asset_id: str) -> list[Clip]:
    """Return the asset's clips by time."""
    return await _all(conn, "of_asset", {"asset_id": asset_id})


async def delete(conn: Connection, clip_id: str, *, owner: str | None = None, team: str | None = None) -> None:
    """Remove the clip; its bytes follow through the outbox.

    Raises:
        ClipNotFound: there is none, or it is not the owner's, or the team's.
    """
    values = {"clip_id": clip_id, "owner": owner, "team": team}
    if not (await conn.execute(SQL["delete"], values)).rowcount:
        raise ClipNotFound(clip_id)


async def mark_ready(
    conn: Connection,
    clip_id: str,
    *,
    store: str,
    key: str,
    thumb_store: str | None = None,
    thumb_key: str | None = None,
) -> None:
    """Note where the clip's bytes are, and its thumbnail where it has one."""
    thumb = {"thumb_store": thumb_store, "thumb_key": thumb_key}
    await conn.execute(SQL["mark_ready"], {"clip_id": clip_id, "store": store, "key": key, **thumb})


async def mark_failed(conn: Connection, clip_id: str, *, code: str, message: str) -> None:
    """Note why the clip cannot be made."""
    await conn.execute(SQL["mark_failed"], {"clip_id": clip_id, "code": code, "message": message})


async def delete_expired(conn: Connection) -> int:
    """Remove clips whose time has come, their bytes through the outbox; return how many."""
    return (await conn.execute(SQL["delete_expired"])).rowcount


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Clip]:
    async with conn.cursor(row_factory=class_row(Clip)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
