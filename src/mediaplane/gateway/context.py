"""What a route is given: the plane and the tokens of this application, and checked path parts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Request

from mediaplane.access.audit import AuditLog
from mediaplane.access.recognition import Recogniser
from mediaplane.access.rules import Viewer, sight
from mediaplane.access.together import Answer, Item, Together, Work, taken
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
        self.uploads = plane.direct_uploads(self.connection)
        self._role = role
        self._together: dict[tuple[Any, Viewer], Together[Any, Any]] = {}

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
        found: Row | None = await self._gather(
            (look_up, viewer), lambda ids: self._find_all(look_up, viewer, ids), row_id
        )
        return found

    async def share(self, work: Work[Item, Answer], viewer: Viewer, item: Item) -> Answer:
        """Have work done in a transaction that sees the viewer's rows, together with what others ask for just now.

        Raises:
            DatabaseUnavailable: the database went away, or no connection became free in time.
        """
        answer: Answer | Exception = await self._gather(
            (work, viewer), lambda items: self._do_all(work, viewer, items), item
        )
        return taken(answer)

    async def _gather(
        self, place: tuple[Any, Viewer], work: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]], item: Any
    ) -> Any:
        together = self._together.get(place)
        if together is None:
            together = self._together[place] = Together(work)
        try:
            return await together.ask(item)
        finally:
            if together.is_idle:
                self._together.pop(place, None)

    async def _find_all(
        self, look_up: LookUp[Place, Row], viewer: Viewer, ids: Sequence[Place]
    ) -> Sequence[Row | None]:
        async with self.rows(viewer) as conn:
            found = await look_up(conn, list(set(ids)), viewer.owner, viewer.team)
        return [found.get(row_id) for row_id in ids]

    async def _do_all(
        self, work: Work[Item, Answer], viewer: Viewer, items: Sequence[Item]
    ) -> Sequence[Answer | Exception]:
        try:
            async with self.rows(viewer) as conn:
                return await work(conn, items)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 of one of them, as a rule, and of no other: it is searched by halves
            if len(items) == 1:
                return [error]
        half = len(items) // 2
        before = await self._do_all(work, viewer, items[:half])
        return [*before, *await self._do_all(work, viewer, items[half:])]


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
