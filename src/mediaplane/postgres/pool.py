"""Connections to PostgreSQL: one, or a pool of them."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from mediaplane.errors import DatabaseUnavailable

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

SCHEMA = "mediaplane"
CONNECT_TIMEOUT_SECONDS = 10
CHECK_SECONDS = 1.0
# The pool's tries lie further and further apart; after this it begins anew with whoever asks next, so that a long
# outage is not followed by a long wait.
RECONNECT_SECONDS = 8


async def connect(dsn: str) -> Connection:
    """Return one connection: autocommit, search_path on our schema.

    Raises:
        DatabaseUnavailable: nobody answers at `dsn`, or it refuses us.
    """
    options = _connection_options(dsn)
    try:
        return await psycopg.AsyncConnection.connect(dsn, **options)
    except psycopg.OperationalError as error:
        raise _unavailable(dsn, error) from error


@asynccontextmanager
async def open_pool(dsn: str, *, max_size: int = 8) -> AsyncIterator[Pool]:
    """Open a pool of at most `max_size` connections, closed at the end of the block.

    They are in autocommit mode, so transactions are written out:
    `async with pool.connection() as conn, conn.transaction():`.

    Raises:
        DatabaseUnavailable: nobody answers at `dsn`, it refuses us, or it went away and the block did not see to that.
    """
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # an outage is told once, not by each connection
    await (await connect(dsn)).close()  # its error says why; the pool's would say only that time ran out
    pool: Pool = AsyncConnectionPool(
        dsn,
        kwargs=_connection_options(dsn),
        min_size=1,
        max_size=max_size,
        open=False,
        reconnect_timeout=RECONNECT_SECONDS,
        check=_Check(),  # after a restart of the server no request meets a dead connection
    )
    try:
        await pool.open(wait=True, timeout=CONNECT_TIMEOUT_SECONDS)
        yield pool
    except psycopg.OperationalError as error:
        raise _unavailable(dsn, error) from error
    finally:
        await pool.close()


class _Check:
    """Asks a connection whether it lives before it is lent, once a second: asking costs as much as a small query."""

    def __init__(self) -> None:
        self._asked_at: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    async def __call__(self, conn: Connection) -> None:
        now = time.monotonic()
        if now - self._asked_at.get(conn, 0.0) > CHECK_SECONDS:
            await AsyncConnectionPool.check_connection(conn)
            self._asked_at[conn] = now


def _connection_options(dsn: str) -> dict[str, Any]:
    """Return what each connection gets beside `dsn`.

    search_path and time zone go as start options, not as SET: RESET ALL and DISCARD ALL fall back to them.
    """
    given = _parse(dsn)
    ours = f"-c search_path={SCHEMA} -c timezone=UTC"  # times come as they are shown
    return {
        "autocommit": True,
        "application_name": given.get("application_name") or "mediaplane",
        "connect_timeout": given.get("connect_timeout") or CONNECT_TIMEOUT_SECONDS,
        "options": f"{given['options']} {ours}" if given.get("options") else ours,
    }


def _parse(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Neither its text nor the exception: both may quote the password.
        raise DatabaseUnavailable(
            "DATABASE_URL cannot be read: write it as postgresql://user:password@host:port/database", retryable=False
        ) from None


def _unavailable(dsn: str, error: Exception) -> DatabaseUnavailable:
    given = _parse(dsn)
    where = f"{given.get('host') or 'the local socket'}, database {given.get('dbname') or given.get('user') or '?'}"
    reason = str(error).strip()
    if password := given.get("password"):
        reason = reason.replace(str(password), "********")
    return DatabaseUnavailable(f"PostgreSQL cannot be reached (DATABASE_URL: {where}): {reason}")
