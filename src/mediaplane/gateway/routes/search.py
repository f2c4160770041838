"""Search: words in, ranked moments out."""

from typing import Annotated

from fastapi import APIRouter, Query

from mediaplane.gateway.context import Context, Here
from mediaplane.gateway.views import MAX_TIME_MS, HitsPage, HitView, SnippetView
from mediaplane.media.ids import ID_PATTERN
from mediaplane.search.moments import Hit, search

router = APIRouter(prefix="/v1", tags=["search"])

MAX_QUERY_CHARS = 1000
MAX_HITS = 100

Time = Annotated[int | None, Query(ge=0, le=MAX_TIME_MS)]


@router.get("/search")
async def find_moments(  # noqa: PLR0917 FastAPI passes parameters by name
    here: Here,
    q: Annotated[str, Query(max_length=MAX_QUERY_CHARS)],
    asset_id: Annotated[str | None, Query(pattern=f"^{ID_PATTERN}$")] = None,
    after_ms: Time = None,
    before_ms: Time = None,
    limit: Annotated[int, Query(ge=1, le=MAX_HITS)] = 20,
    page: str | None = None,
) -> HitsPage:
    """Return the moments that match: words, "phrases", -not, prefix*, #tag, @name, url: and number:."""
    async with here.connection() as conn:
        found = await search(
            conn,
            q,
            owner=here.owner,
            asset_id=asset_id,
            after_ms=after_ms,
            before_ms=before_ms,
            limit=limit,
            page=page,
        )
    return HitsPage(hits=[_view(here, hit) for hit in found.hits], next=found.next, corrections=found.corrections)


def _view(here: Context, hit: Hit) -> HitView:
    return HitView(
        asset_id=hit.asset_id,
        t_start_ms=hit.t_start_ms,
        t_end_ms=hit.t_end_ms,
        text=hit.text,
        snippet=SnippetView.model_validate(hit.snippet),
        score=hit.score,
        frame_url=here.plane.frame_url(hit.asset_id, hit.frame_ms),
        playback_url=here.plane.playback_url(hit.asset_id, start_ms=hit.t_start_ms),
    )
