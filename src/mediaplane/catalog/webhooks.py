"""Webhooks: who wants to be told of events, and what each was told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import WebhookNotFound
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("webhooks")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of `webhook_endpoints`."""

    endpoint_id: str
    owner: str
    team: str
    sees_owner: str | None
    sees_team: str | None
    url: str
    title: str
    types: list[str]
    secret: bytes
    old_secret: bytes | None
    old_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an endpoint was or will be told; type and asset are null where the event is forgotten."""

    delivery_id: int
    endpoint_id: str
    event_id: int
    type: str | None
    asset_id: str | None
    state: str
    attempts: int
    due_at: datetime
    last_status: int | None
    last_error: str | None
    tries: list[dict[str, Any]]
    delivered_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that was taken to be sent; without url or type there is nobody to tell, or nothing."""

    delivery_id: int
    endpoint_id: str
    attempts: int
    url: str | None
    secret: bytes | None
    old_secret: bytes | None
    event_id: int | None
    type: str | None
    at: datetime | None
    owner: str | None
    team: str | None
    asset_id: str | None
    data: dict[str, Any] | None


async def add(
    conn: Connection,
    *,
    owner: str,
    team: str,
    sees_owner: str | None,
    sees_team: str | None,
    url: str,
    title: str,
    types: Sequence[str],
    secret: bytes,
) -> Endpoint:
    """Register an endpoint and return it."""
    who = {"owner": owner, "team": team, "sees_owner": sees_owner, "sees_team": sees_team}
    values = {"endpoint_id": new_id(), **who, "url": url, "title": title, "types": list(types), "secret": secret}
    return (await _endpoints(conn, "add", values))[0]


async def count(conn: Connection, owner: str) -> int:
    """Return how many endpoints an owner has."""
    row = await (await conn.execute(SQL["count"], {"owner": owner})).fetchone()
    assert row is not None
    return int(row[0])


async def page(conn: Connection, *, owner: str | None, team: str | None) -> list[Endpoint]:
    """Return a viewer's endpoints, oldest first."""
    return await _endpoints(conn, "page", {"owner": owner, "team": team})


async def get(conn: Connection, endpoint_id: str, *, owner: str | None, team: str | None) -> Endpoint:
    """Return a viewer's endpoint.

    Raises:
        WebhookNotFound: there is none with the id, for this viewer.
    """
    found = await _endpoints(conn, "get", {"endpoint_id": endpoint_id, "owner": owner, "team": team})
    if not found:
        raise WebhookNotFound(endpoint_id)
    return found[0]


async def remove(conn: Connection, endpoint_id: str, *, owner: str | None, team: str | None) -> None:
    """Remove a viewer's endpoint with its deliveries.

    Raises:
        WebhookNotFound: there is none with the id, for this viewer.
    """
    values = {"endpoint_id": endpoint_id, "owner": owner, "team": team}
    if await (await conn.execute(SQL["remove"], values)).fetchone() is None:
        raise WebhookNotFound(endpoint_id)


async def enable(conn: Connection, endpoint_id: str) -> Endpoint:
    """Let an endpoint be told again."""
    return (await _endpoints(conn, "enable", {"endpoint_id": endpoint_id}))[0]


async def disable(conn: Connection, endpoint_id: str, reason: str) -> None:
    """Tell an endpoint nothing any more."""
    await conn.execute(SQL["disable"], {"endpoint_id": endpoint_id, "reason": reason})


async def rotate(conn: Connection, endpoint_id: str, secret: bytes, *, overlap: timedelta) -> Endpoint:
    """Give an endpoint a new secret; the old one signs beside it for `overlap`."""
    return (await _endpoints(conn, "rotate", {"endpoint_id": endpoint_id, "secret": secret, "overlap": overlap}))[0]


async def deliveries(
    conn: Connection, endpoint_id: str, *, state: str | None = None, before: int | None = None, limit: int = 50
) -> list[Delivery]:
    """Return what an endpoint was told, newest first."""
    values = {"endpoint_id": endpoint_id, "state": state, "before": before, "limit": limit}
    async with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(SQL["deliveries"], values)
        return await cursor.fetchall()


async def replay_one(conn: Connection, endpoint_id: str, delivery_id: int) -> int:
    """Queue one delivery again; return 0 where there is none, or its event is forgotten."""
    return await _replay(conn, endpoint_id, delivery_id, None)


async def replay_failed(conn: Connection, endpoint_id: str, since: datetime) -> int:
    """Queue again what an endpoint was not told since a moment; return how many."""
    return await _replay(conn, endpoint_id, None, since)


async def take_due(conn: Connection, *, limit: int, lease: timedelta) -> list[Due]:
    """Take deliveries that are due for oneself, for as long as `lease`."""
    async with conn.cursor(row_factory=class_row(Due)) as cursor:
        await cursor.execute(SQL["take_due"], {"limit": limit, "lease": lease})
        return await cursor.fetchall()


async def settle(
    conn: Connection,
    delivery_id: int,
    *,
    state: str,
    wait: timedelta,
    status: int | None,
    error: str | None,
    took_ms: int,
) -> None:
    """Note how an attempt ended; a delivery that waits is tried again after `wait`."""
    values = {"delivery_id": delivery_id, "state": state, "wait": wait, "status": status, "error": error}
    await conn.execute(SQL["settle"], {**values, "took_ms": took_ms})


async def drop(conn: Connection, delivery_id: int) -> None:
    """Forget a delivery whose endpoint or event is gone."""
    await conn.execute(SQL["drop"], {"delivery_id": delivery_id})


async def has_only_failed(conn: Connection, endpoint_id: str, *, age: timedelta) -> bool:
    """Return whether the endpoint took nothing for so long."""
    row = await (await conn.execute(SQL["has_only_failed"], {"endpoint_id": endpoint_id, "age": age})).fetchone()
    return bool(row and row[0])


async def prune(conn: Connection, *, age: timedelta) -> int:
    """Forget old deliveries; return how many."""
    return (await conn.execute(SQL["prune"], {"age": age})).rowcount


async def _replay(conn: Connection, endpoint_id: str, delivery_id: int | None, since: datetime | None) -> int:
    values = {"endpoint_id": endpoint_id, "delivery_id": delivery_id, "since": since}
    return (await conn.execute(SQL["replay"], values)).rowcount


async def _endpoints(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Endpoint]:
    async with conn.cursor(row_factory=class_row(Endpoint)) as cursor:
        await cursor.execute(SQL[name], values)
        return await cursor.fetchall()
