"""Who asks, and what that permits: a route names the action, and is given a permit or the request is refused.

@router.get("/{asset_id}")
async def show_asset(permit: May.read, asset_id: Id) -> …:
    async with permit.rows() as conn: …
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from mediaplane.access.links import ends_at
from mediaplane.access.principals import Principal, local_principal
from mediaplane.access.rules import Action, Viewer, may_do, viewer
from mediaplane.access.together import Answer, Item, Work
from mediaplane.catalog.audit import NewRecord
from mediaplane.gateway.context import Context, LookUp, Place, Row
from mediaplane.gateway.edge import edge_of
from mediaplane.gateway.request_ids import current_id
from mediaplane.postgres import Connection

MAX_HEADER_CHARS = 300


async def current_principal(request: Request) -> Principal:
    """Return who asks.

    Raises:
        CredentialsInvalid: nobody that is known here.
    """
    here: Context = request.app.state.context
    if here.recogniser is None:
        return local_principal(here.plane.settings.owner, here.plane.settings.team)
    return await here.recogniser.recognise(request.headers.get("authorization"))


Who = Annotated[Principal, Depends(current_principal)]


@dataclass(frozen=True, slots=True)
class Thing:
    """What a record is about, and whose it is."""

    kind: str
    thing: str
    owner: str
    team: str


@dataclass(frozen=True, slots=True)
class Permit:
    """A principal who may do an action, to the rows of `viewer`; `request` is where it was asked from."""

    here: Context
    principal: Principal
    viewer: Viewer
    request: Request

    @asynccontextmanager
    async def rows(self) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction that sees and changes the viewer's rows only.

        Raises:
            DatabaseUnavailable: the database went away, or no connection became free in time.
        """
        async with self.here.rows(self.viewer, actor=self._actor()) as conn:
            yield conn

    async def find(self, look_up: LookUp[Place, Row], row_id: Place) -> Row | None:
        """Return one row by id if it is in sight, None if not; many that are asked at once are one question.

        For what is asked again and again. Those who see the same rows share an answer, never others.

        Raises:
            DatabaseUnavailable: the database went away, or no connection became free in time.
        """
        return await self.here.find(look_up, self.viewer, row_id)

    async def share(self, work: Work[Item, Answer], item: Item) -> Answer:
        """Have work done on the viewer's rows, in a transaction that others of the same sight share: a `Share`.

        Raises:
            DatabaseUnavailable: the database went away, or no connection became free in time.
        """
        return await self.here.share(work, self.viewer, item)

    def allows(self, action: Action, *, owner: str, team: str) -> bool:
        """Return whether the principal may do this too, to a row of this owner and team."""
        return may_do(self.principal, action, owner=owner, team=team)

    async def tell_issued(self, things: Iterable[Thing], url: str) -> None:
        """Record that URLs of these things are about to be given out, that end as `url`; one's own are not recorded.

        Raises:
            DatabaseUnavailable: it could not be recorded, so nothing may be given out.
        """
        foreign = dict.fromkeys(thing for thing in things if thing.owner != self.principal.owner)
        if foreign:
            until = ends_at(url)
            await self.here.audit.append([self.record("url.issued", thing, until=until) for thing in foreign])

    def record(self, action: str, thing: Thing, *, until: datetime | None = None, **details: object) -> NewRecord:
        """Return an audit record of what this principal did to the thing, for `catalog.audit.add` or `audit.append`."""
        who = self.principal
        return NewRecord(
            subject=who.subject,
            subject_owner=who.owner,
            subject_team=who.team,
            role=str(who.role),
            action=action,
            kind=thing.kind,
            thing=thing.thing,
            owner=thing.owner,
            team=thing.team,
            until=until,
            **origin_of(self.request),
            details=details,
        )

    def _actor(self) -> str:
        """Return who the database's own records name: deletions, keys."""
        who = self.principal
        named = {"subject": who.subject, "owner": who.owner, "team": who.team, "role": str(who.role)}
        return json.dumps({**named, **origin_of(self.request)})


def may(action: Action) -> Callable[[Request], Awaitable[Permit]]:
    """Return the dependency that gives a permit for the action.

    Raises:
        NotPermitted: when asked by one who may do it to nobody's rows.
        RateLimited: when asked too often by one owner.
    """

    async def permit(request: Request) -> Permit:
        who = await current_principal(request)  # called, not depended on: FastAPI takes longer to ask than it to answer
        edge_of(request).spend(who)
        return Permit(request.app.state.context, who, viewer(who, action), request)

    return permit


class May:
    """Permits for the signature of a route, one an action."""

    read = Annotated[Permit, Depends(may(Action.READ))]
    play = Annotated[Permit, Depends(may(Action.PLAY))]
    upload = Annotated[Permit, Depends(may(Action.UPLOAD))]
    edit = Annotated[Permit, Depends(may(Action.EDIT))]
    cut = Annotated[Permit, Depends(may(Action.CUT))]
    delete = Annotated[Permit, Depends(may(Action.DELETE))]
    review = Annotated[Permit, Depends(may(Action.REVIEW))]
    tasks = Annotated[Permit, Depends(may(Action.TASKS))]
    datasets = Annotated[Permit, Depends(may(Action.DATASETS))]
    download = Annotated[Permit, Depends(may(Action.DOWNLOAD))]
    grant = Annotated[Permit, Depends(may(Action.GRANT))]
    operate = Annotated[Permit, Depends(may(Action.OPERATE))]


def origin_of(request: Request) -> dict[str, str | None]:
    """Return from where it was asked, as audit records have it: ip, user_agent, request_id."""
    agent = request.headers.get("user-agent")
    return {
        "ip": request.client.host if request.client else None,
        "user_agent": agent[:MAX_HEADER_CHARS] if agent else None,
        "request_id": current_id() or None,
    }
