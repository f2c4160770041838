"""How a command opens the plane: one loop, one connection pool, services found first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mediaplane.settings import load_settings
from mediaplane.wiring import Plane, find_services, open_plane

Result = TypeVar("Result")


def with_plane(work: Callable[[Plane], Awaitable[Result]], *, role: str = "gateway") -> Result:
    """Run `work` on the plane of the running `up`, or of servers of one's own.

    Raises:
        NotRunning: there is nothing to work on.
    """
    settings = find_services(load_settings(role=role))

    async def run() -> Result:
        async with open_plane(settings, max_connections=2) as plane:
            return await work(plane)

    return asyncio.run(run())
