"""How a command opens the plane: one loop, one connection pool, services found first."""

import asyncio
import getpass
import os
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from typing import IO, TypeVar

from mediaplane.servers import find_services
from mediaplane.settings import Settings, load_settings
from mediaplane.wiring import Plane, open_plane

Result = TypeVar("Result")


def open_url(url: str, settings: Settings, *, timeout_seconds: float) -> IO[bytes]:
    """Open a URL of ours or of the store's, which may have a certificate authority of its own.

    Raises:
        OSError: it cannot be reached, or refuses.
    """
    context = ssl.create_default_context(cafile=settings.s3_ca_file or None) if url.startswith("https:") else None
    answer: IO[bytes] = urllib.request.urlopen(url, timeout=timeout_seconds, context=context)  # noqa: S310 -- ours
    return answer


def operator() -> str:
    """Return whom audit records name for what is done on the command line: it works on the database directly."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number without a name
        return f"cli:{os.getuid()}"


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
