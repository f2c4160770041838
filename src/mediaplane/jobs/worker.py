"""The worker: takes runs, executes their stages, ends the runs; survives its database and stops gracefully."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mediaplane.cancellation import end_tasks
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import LeaseLost, RunCancelled
from mediaplane.jobs import ending
from mediaplane.jobs.leases import Held, Leases
from mediaplane.jobs.outage import AWAY, Outage, back_off
from mediaplane.jobs.periodic import Periodic, repeat, repeat_unlocked
from mediaplane.jobs.queue import CHANNEL, take
from mediaplane.jobs.stage import After, Outcome, Stage, Work
from mediaplane.jobs.sweeper import Sweeper
from mediaplane.logs import Logger
from mediaplane.postgres import Connection, Pool, connect, open_pool

__all__ = ["After", "Outcome", "Stage", "Work", "work"]

POLL_SECONDS = 1.0  # notifications are faster; this finds what is due after a wait, and what was notified unheard
ENDING_TRIES = 20  # after a restart of the server, each dead connection of the pool costs one
CONNECTION_SECONDS = 5.0
INTERRUPT_SECONDS = 5.0  # a stage that goes on although it was interrupted, see `cancellation`, is interrupted again
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # seconds, seconds, probes
MOST_ENDINGS_AT_ONCE = 8  # more connections than this only wait for each other on the database's side

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a worker does and how."""

    name: str
    stages: Mapping[str, Stage]
    after: After
    slots: int
    lease: timedelta
    retry_waits: Sequence[timedelta]
    grace: timedelta
    on_idle: Callable[[], None] | None


async def work(
    dsn: str,
    *,
    stages: Mapping[str, Stage],
    after: After,
    slots: int,
    lease: timedelta,
    retry_waits: Sequence[timedelta],
    worker_name: str,
    stop: asyncio.Event,
    grace: timedelta = timedelta(seconds=10),
    periodic: Mapping[str, Periodic] | None = None,
    lost_after: timedelta = timedelta(seconds=10),
    on_idle: Callable[[], None] | None = None,
) -> None:
    """Execute runs of the given stages until `stop` is set, `slots` at once.

    A stage gets a `Work` and returns an `Outcome`; it is cancelled when its run was cancelled, deleted or lost, or
    when the worker has stopped and the grace is over (its run is then queued again, the attempt not counted).
    `after` is called in the transaction that ends a run as done or failed. `on_idle` is called whenever nothing
    runs and nothing is due. The sweeper runs by itself, beside the tasks of `periodic`.

    Raises:
        DatabaseUnavailable: the database cannot be reached at the start; later outages are waited out.
    """
    rules = Rules(worker_name, stages, after, slots, lease, retry_waits, grace, on_idle)
    sweeper = Sweeper(after, most_attempts=len(retry_waits) + 1, lost_after=lost_after)
    sweep = (min(lease / 3, timedelta(seconds=5)), sweeper.sweep)
    dsn = _impatient(dsn, lease)
    async with open_pool(dsn, max_size=min(slots, MOST_ENDINGS_AT_ONCE) + 2 + len(periodic or {})) as pool:
        await _Worker(dsn, pool, rules).work_until(stop, sweep, periodic or {})


