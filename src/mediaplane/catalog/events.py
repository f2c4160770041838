"""Events: what happened to assets, runs, uploads and clips, as triggers wrote it down.

Ids are drawn when a row is written and become visible when its transaction ends, so a smaller id may appear after a
larger one. A reader therefore remembers which ids it has not seen yet (`EventCursor`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from psycopg.rows import class_row, dict_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("events")
CHANNEL = "mediaplane_events"
PATIENCE_SECONDS = 60.0  # an id not seen for so long belongs to a transaction that was undone
MOST_MISSING = 10_000

# What webhooks may ask for by name: kind and the state it has come to.
EVENT_TYPES: Sequence[str] = (
    "asset.created", "asset.uploading", "asset.processing", "asset.ready", "asset.failed", "asset.deleted",
    "upload.open", "upload.completed", "upload.aborted", "upload.refused",
    "clip.processing", "clip.ready", "clip.failed",
    "submission.open", "submission.uploaded", "submission.processing", "submission.in_review", "submission.approved",
    "submission.rejected", "submission.needs_changes", "task.approved",
    "quota.near", "quota.reached",
    "stage.queued", "stage.running", "stage.progress", "stage.done", "stage.failed", "stage.cancelled",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `events`."""

    event_id: int
    at: datetime
    type: str
    owner: str
    team: str
    asset_id: str
    data: dict[str, Any]


class EventCursor:
    """How far a reader has come, and which ids below are still out."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._missing: dict[int, float] = {}

    @property
    def missing(self) -> list[int]:
        """Ids that may still appear."""
        return list(self._missing)

    @property
    def settled(self) -> int:
        """Up to here everything was seen: a place to go on from that misses nothing."""
        return min(self._missing, default=self.last + 1) - 1

    def take(self, ids: Sequence[int], *, now: float | None = None) -> None:
        """Note what was read, in ascending order."""
        moment = monotonic() if now is None else now
        for event_id in ids:
            if event_id > self.last:
                skipped = range(max(self.last + 1, event_id - MOST_MISSING), event_id)
                self._missing.update(dict.fromkeys(skipped, moment))
                self.last = event_id
            else:
                self._missing.pop(event_id, None)
        for event_id in [one for one, since in self._missing.items() if moment - since > PATIENCE_SECONDS]:
            del self._missing[event_id]
        while len(self._missing) > MOST_MISSING:
            del self._missing[min(self._missing)]


async def listen(conn: Connection) -> None:
    """Have the connection told when there are new events."""
    await conn.execute(f"LISTEN {CHANNEL}")


async def wait(conn: Connection, seconds: float) -> bool:
    """Wait until there is something new, at most so long; return whether there is."""
    woken = False
    async for _ in conn.notifies(timeout=seconds, stop_after=1):
        woken = True  # and to the end, which is the first: a generator left half-way keeps the connection
    return woken


async def last_id(conn: Connection) -> int:
    """Return the newest event's id, 0 where there is none."""
    row = await (await conn.execute(SQL["last_id"])).fetchone()
    assert row is not None
    return int(row[0])


async def read_new(conn: Connection, cursor: EventCursor, *, limit: int = 1000) -> list[Event]:
    """Return what the cursor has not seen, oldest first, and move it on."""
    found = await _events(conn, "read_new", {"after": cursor.last, "missing": cursor.missing, "limit": limit})
    cursor.take([event.event_id for event in found])
    return found


async def read_since(
    conn: Connection, after: int, *, owner: str | None, team: str | None, asset_id: str | None, limit: int
) -> list[Event] | None:
    """Return a viewer's events behind an id, oldest first; None where older ones were forgotten meanwhile."""
    row = await (await conn.execute(SQL["is_known"], {"event_id": after})).fetchone()
    if row is None or not row[0]:
        return None
    seen = {"owner": owner, "team": team, "asset_id": asset_id}
    return await _events(conn, "read_since", {"after": after, **seen, "limit": limit})


async def unfinished(conn: Connection, *, owner: str | None, team: str | None, limit: int) -> list[dict[str, Any]]:
    """Return a viewer's assets that are on their way, newest first."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["unfinished"], {"owner": owner, "team": team, "limit": limit})
        return await cursor.fetchall()


async def prune(conn: Connection, *, age: timedelta, stage_age: timedelta) -> int:
    """Forget events older than `age`, steps of stages after `stage_age`; return how many."""
    return (await conn.execute(SQL["prune"], {"age": age, "stage_age": min(age, stage_age)})).rowcount


async def _events(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Event]:
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(SQL[name], values)
        return await cursor.fetchall()
