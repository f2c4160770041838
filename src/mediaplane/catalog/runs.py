"""Stage runs: one execution of a stage each, and the only record of its state.

    queued ─claim▶ running ─▶ done | failed | cancelled
       ▲               │
       └─ put back ────┘   a retry, a worker that stopped, a worker that went silent

Every claim draws a new token. Who holds the token owns the run until the lease ends; all writes about the run
name it, so a worker that was believed dead cannot write results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, Jsonb, load_queries


@dataclass(frozen=True, slots=True)
class StageRun:
    """One row of `stage_runs`."""

    run_id: str
    asset_id: str
    owner: str
    team: str
    stage: str
    chunk: int | None
    subject: str
    state: str
    params: dict[str, Any]
    inputs_digest: str
    outputs: dict[str, Any] | None
    priority: int
    attempt: int
    token: UUID | None
    worker: str | None
    lease_until: datetime | None
    run_after: datetime
    progress: float
    error_code: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is wanted; larger priorities go first, `wait` delays the first attempt."""

    asset_id: str
    owner: str
    team: str
    stage: str
    inputs_digest: str
    chunk: int | None = None
    subject: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a worker says of a run that it holds."""

    run_id: str
    token: UUID | None
    fraction: float  # of the work done, 0 to 1


_COLUMNS = sql.SQL(", ").join(sql.Identifier("r", column.name) for column in fields(StageRun))
SQL = {name: query.format(columns=_COLUMNS).as_bytes() for name, query in load_queries("runs").items()}


async def insert_missing(conn: Connection, asked: Sequence[NewRun]) -> list[StageRun]:
    """Add the runs of which none is active and the latest is not done with the same inputs; return those added."""
    rows = [
        {**asdict(new), "run_id": new_id(), "wait": f"{new.wait.total_seconds()} seconds", "place": place}
        for place, new in enumerate(asked)
    ]
    return await _runs(conn, "insert_missing", {"asked": Jsonb(rows)})


async def of_asset(conn: Connection, asset_id: str) -> list[StageRun]:
    """Return the latest run of each stage, chunk and subject of the asset."""
    return await of_assets(conn, [asset_id])


async def of_assets(conn: Connection, asset_ids: Sequence[str]) -> list[StageRun]:
    """Return the latest run of each stage, chunk and subject of the assets."""
    return await _runs(conn, "latest_of_assets", {"asset_ids": list(asset_ids)})


async def get(conn: Connection, run_id: str) -> StageRun | None:
    """Return the run, or None where it went with its asset."""
    return await _run(conn, "get", {"run_id": run_id})


async def cancel(conn: Connection, asset_id: str) -> int:
    """End the asset's active runs as cancelled; return how many. Workers notice at their next heartbeat."""
    return (await conn.execute(SQL["cancel"], {"asset_id": asset_id})).rowcount


async def cancel_runs(conn: Connection, run_ids: Sequence[str]) -> int:
    """End these runs as cancelled where they are active; return how many."""
    return (await conn.execute(SQL["cancel_runs"], {"run_ids": list(run_ids)})).rowcount


async def claim(conn: Connection, run_ids: Sequence[str], *, worker: str, lease: timedelta) -> list[StageRun]:
    """Begin those of the runs that are due or whose lease is over, each under a new token; return them."""
    return await _runs(conn, "claim", {"run_ids": list(run_ids), "worker": worker, "lease": lease})


async def keep(conn: Connection, held: Sequence[Holding], *, lease: timedelta) -> dict[str, bool]:
    """Extend leases and note progress; return the ids still held, each with whether it was extended.

    False: someone else is looking at the run just now, so its lease stands as it was. Missing: the run was
    cancelled, deleted, or has another holder.
    """
    values = {
        "run_ids": [holding.run_id for holding in held],
        "tokens": [holding.token for holding in held],
        "fractions": [holding.fraction for holding in held],
        "lease": lease,
    }
    async with conn.cursor() as cursor:
        await cursor.execute(SQL["keep"], values)
        return dict(await cursor.fetchall())


async def mark_done(conn: Connection, run: StageRun, outputs: Mapping[str, Any]) -> StageRun | None:
    """Lock the asset, then mark the run done; None if `run.token` no longer holds it."""
    place = {"asset_id": run.asset_id, "run_id": run.run_id, "token": run.token}
    return await _run(conn, "mark_done", {**place, "outputs": Jsonb(dict(outputs))})


async def insert_done(conn: Connection, guest: StageRun, outputs: Mapping[str, Any], *, host_id: str) -> None:
    """Note a run as done whose work was done within the run `host_id`, by the same worker."""
    values = {"run_id": guest.run_id, "stage": guest.stage, "inputs_digest": guest.inputs_digest, "host": host_id}
    await conn.execute(SQL["insert_done"], {**values, "params": Jsonb(guest.params), "outputs": Jsonb(dict(outputs))})


async def mark_failed(conn: Connection, run: StageRun, *, code: str, message: str) -> StageRun | None:
    """Lock the asset, then mark the run failed for good; None if `run.token` no longer holds it."""
    place = {"asset_id": run.asset_id, "run_id": run.run_id, "token": run.token}
    return await _run(conn, "mark_failed", {**place, "error_code": code, "error_message": message})


async def mark_silent_failed(conn: Connection, run: StageRun, *, code: str, message: str) -> StageRun | None:
    """The same for a run whose holder has gone silent; None if it has a holder again."""
    place = {"asset_id": run.asset_id, "run_id": run.run_id, "token": None}
    return await _run(conn, "mark_failed", {**place, "error_code": code, "error_message": message})


async def put_back(
    conn: Connection,
    run: StageRun,
    *,
    attempts: int,
    wait: timedelta,
    code: str | None = None,
    message: str | None = None,
) -> StageRun | None:
    """Lock the asset, then queue the run again with `attempts` counted; None if `run.token` no longer holds it."""
    values = {
        "asset_id": run.asset_id,
        "run_id": run.run_id,
        "token": run.token,
        "attempts": attempts,
        "wait": wait,
        "error_code": code,
        "error_message": message,
    }
    return await _run(conn, "put_back", values)


async def put_back_expired(
    conn: Connection, *, most_attempts: int, limit: int, code: str, message: str
) -> list[StageRun]:
    """Queue runs again whose lease is over and that have attempts left; return them."""
    values = {"most_attempts": most_attempts, "limit": limit, "error_code": code, "error_message": message}
    return await _runs(conn, "put_back_expired", values)


async def hopeless(conn: Connection, *, most_attempts: int, limit: int) -> list[StageRun]:
    """Return runs whose lease ended in their last attempt."""
    return await _runs(conn, "hopeless", {"most_attempts": most_attempts, "limit": limit})


async def forgotten(conn: Connection, *, late: timedelta, limit: int) -> list[StageRun]:
    """Return queued runs that are overdue by `late` and have no message in the queue."""
    return await _runs(conn, "forgotten", {"late": late, "limit": limit})


async def _runs(conn: Connection, name: str, values: Mapping[str, Any]) -> list[StageRun]:
    async with conn.cursor(row_factory=class_row(StageRun)) as cursor:
        await cursor.execute(SQL[name], values)
        return await cursor.fetchall()


async def _run(conn: Connection, name: str, values: Mapping[str, Any]) -> StageRun | None:
    rows = await _runs(conn, name, values)
    return rows[0] if rows else None
