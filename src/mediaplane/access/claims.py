"""Claims that end by themselves: short, so that a killed process's are soon free, and renewed while work goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from mediaplane.cancellation import end_tasks
from mediaplane.jobs.outage import AWAY

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0


@asynccontextmanager
async def renewed(renew: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Call `renew` now and then for as long as the block takes, also after the database was away for a moment."""

    async def go_on() -> None:
        while True:
            with suppress(*AWAY):
                await renew()
            await asyncio.sleep(RENEW_SECONDS)

    begun: list[asyncio.Task[None]] = []
    # most blocks end long before it is time to: a task for each would cost more than they do
    timer = asyncio.get_running_loop().call_later(RENEW_SECONDS, lambda: begun.append(asyncio.create_task(go_on())))
    try:
        yield
    finally:
        timer.cancel()
        await end_tasks(*begun)
