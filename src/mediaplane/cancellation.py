"""Ending tasks for certain: a cancellation asked for once can be lost.

`asyncio.wait_for` of Python 3.11 returns as if nothing had happened where what it waited for came in the same moment,
and a `TaskGroup` whose parts failed raises their errors instead. Both happen inside the connection pool and in what
workers repeat; what went on after that would keep its process from ending. Source: cpython issue 86296.
"""

import asyncio
from typing import Any

AGAIN_SECONDS = 1.0  # long enough for a query to be cancelled with the server


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks, again and again until every one has ended; what they raise is not raised here."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # taken, or asyncio would log it as never looked at
