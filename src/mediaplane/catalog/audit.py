"""Audit records: who did what to what, from where, until when. Written once and chained by hashes soon after.

Appending never waits for the chain: a record is durable with the transaction that wrote it, and a periodic task makes
the chain longer in the order of ids, one batch a transaction.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg.rows import class_row, dict_row, tuple_row

from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("audit")

BATCH = 2000
GENESIS = hashlib.sha256(b"mediaplane audit chain 1").digest()  # stands before the first record


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What was done; `action` reads noun.verb in the past, `kind` and `thing` say to what."""

    subject: str
    action: str
    kind: str
    thing: str
    subject_owner: str | None = None
    subject_team: str | None = None
    role: str | None = None
    owner: str | None = None  # of the thing
    team: str | None = None
    until: datetime | None = None
    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


_COLUMNS = tuple(column.name for column in fields(NewRecord))


@dataclass(frozen=True, slots=True)
class Record:
    """One row of `audit_records`."""

    record_id: int
    at: datetime
    subject: str
    subject_owner: str | None
    subject_team: str | None
    role: str | None
    action: str
    kind: str
    thing: str
    owner: str | None
    team: str | None
    until: datetime | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]


class Link(NamedTuple):
    """A place in the chain and the record that belongs there, None where it is gone."""

    position: int
    hash: bytes
    record_id: int
    record: Record | None


class Head(NamedTuple):
    """The end of the chain; 0 and GENESIS where nothing was chained yet."""

    position: int
    hash: bytes


def link_hash(previous: bytes, record: Record) -> bytes:
    """Return the hash of the record behind the hash before it.

    Hashed is one JSON text: keys sorted, no spaces, ASCII, times in UTC to the microsecond. Anyone can do it again.
    """
    return hashlib.sha256(previous + _canonical(record)).digest()


async def add(conn: Connection, records: Sequence[NewRecord]) -> None:
    """Append records, in the caller's transaction if there is one."""
    await conn.execute(SQL["add"], {"records": Jsonb([_storable(_row(record)) for record in records])})


async def act_as(conn: Connection, subject: str) -> None:
    """Have what this connection deletes or changes recorded as the subject's, until it is closed."""
    await conn.execute("SELECT set_config('mediaplane.actor', %s, false)", [json.dumps({"subject": subject})])


async def chain(conn: Connection, *, limit: int = BATCH) -> int:
    """Make the chain longer by up to `limit` records that wait for it, in a transaction of its own; return how many."""
    async with conn.transaction():
        await conn.execute(SQL["lock_chain"])
        position, previous = await head(conn)
        async with conn.cursor(row_factory=class_row(Record)) as cursor:
            waiting = await (await cursor.execute(SQL["waiting"], {"limit": limit})).fetchall()
        if not waiting:
            return 0
        hashes = []
        for record in waiting:
            previous = link_hash(previous, record)
            hashes.append(previous)
        places = list(range(position + 1, position + len(waiting) + 1))
        ids = [record.record_id for record in waiting]
        await conn.execute(SQL["link"], {"positions": places, "record_ids": ids, "hashes": hashes})
    return len(waiting)


async def chain_all(conn: Connection) -> int:
    """Chain everything that waits; return how many records that were. The periodic task."""
    chained = 0
    while found := await chain(conn):
        chained += found
    return chained


async def head(conn: Connection) -> Head:
    """Return the end of the chain."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(SQL["head"])).fetchone()
    return Head(*row) if row else Head(0, GENESIS)


async def links(conn: Connection) -> AsyncIterator[Link]:
    """Give the chain from its beginning, in constant memory."""
    after = 0
    while True:
        async with conn.cursor(row_factory=dict_row) as cursor:
            rows = await (await cursor.execute(SQL["links"], {"after": after, "limit": BATCH})).fetchall()
        for row in rows:
            place = Link(row.pop("position"), row.pop("hash"), row.pop("linked_id"), None)
            yield place if row["at"] is None else place._replace(record=Record(**row))
        if len(rows) < BATCH:
            return
        after = place.position


async def strays(conn: Connection, *, limit: int = 100) -> list[tuple[int, bool]]:
    """Return ids of records that stand outside the chain, and whether they are there or were removed."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        return await (await cursor.execute(SQL["strays"], {"limit": limit})).fetchall()


async def export(
    conn: Connection, *, since: datetime | None = None, until: datetime | None = None, who: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Give records by id with their position and hash in the chain, in constant memory; `who` is subject or owner."""
    after = 0
    while True:
        values = {"after": after, "since": since, "until": until, "who": who, "limit": BATCH}
        async with conn.cursor(row_factory=dict_row) as cursor:
            rows = await (await cursor.execute(SQL["export"], values)).fetchall()
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        after = rows[-1]["record_id"]


def _row(record: NewRecord) -> dict[str, Any]:
    """Return the record's columns; `asdict` would copy every value, which cost more than writing them."""
    row = {name: getattr(record, name) for name in _COLUMNS}
    row["until"] = record.until and record.until.isoformat()
    return row


def _canonical(record: Record) -> bytes:
    return json.dumps(asdict(record), sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _storable(value: Any) -> Any:
    """Drop what PostgreSQL's text cannot hold: NUL and lone surrogates, which a client may have sent."""
    if isinstance(value, str):
        # most is plain, and asking is quicker than copying
        return value if value.isascii() and "\0" not in value else _storable_text(value)
    if isinstance(value, dict):
        return {_storable(name): _storable(part) for name, part in value.items()}
    return [_storable(part) for part in value] if isinstance(value, list | tuple) else value


def _storable_text(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
