"""What a route is given: the plane and the tokens of this application, and checked path parts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from mediaplane.access.links import PlaybackTokens
from mediaplane.errors import DatabaseUnavailable
from mediaplane.jobs.outage import AWAY
from mediaplane.media.ids import ID_PATTERN
from mediaplane.postgres import Connection
from mediaplane.storage.store import Signer
from mediaplane.wiring import Plane

WAIT_SECONDS = 5.0  # for a free connection; a request that waits longer is better asked again


@dataclass(frozen=True, slots=True)
class Context:
    """What every route of one application shares."""

    plane: Plane
    tokens: PlaybackTokens

    @property
    def signers(self) -> Mapping[str, Signer]:
        """Who signs what players read, by store."""
        return {name: opened.long_signer for name, opened in self.plane.stores.items()}

    @property
    def owner(self) -> str:
        """Whose things are served: there are no accounts yet."""
        return self.plane.settings.owner

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode.

        Raises:
            DatabaseUnavailable: the database went away, or none became free in time.
        """
        try:
            async with self.plane.pool.connection(timeout=WAIT_SECONDS) as conn:
                yield conn
        except AWAY as error:
            raise DatabaseUnavailable(f"the database does not answer: {error}") from error


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]
Id = Annotated[str, Path(pattern=f"^{ID_PATTERN}$", description="1 to 64 of A-Z a-z 0-9 _ -")]
