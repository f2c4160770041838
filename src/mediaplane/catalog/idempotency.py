"""Idempotency keys: what a request was answered, so that its repetition is answered the same."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mediaplane.errors import KeyReused, RequestBusy
from mediaplane.postgres import Connection, Jsonb, load_queries, values_of

SQL = load_queries("idempotency")


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose key it is; each asker has their own."""

    owner: str
    team: str
    subject: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the first request was answered."""

    status: int
    body: Any


async def begin(conn: Connection, key: RequestKey, *, digest: str, lease: timedelta) -> Answer | None:
    """Take the key for a request; return its answer where it was answered before, else None: do it now.

    Raises:
        KeyReused: another request has had the key.
        RequestBusy: the first one is still at work.
    """
    values = {**values_of(key), "digest": digest}
    if (await conn.execute(SQL["begin"], {**values, "lease": lease})).rowcount == 1:
        return None
    row = await (await conn.execute(SQL["get"], values_of(key))).fetchone()
    if row is None or (row[0] == digest and row[1] is None):
        raise RequestBusy("the first request with this Idempotency-Key is still at work: ask again in a moment")
    if row[0] != digest:
        raise KeyReused("this Idempotency-Key was sent with another request before: make a new one for each request")
    return Answer(row[1], row[2])


async def hold(conn: Connection, key: RequestKey, *, lease: timedelta) -> None:
    """Keep the key for longer: its request is still at work."""
    await conn.execute(SQL["hold"], {**values_of(key), "lease": lease})


async def note_answer(conn: Connection, key: RequestKey, answer: Answer) -> None:
    """Keep what the request was answered."""
    await conn.execute(SQL["answered"], {**values_of(key), "status": answer.status, "body": Jsonb(answer.body)})


async def forget(conn: Connection, key: RequestKey) -> None:
    """Free the key of a request that came to nothing."""
    await conn.execute(SQL["forget"], values_of(key))


async def prune(conn: Connection, *, age: timedelta) -> int:
    """Forget keys older than `age`; return how many."""
    return (await conn.execute(SQL["prune"], {"age": age})).rowcount
