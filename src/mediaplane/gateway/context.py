"""What a route is given: the plane and the tokens of this application, and checked path parts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Request

from mediaplane.access.audit import AuditLog
from mediaplane.access.recognition import Recogniser
from mediaplane.access.rules import Viewer, sight
from mediaplane.access.together import Together
from mediaplane.access.tokens import TokenReader, read_token_rules
from mediaplane.catalog import accounts
from mediaplane.catalog.accounts import ApiKey
from mediaplane.errors import DatabaseUnavailable
from mediaplane.jobs.outage import AWAY
from mediaplane.media.ids import ID_PATTERN
from mediaplane.postgres import GATEWAY_ROLE, Connection, narrowed
from mediaplane.storage.store import Signer
from mediaplane.wiring import Plane

Place = TypeVar("Place", bound=Hashable)
Row = TypeVar("Row")
# Rows by id, or by what else finds them, those of an owner and a team.
LookUp = Callable[[Connection, Sequence[Place], str | None, str | None], Awaitable[Mapping[Place, Row]]]

WAIT_SECONDS = 5.0  # for a free connection; a request that waits longer is better asked again


class Context:
    """What every route of one application shares; `role` is empty where the database cannot narrow."""

    def __init__(self, plane: Plane, *, role: str = GATEWAY_ROLE) -> None:
        self.plane = plane
        self.tokens = plane.tokens
        self.audit = AuditLog(self.connection)
        self.recogniser = _recogniser(self) if plane.settings.auth else None
        self._role = role
        self._finders: dict[tuple[Any, Viewer], Together[Any, Any]] = {}

    @property
    def signers(self) -> Mapping[str, Signer]:
        """Who signs what players read, by store."""
        return {name: opened.long_signer for name, opened in self.plane.stores.items()}

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode that sees every row: for what has no viewer.

        Raises:
            DatabaseUnavailable: the database went away, or none became free in time.
        """
        try:
            async with self.plane.pool.connection(timeout=WAIT_SECONDS) as conn:
                yield conn
        except AWAY as error:
            raise DatabaseUnavailable(f"the database does not answer: {error}") from error

    @asynccontextmanager
    async def rows(self, viewer: Viewer, *, actor: str = "") -> AsyncIterator[Connection]:
        """Lend a connection in a transaction that sees and changes the viewer's rows only, whatever is asked.

        `actor` is who the database's own audit records name.

        Raises:
            DatabaseUnavailable: the database went away, or none became free in time.
        """
        async with self.connection() as conn, narrowed(conn, sight(viewer), actor=actor, role=self._role):
            yield conn

    async def find(self, look_up: LookUp[Place, Row], viewer: Viewer, row_id: Place) -> Row | None:
        """Return the row if the viewer sees it, together with what others of the same sight ask for just now.

        Raises:
            DatabaseUnavailable: the database went away, or no connection became free in time.
        """
        place = (look_up, viewer)
        finder = self._finders.get(place)
        if finder is None:
            finder = self._finders[place] = Together(lambda ids: self._find_all(look_up, viewer, ids))
        try:
            found: Row | None = await finder.ask(row_id)
            return found
        finally:
            if finder.is_idle:
                self._finders.pop(place, None)

    async def _find_all(
        self, look_up: LookUp[Place, Row], viewer: Viewer, ids: Sequence[Place]
    ) -> Sequence[Row | None]:
        async with self.rows(viewer) as conn:
            found = await look_up(conn, list(set(ids)), viewer.owner, viewer.team)
        return [found.get(row_id) for row_id in ids]


def _recogniser(here: Context) -> Recogniser:
    async def find_key(key_id: str, digest: bytes) -> ApiKey | None:
        async with here.connection() as conn:
            return await accounts.find(conn, key_id, digest)

    checked = read_token_rules(here.plane.settings)
    return Recogniser(find_key, TokenReader(*checked) if checked else None)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]
Id = Annotated[str, Path(pattern=f"^{ID_PATTERN}$", description="1 to 64 of A-Z a-z 0-9 _ -")]
