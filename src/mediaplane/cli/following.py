"""Following what workers do: looking again and again, through a short outage of the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from mediaplane.errors import DatabaseUnavailable
from mediaplane.jobs.outage import AWAY
from mediaplane.postgres import Connection, Pool

AWAY_SECONDS = 60.0  # `up` starts a dead database again within seconds


class Followed(Protocol):
    """An asset, a clip: what workers bring to an end."""

    @property
    def status(self) -> str:
        """`ready` and `failed` are ends."""


Seen = TypeVar("Seen", bound=Followed)


async def follow(
    pool: Pool, look: Callable[[Connection], Awaitable[Seen]], *, again: str, poll_seconds: float = 0.4
) -> Seen:
    """Return what `look` sees once that is ready or has failed.

    Raises:
        DatabaseUnavailable: it has been away for long; the sentence ends with `again`, what to do when it is back.
    """
    looked_at = time.monotonic()
    while True:
        try:
            async with pool.connection() as conn:
                found = await look(conn)
        except AWAY as error:
            if time.monotonic() - looked_at > AWAY_SECONDS:
                raise DatabaseUnavailable(f"the database is away; when it is back the work goes on: {again}") from error
        else:
            looked_at = time.monotonic()
            if found.status in ("ready", "failed"):
                return found
        await asyncio.sleep(poll_seconds)
