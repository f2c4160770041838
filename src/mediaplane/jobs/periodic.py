"""Periodic tasks: each run by one worker at a time, at its interval, whichever workers there are."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from mediaplane.jobs.outage import AWAY, Outage, back_off
from mediaplane.logs import Logger
from mediaplane.postgres import Connection, Pool, load_queries

SQL = load_queries("periodic")
LONGEST_SLEEP_SECONDS = 60.0
TURN_ELSEWHERE_SECONDS = 1.0  # another worker is at it: look again no sooner than this

# Interval between two beginnings, and what to do; it gets an autocommit connection.
Periodic = tuple[timedelta, Callable[[Connection], Awaitable[object]]]

log = Logger(__name__)


async def repeat(pool: Pool, name: str, task: Periodic, outage: Outage) -> None:
    """Run the task whenever it is due and no other worker runs it, until cancelled. Its errors are logged."""
    await _repeat(lambda: _turn(pool, name, task), outage)


async def repeat_unlocked(pool: Pool, name: str, task: Periodic, outage: Outage) -> None:
    """The same without the lock: one worker begins it at each interval, even where the last one hangs in it."""
    await _repeat(lambda: _turn_unlocked(pool, name, task), outage)


async def _repeat(turn: Callable[[], Awaitable[float]], outage: Outage) -> None:
    tries = 0
    while True:
        try:
            seconds = await turn()
            tries = 0
        except AWAY as error:
            outage.begin(error)
            await back_off(tries)
            tries += 1
        else:
            await asyncio.sleep(min(max(seconds, 0.05), LONGEST_SLEEP_SECONDS))


async def _turn_unlocked(pool: Pool, name: str, task: Periodic) -> float:
    interval, run = task
    values = {"name": name, "interval": interval}
    async with pool.connection() as conn:
        if await (await conn.execute(SQL["take_turn"], values)).fetchone() is not None:
            error = await _attempt(conn, name, run)
            await conn.execute(SQL["end"], {"name": name, "error": error})
        return float(await _value(conn, "wait", values))


async def _turn(pool: Pool, name: str, task: Periodic) -> float:
    """Run the task if it is our turn; return how many seconds to sleep."""
    interval, run = task
    values = {"name": name, "interval": interval}
    async with pool.connection() as conn:
        if (seconds := await _value(conn, "wait", values)) > 0:
            return float(seconds)
        if not await _value(conn, "lock", values):
            return min(interval.total_seconds(), TURN_ELSEWHERE_SECONDS)
        try:
            if await _value(conn, "wait", values) <= 0:  # else another has just run it
                await conn.execute(SQL["begin"], values)
                error = await _attempt(conn, name, run)
                await conn.execute(SQL["end"], {"name": name, "error": error})
            seconds = float(await _value(conn, "wait", values))
            await conn.execute(SQL["unlock"], values)
        except BaseException:
            await conn.close()  # the lock goes with it, whatever state the connection is in
            raise
    return seconds


async def _attempt(conn: Connection, name: str, run: Callable[[Connection], Awaitable[object]]) -> str | None:
    try:
        await run(conn)
    except AWAY:
        raise
    except Exception as error:  # noqa: BLE001 -- one task's fault must not end the worker, nor the other tasks
        log.error("periodic task failed", task=name, traceback="".join(traceback.format_exception(error)))
        return type(error).__name__
    return None


async def _value(conn: Connection, query: str, values: dict[str, Any]) -> Any:
    row = await (await conn.execute(SQL[query], values)).fetchone()
    assert row is not None
    return row[0]
