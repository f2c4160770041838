"""A database that goes away and comes back: what counts as that, how long to wait, one log line each way."""

import asyncio
from time import monotonic

import psycopg

from mediaplane.errors import DatabaseUnavailable
from mediaplane.logs import Logger

AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,  # we were frozen, and the server has hung up
    DatabaseUnavailable,
)
FIRST_WAIT_SECONDS = 0.1
LAST_WAIT_SECONDS = 5.0

log = Logger(__name__)


class Outage:
    """One worker's view of its database; its loops share it."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._since: float | None = None

    def begin(self, error: BaseException) -> None:
        """Note that a statement failed; the first of an outage is logged, by its kind: the text may name hosts."""
        if self._since is None:
            self._since = monotonic()
            log.warning("database away", worker=self._worker, error=type(error).__name__)

    def end(self) -> None:
        """Note that a statement went through."""
        if self._since is not None:
            log.info("database back", worker=self._worker, seconds=round(monotonic() - self._since, 1))
            self._since = None


async def back_off(tries: int) -> None:
    """Sleep before the next try, longer each time."""
    await asyncio.sleep(min(FIRST_WAIT_SECONDS * 2**tries, LAST_WAIT_SECONDS))
