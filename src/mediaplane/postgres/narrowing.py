"""Transactions that see one viewer's rows only: row-level security behind the queries that ask for them by owner.

The policies stand in the migration `0004_access`. They hold the role `mediaplane_gateway`; the owner of the tables,
as whom worker, upkeep and command line work, is not held.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

import psycopg
from psycopg import sql

from mediaplane.postgres.pool import Connection

GATEWAY_ROLE = "mediaplane_gateway"

# In one message, as each costs a way to the database and back. All of it ends with the transaction.
_BEGIN = sql.SQL(
    "BEGIN; SELECT set_config('role', {}, true), set_config('mediaplane.owner', {}, true), "
    "set_config('mediaplane.team', {}, true), set_config('mediaplane.asset', {}, true), "
    "set_config('mediaplane.actor', {}, true)"
)


def _begin(*values: str) -> bytes:
    return _BEGIN.format(*map(sql.Literal, values)).as_bytes()


_begin_unnamed = lru_cache(maxsize=1000)(_begin)  # the same again and again; an actor is another at each request


@dataclass(frozen=True, slots=True)
class Sight:
    """What a transaction sees: rows of an owner and a team, `*` for everybody's, and beside them one asset's."""

    owner: str
    team: str
    asset_id: str = ""


@asynccontextmanager
async def narrowed(
    conn: Connection, sight: Sight, *, actor: str = "", role: str = GATEWAY_ROLE
) -> AsyncIterator[Connection]:
    """Begin a transaction in which `conn` sees and changes only what is in sight.

    `actor` is a JSON object for the audit records that triggers write: subject, owner, team, role, ip, user_agent,
    request_id. With an empty `role` the database narrows nothing.
    """
    values = (role or "none", sight.owner, sight.team, sight.asset_id, actor)
    try:
        await conn.execute(_begin(*values) if actor else _begin_unnamed(*values))
        yield conn
    except BaseException:
        with suppress(psycopg.Error):  # the connection went away, and the transaction with it
            await conn.rollback()
        raise
    await conn.commit()
