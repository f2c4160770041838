"""Purges: what is asked to be removed for good, how far that is, and the receipt.

`PERSONAL` and `KEPT` say of every table what a purge does with its rows; a test finds a table that is in neither.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import class_row, tuple_row

from mediaplane.errors import PurgeNotFound
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, Jsonb, load_queries
from mediaplane.storage.store import ObjectInfo

SQL = load_queries("purges")

EVERY_TEAM = ""

# Go with their asset, or by a query of their own.
PERSONAL = frozenset({
    "assets", "objects", "uploads", "stage_runs", "renditions", "hls_segments", "segments", "entities", "clips",
    "clip_versions", "sprites", "replays", "lexicon", "lexicon_deletions", "events", "idempotency_keys",
    "webhook_endpoints", "webhook_deliveries", "purge_keys",
})  # fmt: skip
KEPT: Mapping[str, str] = {
    "audit_records": "who did what: append-only, that is its purpose",
    "purges": "the receipts",
    "outbox": "what still has to be removed; empties itself",
    "api_keys": "credentials: `mediaplane key revoke` ends them",
    "plan_holders": "what was bought",
    "usage_counters": "what was used up is not given back by removing it",
    "usage_ledger": "the same",
    "usage_notices": "the same",
    "processed_media": "the same; ids and digests without names",
    "tasks": "a company's work orders, which others' submissions hang on",
    "submissions": "what somebody is paid for, without its media",
    "submission_steps": "the same",
    "review_decisions": "the same",
    "review_links": "the same; they end by themselves",
}


@dataclass(frozen=True, slots=True)
class Purge:
    """One row of `purges`; without `asset_id` of all that an owner has, with an empty `team` in every team."""

    purge_id: str
    owner: str
    team: str
    asset_id: str | None
    state: str
    requested_by: dict[str, Any]
    requested_at: datetime
    stores: list[str]
    prefixes: list[str]
    rows_deleted: dict[str, int]
    objects: int
    size_bytes: int
    left_over: int
    unproven: int
    problem: str | None
    keys_digest: str | None
    watched_until: datetime | None
    receipt_digest: str | None
    finished_at: datetime | None

    def receipt(self) -> dict[str, Any]:
        """Return what the receipt's digest is of, as JSON holds it."""
        document = asdict(self)
        for name in ("state", "problem", "receipt_digest"):
            del document[name]
        plain: dict[str, Any] = json.loads(json.dumps(document, sort_keys=True, default=_plain))
        return plain


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of a purge is still on the outbox."""

    keys: int
    last_error: str | None
    watched_until: datetime | None  # keys that are gone and will be removed once more then


def digest_of(purge: Purge) -> str:
    """Return the SHA-256 of a receipt: of its JSON with sorted keys and no spaces, in ASCII."""
    text = json.dumps(purge.receipt(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def request(
    conn: Connection, *, owner: str, team: str, asset_id: str | None, requested_by: Mapping[str, Any]
) -> tuple[Purge, bool]:
    """Return the purge of these things, and whether it is new: one that is under way is not asked for twice."""
    values = {"purge_id": new_id(), "owner": owner, "team": team, "asset_id": asset_id}
    added = await _all(conn, "request", {**values, "requested_by": Jsonb(dict(requested_by))})
    if added:
        return added[0], True
    found = await _all(conn, "under_way", values)
    if found:
        return found[0], False
    return await request(conn, owner=owner, team=team, asset_id=asset_id, requested_by=requested_by)  # just done


async def get(conn: Connection, purge_id: str, owner: str | None = None, team: str | None = None) -> Purge:
    """Return the purge.

    Raises:
        PurgeNotFound: there is none, or it is not of the owner's things, or the team's.
    """
    found = await _all(conn, "get", {"purge_id": purge_id, "owner": owner, "team": team})
    if not found:
        raise PurgeNotFound(purge_id)
    return found[0]


async def page(
    conn: Connection, *, owner: str | None, team: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[Purge]:
    """Return purges, newest first, behind the place `after` (requested_at, purge_id)."""
    before, before_id = after or (None, None)
    values = {"owner": owner, "team": team, "before": before, "before_id": before_id, "limit": limit}
    return await _all(conn, "page", values)


async def under_way(conn: Connection) -> list[Purge]:
    """Return the purges that are not done, oldest first."""
    return await _all(conn, "open", {})


async def try_lock(conn: Connection, purge_id: str) -> bool:
    """Become the only one who carries the purge out, until `unlock` or the connection's end."""
    return bool(await _value(conn, "try_lock", {"purge_id": purge_id}))


async def unlock(conn: Connection, purge_id: str) -> None:
    """Let others carry it out."""
    await conn.execute(SQL["unlock"], {"purge_id": purge_id})


