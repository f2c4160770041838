"""Events as they happen, as a stream (server-sent events): of one asset, or of all that one may see.

A stream begins with a `snapshot` of how things are; a client that comes back with `Last-Event-ID` gets what it missed
instead, where that is still kept. An event may be repeated after a break, none is left out.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from mediaplane.catalog import assets, events, runs
from mediaplane.errors import DatabaseUnavailable
from mediaplane.gateway.context import Id
from mediaplane.gateway.edge import edge_of
from mediaplane.gateway.events import Place, write_event, write_message
from mediaplane.gateway.streams import EventStream
from mediaplane.gateway.views import AssetView, StageView
from mediaplane.gateway.who import May, Permit
from mediaplane.postgres import Connection

router = APIRouter(prefix="/v1", tags=["events"])

MOST_MISSED = 500  # who missed more is told how things are instead
MOST_UNFINISHED = 100

LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=32, description="The `id` of the last message, to go on from")
]
After = Annotated[int | None, Query(ge=0, lt=1 << 63, description="The same, for clients that cannot set headers")]

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Messages `snapshot`, `asset`, `stage`, `upload`, `clip`, `submission`, `task`, each with JSON "
        "as its data",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 17\nevent: asset\ndata: {"event_id":17,"type":"asset.ready","asset_id":"a1"}\n\n',
            }
        },
    }
}


@router.get("/assets/{asset_id}/events", response_class=StreamingResponse, responses=_STREAM)
async def follow_asset(
    request: Request, permit: May.read, asset_id: Id, last_event_id: LastId = None, after: After = None
) -> EventStream:
    """Stream what happens to one asset, its stages, uploads and clips."""

    async def snapshot(conn: Connection) -> dict[str, Any]:
        asset = await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
        stages = [StageView.model_validate(run).model_dump(mode="json") for run in await runs.of_asset(conn, asset_id)]
        return {"asset": AssetView.model_validate(asset).model_dump(mode="json"), "stages": stages}

    place = (permit.viewer.owner, permit.viewer.team, asset_id)
    return await _open(request, permit, place, snapshot, _place_of(last_event_id, after))


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def follow_everything(
    request: Request, permit: May.read, last_event_id: LastId = None, after: After = None
) -> EventStream:
    """Stream what happens to everything that one may see."""

    async def snapshot(conn: Connection) -> dict[str, Any]:
        whose = permit.viewer
        found = await events.unfinished(conn, owner=whose.owner, team=whose.team, limit=MOST_UNFINISHED)
        return {"unfinished": found}

    place = (permit.viewer.owner, permit.viewer.team, None)
    return await _open(request, permit, place, snapshot, _place_of(last_event_id, after))


async def _open(request: Request, permit: Permit, place: Place, snapshot: Any, after: int | None) -> EventStream:
    feed = edge_of(request).feed
    try:
        subscription = await feed.subscribe(place)
    except TimeoutError as error:
        raise DatabaseUnavailable("the event feed has lost the database") from error
    try:
        settled = feed.settled  # before the rows are read: what happens meanwhile comes behind them
        async with permit.rows() as conn:
            state = await snapshot(conn)  # also where it is not sent: it says whether there is such an asset
            missed = None if after is None else await _missed(conn, place, after)
    except BaseException:
        feed.unsubscribe(subscription)
        raise
    opening = write_message("snapshot", state, settled) if missed is None else missed
    return EventStream(feed, subscription, opening)


async def _missed(conn: Connection, place: Place, after: int) -> bytes | None:
    owner, team, asset_id = place
    found = await events.read_since(conn, after, owner=owner, team=team, asset_id=asset_id, limit=MOST_MISSED + 1)
    if found is None or len(found) > MOST_MISSED:
        return None
    return b"".join(write_event(event, event.event_id) for event in found)


def _place_of(last_event_id: str | None, after: int | None) -> int | None:
    """Return the id to go on from; what a browser sends from another server's stream is none of ours."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19:
        return int(last_event_id)
    return after
