"""How a run ends: each function is the body of one transaction.

All lock the asset's row first, then the run's, and call `after` last: it finds the asset locked, and two ends of
one asset follow each other.
"""

import errno
import random
from collections.abc import Sequence
from datetime import timedelta

from mediaplane.catalog import runs
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import (
    DatabaseUnavailable,
    LeaseLost,
    MediaError,
    MediaplaneError,
    ObjectNotFound,
    RunCancelled,
    ToolFailed,
    Unexpected,
)
from mediaplane.jobs.outage import AWAY
from mediaplane.jobs.queue import post
from mediaplane.jobs.stage import After, Outcome
from mediaplane.postgres import Connection

_TOLD = (MediaplaneError, OSError, *AWAY)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
JITTER = 0.2  # of a wait, so that runs that failed together do not come back together


async def finish(conn: Connection, run: StageRun, outcome: Outcome, after: After) -> None:
    """Mark the run done and write what it made.

    Raises:
        LeaseLost, RunCancelled: the run is no longer the caller's; nothing is written.
    """
    done = await runs.mark_done(conn, run, outcome.outputs)
    if done is None:
        await _explain(conn, run)
        return
    if outcome.commit is not None:
        await outcome.commit(conn)
    await after(conn, done)


async def give_up(conn: Connection, run: StageRun, error: MediaplaneError, after: After | None) -> None:
    """Mark the run failed for good.

    Raises:
        LeaseLost, RunCancelled: the run is no longer the caller's.
    """
    failed = await runs.mark_failed(conn, run, code=error.code, message=error.message)
    if failed is None:
        await _explain(conn, run)
    elif after is not None:
        await after(conn, failed)


async def retry(conn: Connection, run: StageRun, error: MediaplaneError, wait: timedelta) -> None:
    """Queue the run again after a wait, with its error kept to be shown.

    Raises:
        LeaseLost, RunCancelled: the run is no longer the caller's.
    """
    queued = await runs.put_back(conn, run, attempts=run.attempt, wait=wait, code=error.code, message=error.message)
    if queued is None:
        await _explain(conn, run)
    else:
        await post(conn, [queued], waits=[wait])


async def release(conn: Connection, run: StageRun) -> None:
    """Queue the run again at once without counting the attempt: its worker stops.

    Raises:
        LeaseLost, RunCancelled: the run is no longer the caller's.
    """
    queued = await runs.put_back(conn, run, attempts=run.attempt - 1, wait=timedelta(0))
    if queued is None:
        await _explain(conn, run)
    else:
        await post(conn, [queued])


def as_ours(error: BaseException, run: StageRun) -> MediaplaneError:
    """Return the error as one that can be shown; what an unknown one says may hold secrets and stays in the log."""
    if isinstance(error, MediaplaneError):
        return error
    if isinstance(error, BaseExceptionGroup):  # of several writes at a time: the first that says what was wrong
        return as_ours(next((part for part in error.exceptions if isinstance(part, _TOLD)), error.exceptions[0]), run)
    if isinstance(error, AWAY):
        return DatabaseUnavailable(f"the database went away while the stage {run.stage} worked")
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return ToolFailed(f"there is no space left in the worker's directory for the stage {run.stage}")
    kind = type(error).__name__
    return Unexpected(f"the stage {run.stage} broke down for a reason of its own ({kind}): the worker's log tells more")


def retry_wait(run: StageRun, error: MediaplaneError, waits: Sequence[timedelta]) -> timedelta | None:
    """Return how long to wait before the next attempt; None where another one cannot help or none is left."""
    if isinstance(error, MediaError | ObjectNotFound) or not error.retryable or run.attempt > len(waits):
        return None
    return waits[run.attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 -- no secret


async def _explain(conn: Connection, run: StageRun) -> None:
    """Say why the run is not the caller's; silent where it is: an earlier commit went through unheard."""
    current = await runs.get(conn, run.run_id)
    if current is None:
        raise RunCancelled("the run went with its asset")
    if current.state == "cancelled":
        raise RunCancelled("the run was cancelled")
    if current.token != run.token or current.state not in ("done", "failed"):
        raise LeaseLost(f"the run is {current.state} and belongs to {current.worker or 'no worker'}")