async def assets_left(conn: Connection, purge: Purge, *, limit: int) -> list[str]:
    """Return ids of assets that the purge has still to remove."""
    whose = {"owner": purge.owner, "team": purge.team, "asset_id": purge.asset_id}
    values = {**whose, "requested_at": purge.requested_at, "limit": limit}
    return [row[0] for row in await (await conn.execute(SQL["assets"], values)).fetchall()]


async def end_uploads(conn: Connection, asset_id: str) -> list[tuple[str, str, str]]:
    """End the asset's open uploads; return store, key and reference of those whose parts a store still has."""
    await conn.execute(SQL["abort_uploads"], {"asset_id": asset_id})
    async with conn.cursor(row_factory=tuple_row) as cursor:
        return await (await cursor.execute(SQL["uploads_in_parts"], {"asset_id": asset_id})).fetchall()


async def gather(conn: Connection, purge: Purge, asset_id: str) -> dict[str, int]:
    """Note the asset's keys, and return how many rows will go with it, by table."""
    await conn.execute(SQL["gather_keys"], {"purge_id": purge.purge_id, "asset_id": asset_id})
    counts: dict[str, int] = await _value(conn, "count_rows", {"asset_id": asset_id})
    return counts


async def forget_told(conn: Connection, purge: Purge, asset_id: str) -> dict[str, int]:
    """Forget what was told and answered of a deleted asset; return how many rows that were, by table."""
    events = await _value(conn, "forget_events", {"asset_id": asset_id})
    cursor = await conn.execute(SQL["forget_answers"], {"owner": purge.owner, "asset_id": asset_id})
    return {name: count for name, count in (("events", events), ("idempotency_keys", cursor.rowcount)) if count}


async def forget_owner(conn: Connection, purge: Purge) -> dict[str, int]:
    """Forget what the owner has besides assets, and note what is on the outbox; return how many rows, by table."""
    whose = {"owner": purge.owner, "team": purge.team, "requested_at": purge.requested_at}
    counts: dict[str, int] = await _value(conn, "forget_owner", whose)
    await conn.execute(SQL["gather_outbox"], {"purge_id": purge.purge_id})
    return counts


async def note_rows(conn: Connection, purge: Purge, counts: Mapping[str, int]) -> None:
    """Add to the counts of what was deleted."""
    await conn.execute(SQL["note_rows"], {"purge_id": purge.purge_id, "counts": Jsonb(dict(counts))})


async def add_found(conn: Connection, purge: Purge, store: str, infos: Sequence[ObjectInfo]) -> None:
    """Note keys that were found in a store although nothing should be there, and have them removed at once."""
    keys, sizes = [info.key for info in infos], [info.size_bytes for info in infos]
    await conn.execute(SQL["add_keys"], {"purge_id": purge.purge_id, "store": store, "keys": keys, "sizes": sizes})
    await conn.execute(SQL["hasten"], {"store": store, "keys": keys})


async def waiting(conn: Connection, purge: Purge) -> Waiting:
    """Return what of the purge is still on the outbox."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(SQL["waiting"], {"purge_id": purge.purge_id})).fetchone()
    assert row is not None
    return Waiting(*row)


async def note_state(conn: Connection, purge: Purge, state: str, *, problem: str | None, left_over: int = 0) -> None:
    """Note how far it is, and what it waits for."""
    values = {"purge_id": purge.purge_id, "state": state, "problem": problem, "left_over": left_over}
    await conn.execute(SQL["note_state"], values)


async def keys_behind(conn: Connection, purge: Purge, place: tuple[str, str], *, limit: int) -> list[tuple[str, str]]:
    """Return store and key of what the purge removes, in order, behind a place."""
    values = {"purge_id": purge.purge_id, "store": place[0], "key": place[1], "limit": limit}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        return await (await cursor.execute(SQL["keys"], values)).fetchall()


async def finish(
    conn: Connection,
    purge: Purge,
    *,
    stores: Sequence[str],
    prefixes: Sequence[str],
    unproven: int,
    watched_until: datetime | None,
    finished_at: datetime,
) -> Purge:
    """Write the receipt, and forget the keys; in the caller's transaction."""
    values = {"stores": sorted(stores), "prefixes": sorted(prefixes), "unproven": unproven}
    moments = {"watched_until": watched_until, "finished_at": finished_at}
    keys_digest = await _value(conn, "digest", {"purge_id": purge.purge_id})
    (done,) = await _all(conn, "finish", {"purge_id": purge.purge_id, "keys_digest": keys_digest, **values, **moments})
    await conn.execute(SQL["forget_keys"], {"purge_id": purge.purge_id})
    return (await _all(conn, "seal", {"purge_id": purge.purge_id, "receipt_digest": digest_of(done)}))[0]


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Purge]:
    async with conn.cursor(row_factory=class_row(Purge)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()


async def _value(conn: Connection, name: str, values: Mapping[str, Any]) -> Any:
    row = await (await conn.execute(SQL[name], values)).fetchone()
    assert row is not None
    return row[0]


def _plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.astimezone(UTC).isoformat(timespec="microseconds")
