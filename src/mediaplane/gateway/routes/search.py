"""Search: words in, ranked moments out."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from mediaplane.access.rules import Action
from mediaplane.catalog import assets
from mediaplane.gateway.context import Context, Here
from mediaplane.gateway.views import MAX_TIME_MS, HitsPage, HitView, SnippetView
from mediaplane.gateway.who import May, Permit, Thing
from mediaplane.media.ids import ID_PATTERN
from mediaplane.search.moments import Hit, search

router = APIRouter(prefix="/v1", tags=["search"])

MAX_QUERY_CHARS = 1000
MAX_HITS = 100

Time = Annotated[int | None, Query(ge=0, le=MAX_TIME_MS)]


@router.get("/search")
async def find_moments(  # noqa: PLR0917 FastAPI passes parameters by name
    here: Here,
    permit: May.read,
    q: Annotated[str, Query(max_length=MAX_QUERY_CHARS)],
    asset_id: Annotated[str | None, Query(pattern=f"^{ID_PATTERN}$")] = None,
    after_ms: Time = None,
    before_ms: Time = None,
    limit: Annotated[int, Query(ge=1, le=MAX_HITS)] = 20,
    page: str | None = None,
) -> HitsPage:
    """Return the moments that match: words, "phrases", -not, prefix*, #tag, @name, url: and number:."""
    async with permit.rows() as conn:
        found = await search(
            conn,
            q,
            owner=permit.viewer.owner,
            team=permit.viewer.team,
            asset_id=asset_id,
            after_ms=after_ms,
            before_ms=before_ms,
            limit=limit,
            page=page,
        )
        owners = await assets.owners(conn, list({hit.asset_id for hit in found.hits}))
    playable = _playable(permit, owners)
    if playable:
        url = here.plane.playback_url(next(iter(playable)))  # all of them end together
        await permit.tell_issued(playable.values(), url)
    hits = [_view(here, hit, plays=hit.asset_id in playable) for hit in found.hits]
    return HitsPage(hits=hits, next=found.next, corrections=found.corrections)


def _playable(permit: Permit, owners: Mapping[str, tuple[str, str]]) -> dict[str, Thing]:
    return {
        asset_id: Thing("asset", asset_id, owner, team)
        for asset_id, (owner, team) in owners.items()
        if permit.allows(Action.PLAY, owner=owner, team=team)
    }


def _view(here: Context, hit: Hit, *, plays: bool) -> HitView:
    return HitView(
        asset_id=hit.asset_id,
        t_start_ms=hit.t_start_ms,
        t_end_ms=hit.t_end_ms,
        text=hit.text,
        snippet=SnippetView.model_validate(hit.snippet),
        score=hit.score,
        frame_url=here.plane.frame_url(hit.asset_id, hit.frame_ms) if plays else None,
        playback_url=here.plane.playback_url(hit.asset_id, start_ms=hit.t_start_ms) if plays else None,
    )
