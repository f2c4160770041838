"""Tasks: what a team's contributors are asked to send in, and within which limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from mediaplane.errors import TaskNotFound
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("tasks")

OPEN, CLOSED = "open", "closed"
CHANGEABLE = (
    "title", "instructions", "types", "max_bytes", "max_submissions", "max_per_contributor", "review_tiers", "deadline",
    "state",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """One row of `tasks`."""

    task_id: str
    owner: str
    team: str
    title: str
    instructions: str
    types: list[str]
    max_bytes: int | None
    max_submissions: int | None
    max_per_contributor: int | None
    review_tiers: int
    deadline: datetime | None
    state: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many submissions a task has: those that count, and one contributor's own."""

    counted: int
    own: int


async def add(
    conn: Connection,
    *,
    owner: str,
    team: str,
    title: str,
    types: Sequence[str],
    instructions: str = "",
    max_bytes: int | None = None,
    max_submissions: int | None = None,
    max_per_contributor: int | None = None,
    review_tiers: int = 1,
    deadline: datetime | None = None,
) -> Task:
    """Add a task and return it."""
    values = {
        "task_id": new_id(),
        "owner": owner,
        "team": team,
        "title": title,
        "instructions": instructions,
        "types": list(types),
        "max_bytes": max_bytes,
        "max_submissions": max_submissions,
        "max_per_contributor": max_per_contributor,
        "review_tiers": review_tiers,
        "deadline": deadline,
    }
    return (await _all(conn, "insert", values))[0]


async def get(conn: Connection, task_id: str, *, owner: str | None = None, team: str | None = None) -> Task:
    """Return the task; None for owner or team: anybody's.

    Raises:
        TaskNotFound: there is none, or it is another team's, or owner's.
    """
    return await _one(conn, "get", {"task_id": task_id, "owner": owner, "team": team})


async def page(
    conn: Connection, *, team: str | None, state: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[Task]:
    """Return the team's tasks, newest first, behind the place `after` (created_at, task_id)."""
    before, before_id = after or (None, None)
    return await _all(
        conn, "page", {"team": team, "state": state, "before": before, "before_id": before_id, "limit": limit}
    )


async def change(
    conn: Connection, task_id: str, changes: Mapping[str, Any], *, owner: str | None = None, team: str | None = None
) -> Task:
    """Change what `changes` names (of `CHANGEABLE`) and return the task; who has begun an upload may finish it.

    Raises:
        TaskNotFound: there is none, or it is another team's, or owner's.
    """
    whose = {"owner": owner, "team": team}
    async with conn.transaction():
        task = await _one(conn, "lock_row", {"task_id": task_id, **whose})
        values = {name: changes.get(name, getattr(task, name)) for name in CHANGEABLE}
        return await _one(conn, "change", {"task_id": task_id, **whose, **values})


async def lock(conn: Connection, task_id: str) -> None:
    """Make others who send something in for the task wait until the caller's transaction ends."""
    await conn.execute(SQL["lock"], {"task_id": task_id})


async def count(conn: Connection, task_id: str, owner: str) -> Count:
    """Return how many submissions the task has, whoever asks, and how many of them are the owner's."""
    async with conn.cursor(row_factory=class_row(Count)) as cursor:
        found = await (await cursor.execute(SQL["count"], {"task_id": task_id, "owner": owner})).fetchone()
    assert found is not None
    return found


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> Task:
    rows = await _all(conn, name, values)
    if not rows:
        raise TaskNotFound(str(values["task_id"]))
    return rows[0]


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Task]:
    async with conn.cursor(row_factory=class_row(Task)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
