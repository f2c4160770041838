"""Waiting work: a row in `stage_runs` and a message in PgQueuer, both in the caller's transaction.

The message says only "look at this run". It is gone in the transaction that claims the run, so the queue may lose
or repeat it: a lost one is written anew by the sweeper, a repeated one finds nothing to claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from mediaplane.catalog import runs
from mediaplane.catalog.runs import NewRun, StageRun
from mediaplane.postgres import SCHEMA, Connection

CHANNEL = f"{SCHEMA}_jobs"
# Names are given one by one and unvalidated: `DBSettings()` would let stray variables of the environment such as
# FUNCTION, TRIGGER or CHANNEL rename the tables of this process alone.
NAMES = DBSettings.model_construct(
    prefix="",
    db_schema=SCHEMA,
    channel=Channel(CHANNEL),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.balanced,
    widen_id=True,
)
_BUILDERS = (QueryBuilderEnvironment(NAMES), QueryQueueBuilder(NAMES), QuerySchedulerBuilder(NAMES))


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at the queue gave."""

    messages: int
    runs: list[StageRun]


async def enqueue(conn: Connection, asked: Sequence[NewRun]) -> list[StageRun]:
    """Queue the runs that are missing; return for each the run that now stands for it, in the order asked.

    Left alone are a run of the same asset, stage, chunk and subject that is active, whatever its inputs, and the
    latest one where it is done with the same inputs (its state then is `done`). `conn` must be an autocommit
    connection, in a transaction of the caller's.
    """
    if not asked:
        return []
    async with conn.transaction():
        await add_runs(conn, asked)
        latest = await runs.of_assets(conn, sorted({new.asset_id for new in asked}))
    standing = {_place(run): run for run in latest}
    return [standing[_place(new)] for new in asked]


async def add_runs(conn: Connection, asked: Sequence[NewRun]) -> None:
    """Queue the runs that are missing, as `enqueue` does, in a transaction of the caller's."""
    if asked:
        wait_of = {_place(new): new.wait for new in asked}
        added = await runs.insert_missing(conn, asked)
        await post(conn, added, waits=[wait_of[_place(run)] for run in added])


async def post(conn: Connection, waiting: Sequence[StageRun], *, waits: Sequence[timedelta] = ()) -> None:
    """Write the message of each run, due after its wait, except where the queue has one already."""
    if not waiting:
        return
    await queries(conn).enqueue(
        [run.stage for run in waiting],
        [run.run_id.encode() for run in waiting],
        [run.priority for run in waiting],
        execute_after=list(waits) or None,
        dedupe_key=[run.run_id for run in waiting],
        on_conflict="skip",
    )


async def take(
    conn: Connection, stages: Sequence[str], *, most: int, worker: str, worker_id: UUID, lease: timedelta
) -> Taken:
    """Take up to `most` messages for the stages and claim their runs, in one transaction."""
    queue = queries(conn)
    async with conn.transaction():
        jobs = await queue.dequeue(
            batch_size=most,
            entrypoints={QueueEntrypoint(stage): EntrypointExecutionParameter(0) for stage in stages},
            queue_manager_id=QueueManagerId(worker_id),
            global_concurrency_limit=None,
            heartbeat_timeout=lease,
        )
        if not jobs:
            return Taken(0, [])
        run_ids = [job.payload.decode() for job in jobs if job.payload]
        claimed = await runs.claim(conn, run_ids, worker=worker, lease=lease)
        await queue.log_jobs([(job, "successful", None) for job in jobs])
    rank = {run_id: place for place, run_id in enumerate(run_ids)}
    return Taken(len(jobs), sorted(claimed, key=lambda run: rank[run.run_id]))


def queries(conn: Connection) -> Queries:
    """Return PgQueuer's statements on the connection, with its names in our schema."""
    return Queries(PsycopgDriver(conn), *_BUILDERS)


def _place(run: NewRun | StageRun) -> tuple[str, str, int | None, str]:
    return run.asset_id, run.stage, run.chunk, run.subject