class _Worker:
    def __init__(self, dsn: str, pool: Pool, rules: Rules) -> None:
        self._dsn = dsn
        self._pool = pool
        self._rules = rules
        self._id = uuid4()
        self._outage = Outage(rules.name)
        self._leases = Leases(dsn, rules.lease, self._outage)
        self._performing: set[asyncio.Task[None]] = set()
        self._endings = asyncio.Semaphore(MOST_ENDINGS_AT_ONCE)
        self._wake = asyncio.Event()

    async def work_until(self, stop: asyncio.Event, sweep: Periodic, tasks: Mapping[str, Periodic]) -> None:
        """Run everything; a fault in one of the background tasks ends the worker rather than cripple it."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._leases.keep()),
                group.create_task(self._leases.expire()),
                group.create_task(self._listen()),
                group.create_task(repeat_unlocked(self._pool, "sweep", sweep, self._outage)),
                *(group.create_task(repeat(self._pool, name, task, self._outage)) for name, task in tasks.items()),
            ]
            stopping = group.create_task(self._wake_at(stop))
            log.info(
                "worker started", worker=self._rules.name, slots=self._rules.slots, stages=sorted(self._rules.stages)
            )
            try:
                await self._take_until(stop)
            finally:
                await self._wind_down()
                await end_tasks(*background, stopping)
        log.info("worker stopped", worker=self._rules.name)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _listen(self) -> None:
        """Wake the loop when messages arrive. On a connection of its own: listening holds up its queries."""
        tries = 0
        while True:
            try:
                conn = await connect(self._dsn)
                try:
                    await conn.execute(f"LISTEN {CHANNEL}")
                    tries = 0
                    async for note in conn.notifies():
                        if '"insert"' in note.payload:
                            self._wake.set()
                finally:
                    await conn.close()
            except AWAY as error:
                self._outage.begin(error)
                await back_off(tries)
                tries += 1

    async def _take_until(self, stop: asyncio.Event) -> None:
        tries = 0
        while not stop.is_set():
            self._wake.clear()
            free = self._rules.slots - len(self._performing)
            try:
                messages = await self._take(free) if free else 0
                tries = 0
            except AWAY as error:
                self._outage.begin(error)
                await back_off(tries // 4)
                tries += 1
                continue
            if free and messages == free:
                continue
            if not self._performing and self._rules.on_idle is not None:
                self._rules.on_idle()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if free else None):
                    await self._wake.wait()

    async def _take(self, free: int) -> int:
        asked_at = monotonic()
        async with self._pool.connection(CONNECTION_SECONDS) as conn:
            taken = await take(
                conn,
                list(self._rules.stages),
                most=free,
                worker=self._rules.name,
                worker_id=self._id,
                lease=self._rules.lease,
            )
        self._outage.end()
        for run in taken.runs:
            self._begin(run, self._leases.deadline(asked_at))
        return taken.messages

    def _begin(self, run: StageRun, deadline: float) -> None:
        chore = Work(run)
        held = Held(chore, asyncio.create_task(_execute(self._rules.stages[run.stage], chore)), deadline)
        self._leases.add(held)
        task = asyncio.create_task(self._perform(held))
        self._performing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._performing.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("run left to the sweeper", worker=self._rules.name, traceback=_trace(error))

    async def _perform(self, held: Held) -> None:
        run, began_at = held.run, monotonic()
        bound = log.bind(
            worker=self._rules.name,
            run=run.run_id,
            asset=run.asset_id,
            stage=run.stage,
            chunk=run.chunk,
            attempt=run.attempt,
        )
        bound.info("run started")
        try:
            await asyncio.wait({held.task})
            said = await self._end(held)
            bound.info(f"run {said}", seconds=round(monotonic() - began_at, 2))
        except (LeaseLost, RunCancelled) as error:
            bound.info("run dropped", reason=error.message, seconds=round(monotonic() - began_at, 2))
        finally:
            self._leases.drop(held)

    async def _end(self, held: Held) -> str:
        """Write down how the stage ended; return it in a word.

        Raises:
            LeaseLost, RunCancelled: the run is no longer ours, so nothing was written.
        """
        if held.lost:
            raise LeaseLost(held.lost)
        if held.interrupted and (held.task.cancelled() or held.task.exception()):
            await self._settle(held, partial(ending.release, run=held.run))
            return "released"
        try:
            outcome = held.task.result()
            await self._settle(held, partial(ending.finish, run=held.run, outcome=outcome, after=self._rules.after))
        except (LeaseLost, RunCancelled):
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever a stage does, the worker lives
            return await self._fail(held, error)
        return "done"

    async def _fail(self, held: Held, cause: BaseException) -> str:
        run, error = held.run, ending.as_ours(cause, held.run)
        wait = ending.retry_wait(run, error, self._rules.retry_waits)
        facts = {"worker": self._rules.name, "run": run.run_id, "code": error.code, "message": error.message}
        if error is not cause:
            facts["traceback"] = _trace(cause)
        if wait is not None:
            log.warning("stage failed, to be retried", **facts, wait_seconds=round(wait.total_seconds()))
            await self._settle(held, partial(ending.retry, run=run, error=error, wait=wait))
            return "retried later"
        log.warning("stage failed for good", **facts)
        try:
            await self._settle(held, partial(ending.give_up, run=run, error=error, after=self._rules.after))
        except AWAY:
            raise
        except (LeaseLost, RunCancelled):
            raise
        except Exception as fault:  # noqa: BLE001 -- a fault in `after` must not keep the run from ending
            log.error(
                "plan after a failed run broke down", worker=self._rules.name, run=run.run_id, traceback=_trace(fault)
            )
            await self._settle(held, partial(ending.give_up, run=run, error=error, after=None))
        return "failed"

    async def _settle(self, held: Held, end: Callable[[Connection], Awaitable[None]]) -> None:
        """Run one ending transaction; again while the database is away and the lease lasts.

        Raises:
            LeaseLost, RunCancelled: the run is no longer ours.
        """
        for tries in range(ENDING_TRIES):
            try:
                async with self._endings, self._pool.connection(CONNECTION_SECONDS) as conn, conn.transaction():
                    await end(conn)
            except AWAY as error:
                self._outage.begin(error)
                if held.lost:
                    raise LeaseLost(held.lost) from error
                if tries == ENDING_TRIES - 1:
                    raise
                await back_off(tries // 4)
            else:
                self._outage.end()
                return

    async def _wind_down(self) -> None:
        """Give running stages their grace, then end them and put their runs back."""
        if self._performing:
            log.info("worker stopping", worker=self._rules.name, running=len(self._performing))
            await asyncio.wait(self._performing, timeout=self._rules.grace.total_seconds())
        while self._performing:
            for held in self._leases.all():
                held.interrupt()
            await asyncio.wait(self._performing, timeout=INTERRUPT_SECONDS)


def _impatient(dsn: str, lease: timedelta) -> str:
    """Let both ends hang up on a silent one, unless `dsn` says otherwise.

    A frozen worker must not hold its locks for ever, and a server that is gone without a word must be noticed.
    """
    given = conninfo_to_dict(dsn)
    limit_ms = round(lease.total_seconds() * 1000)
    patience: dict[str, Any] = {"tcp_user_timeout": limit_ms, **KEEPALIVE}
    options = f"-c idle_in_transaction_session_timeout={limit_ms} {given.get('options') or ''}".strip()
    return make_conninfo(**{**patience, **given, "options": options})


async def _execute(stage: Stage, chore: Work) -> Outcome:
    return await stage(chore)


def _trace(error: BaseException) -> str:
    """Return the traceback as text: a logger's own rendering may show local variables, which may hold secrets."""
    return "".join(traceback.format_exception(error))
