"""Purges: remove an asset, or a whole owner, for good, with a receipt that says what went and that nothing is left."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from mediaplane.access.rules import Viewer
from mediaplane.catalog import assets, audit, purges
from mediaplane.catalog.purges import EVERY_TEAM, Purge
from mediaplane.errors import NotPermitted
from mediaplane.gateway.context import Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.purge_views import PurgeRequest, PurgesPage, PurgeView
from mediaplane.gateway.who import May, Permit, Thing, origin_of
from mediaplane.postgres import Connection

router = APIRouter(prefix="/v1", tags=["purges"])


@router.post("/assets/{asset_id}/purge", status_code=202, response_model=PurgeView)
async def purge_asset(permit: May.delete, asset_id: Id, once: JustOnce) -> Response:
    """Begin to remove an asset for good, and answer with the purge to ask about: it ends as a receipt."""

    async def begin() -> tuple[int, PurgeView]:
        async with permit.rows() as conn:
            asset = await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
            return 202, await _begin(conn, permit, asset.owner, asset.team, asset_id)

    return await once.answer(begin)


@router.post("/purges", status_code=202, response_model=PurgeView)
async def purge_owner(permit: May.delete, once: JustOnce, wanted: PurgeRequest | None = None) -> Response:
    """Begin to remove all that an owner has: assets, clips, uploads in flight, events, webhooks, words of the index."""
    owner, team = _whose(permit, wanted or PurgeRequest())

    async def begin() -> tuple[int, PurgeView]:
        async with permit.rows() as conn:
            return 202, await _begin(conn, permit, owner, team, None)

    return await once.answer(begin)


@router.get("/purges")
async def list_purges(
    permit: May.read,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> PurgesPage:
    """Return purges, newest first."""
    after, whose = read_asset_page(page), permit.viewer
    async with permit.rows() as conn:
        rows = await purges.page(conn, owner=whose.owner, team=whose.team, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return PurgesPage(
        purges=[PurgeView.model_validate(row) for row in rows[:limit]],
        next=write_page(last.requested_at.isoformat(), last.purge_id) if last else None,
    )


@router.get("/purges/{purge_id}")
async def show_purge(permit: May.read, purge_id: Id) -> PurgeView:
    """Return a purge: how far it is and what it waits for, or its receipt."""
    async with permit.rows() as conn:
        row = await purges.get(conn, purge_id, permit.viewer.owner, permit.viewer.team)
    return PurgeView.model_validate(row)


def _whose(permit: Permit, wanted: PurgeRequest) -> tuple[str, str]:
    """Return owner and team: who may delete own things only may purge those only, in the team of the credentials.

    Raises:
        NotPermitted: they are somebody else's.
    """
    seen: Viewer = permit.viewer
    owner = wanted.owner or permit.principal.owner
    if seen.owner not in (None, owner) or seen.team not in (None, wanted.team or seen.team):
        raise NotPermitted("you may purge your own things only, in your own team")
    return owner, wanted.team or seen.team or EVERY_TEAM


async def _begin(conn: Connection, permit: Permit, owner: str, team: str, asset_id: str | None) -> PurgeView:
    purge, is_new = await purges.request(
        conn, owner=owner, team=team, asset_id=asset_id, requested_by=_requester(permit)
    )
    if is_new:
        await audit.add(conn, [_record(permit, purge)])
    return PurgeView.model_validate(purge)


def _requester(permit: Permit) -> dict[str, str | None]:
    who = permit.principal
    named = {"subject": who.subject, "owner": who.owner, "team": who.team, "role": str(who.role)}
    return {**named, **origin_of(permit.request)}


def _record(permit: Permit, purge: Purge) -> audit.NewRecord:
    thing = Thing("purge", purge.purge_id, purge.owner, purge.team)
    return permit.record("purge.requested", thing, asset_id=purge.asset_id)
