"""The sweeper: runs whose worker fell silent, runs the queue forgot, and the queue's old log lines."""

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from mediaplane.catalog import runs
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import WorkerLost
from mediaplane.jobs.outage import AWAY
from mediaplane.jobs.queue import post
from mediaplane.jobs.stage import After
from mediaplane.logs import Logger
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("periodic")
BATCH = 1000
LOG_AGE = timedelta(hours=1)

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds what was cut off; `most_attempts` bounds how often a run may take its worker down with it."""

    after: After
    most_attempts: int
    lost_after: timedelta  # how long a run may be overdue without a message

    async def sweep(self, conn: Connection) -> None:
        """Put right all that is wrong now."""
        error = WorkerLost("the worker of this run fell silent: it was killed, or cut off from the database")
        returned = await self._until_done(conn, lambda: self._put_back(conn, error))
        posted = await self._until_done(conn, lambda: self._post_forgotten(conn))
        failed = await self._fail_hopeless(conn, error)
        await conn.execute(SQL["prune_queue_log"], {"age": LOG_AGE})
        if returned or posted or failed:
            log.info("swept", silent=returned, forgotten=posted, failed=failed)

    async def _until_done(self, conn: Connection, step: Callable[[], Awaitable[int]]) -> int:
        total = 0
        while True:
            async with conn.transaction():
                count = await step()
            total += count
            if count < BATCH:
                return total

    async def _put_back(self, conn: Connection, error: WorkerLost) -> int:
        expired = await runs.put_back_expired(
            conn, most_attempts=self.most_attempts, limit=BATCH, code=error.code, message=error.message
        )
        await post(conn, expired)
        return len(expired)

    async def _post_forgotten(self, conn: Connection) -> int:
        forgotten = await runs.forgotten(conn, late=self.lost_after, limit=BATCH)
        await post(conn, forgotten)
        return len(forgotten)

    async def _fail_hopeless(self, conn: Connection, error: WorkerLost) -> int:
        hopeless = await runs.hopeless(conn, most_attempts=self.most_attempts, limit=BATCH)
        for run in hopeless:
            try:
                await self._fail(conn, run, error, self.after)
            except AWAY:
                raise
            except Exception as fault:  # noqa: BLE001 -- a fault in `after` must not keep the run from ending
                trace = "".join(traceback.format_exception(fault))
                log.error("plan after a failed run broke down", run=run.run_id, traceback=trace)
                await self._fail(conn, run, error, None)
        return len(hopeless)

    async def _fail(self, conn: Connection, run: StageRun, error: WorkerLost, after: After | None) -> None:
        async with conn.transaction():
            failed = await runs.mark_silent_failed(conn, run, code=error.code, message=error.message)
            if failed is not None and after is not None:
                await after(conn, failed)
