"""Accounts: the API keys that were given out. Making and revoking one is audited by the table's trigger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import KeyNotFound
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("accounts")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One row of `api_keys`."""

    key_id: str
    digest: bytes
    owner: str
    team: str
    role: str
    scopes: list[str]
    tier: int
    title: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


async def add(
    conn: Connection,
    *,
    key_id: str,
    digest: bytes,
    owner: str,
    team: str,
    role: str,
    scopes: Sequence[str] = (),
    tier: int = 0,
    title: str = "",
    lifetime: timedelta | None = None,
) -> ApiKey:
    """Add a key that lives for `lifetime`, without one until it is revoked, and return it."""
    who = {"owner": owner, "team": team, "role": role, "scopes": list(scopes), "tier": tier, "title": title}
    return (await _all(conn, "add", {"key_id": key_id, "digest": digest, **who, "lifetime": lifetime}))[0]


async def find(conn: Connection, key_id: str, digest: bytes) -> ApiKey | None:
    """Return the key if it is alive, and note that it was used where the digest is its own.

    The caller still compares the digests, in constant time.
    """
    found = await _all(conn, "find", {"key_id": key_id, "digest": digest})
    return found[0] if found else None


async def page(conn: Connection, *, owner: str | None = None, dead: bool = False) -> list[ApiKey]:
    """Return the keys of an owner, or all, newest first; those that are revoked or expired only with `dead`."""
    return await _all(conn, "page", {"owner": owner, "dead": dead})


async def revoke(conn: Connection, key_id: str) -> ApiKey:
    """End the key and return it.

    Raises:
        KeyNotFound: there is none with the id.
    """
    found = await _all(conn, "revoke", {"key_id": key_id})
    if not found:
        raise KeyNotFound(key_id)
    return found[0]


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[ApiKey]:
    async with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
