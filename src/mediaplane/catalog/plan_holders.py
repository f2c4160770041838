"""Who has which plan, from when, with which limits of their own; the plans themselves stand in the profile.

`*` in place of an owner or a team is everybody's: all teams of an owner, all owners of a team.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("plan_holders")
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Holding:
    """A plan that was given, or (None) taken away; `overrides` are limits that differ from the plan's."""

    owner: str
    team: str
    since: datetime
    plan: str | None
    overrides: dict[str, int | None]


async def find(conn: Connection, owner: str, team: str) -> Holding | None:
    """Return what the owner has in the team now, None where nobody said."""
    found = await _all(conn, "find", {"owner": owner, "team": team})
    return found[0] if found else None


async def page(
    conn: Connection,
    *,
    owner: str | None = None,
    team: str | None = None,
    past: bool = False,
    after: tuple[str, str, datetime] | None = None,
    limit: int = 1000,
) -> list[Holding]:
    """Return what was given, by owner and team, the newest first; with the `past`, also what does not hold any more."""
    after_owner, after_team, after_since = after or (None, None, None)
    place = {"after_owner": after_owner, "after_team": after_team, "after_since": after_since}
    return await _all(conn, "page", {**place, "owner": owner, "team": team, "past": past, "limit": limit})


async def put(
    conn: Connection,
    *,
    owner: str,
    team: str,
    plan: str | None,
    overrides: Mapping[str, int | None],
    since: datetime | None,
) -> Holding:
    """Give a plan, or take it away, from a moment on (None: now); what was to follow later is dropped."""
    account = {"owner": owner, "team": team}
    values = {**account, "plan": plan, "overrides": Jsonb(dict(overrides)), "since": since}
    async with conn.transaction():
        made = (await _all(conn, "put", values))[0]
        await conn.execute(SQL["drop_later"], {**account, "since": made.since})
    return made


async def counts(conn: Connection) -> dict[str, int]:
    """Return how many hold each plan now."""
    return dict(await (await conn.execute(SQL["counts"])).fetchall())


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Holding]:
    async with conn.cursor(row_factory=class_row(Holding)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
