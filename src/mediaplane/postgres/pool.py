"""Connections to PostgreSQL: one, or a pool of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mediaplane.errors import DatabaseUnavailable

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

SCHEMA = "mediaplane"
CONNECT_TIMEOUT_SECONDS = 10


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
        DatabaseUnavailable: nobody answers at `dsn`, or it refuses us.
    """
    await (await connect(dsn)).close()  # its error says why; the pool's would say only that time ran out
    pool: Pool = AsyncConnectionPool(
        dsn,
        kwargs=_connection_options(dsn),
        min_size=1,
        max_size=max_size,
        open=False,
        check=AsyncConnectionPool.check_connection,  # after a restart of the server no request meets a dead connection
    )
    try:
        try:
            await pool.open(wait=True, timeout=CONNECT_TIMEOUT_SECONDS)
        except PoolTimeout as error:
            raise _unavailable(dsn, error) from error
        yield pool
    finally:
        await pool.close()


def _connection_options(dsn: str) -> dict[str, Any]:
    """Return what each connection gets beside `dsn`.

    search_path goes as a start option, not as SET: RESET ALL and DISCARD ALL fall back to it.
    """
    given = _parse(dsn)
    search_path = f"-c search_path={SCHEMA}"
    return {
        "autocommit": True,
        "application_name": given.get("application_name") or "mediaplane",
        "connect_timeout": given.get("connect_timeout") or CONNECT_TIMEOUT_SECONDS,
        "options": f"{given['options']} {search_path}" if given.get("options") else search_path,
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
