"""Segments: the text of one asset in the order of time."""

from typing import Annotated

from fastapi import APIRouter, Query

from mediaplane.access.rules import Action
from mediaplane.catalog import assets, segments
from mediaplane.catalog.segments import Segment
from mediaplane.gateway.context import Context, Here, Id
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_segment_page, write_page
from mediaplane.gateway.views import SegmentsPage, SegmentView
from mediaplane.gateway.who import May, Thing

router = APIRouter(prefix="/v1/assets/{asset_id}", tags=["segments"])


@router.get("/segments")
async def list_segments(
    here: Here,
    permit: May.read,
    asset_id: Id,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> SegmentsPage:
    """Return the asset's segments by time; while it is processed, those found so far."""
    after = read_segment_page(page)
    async with permit.rows() as conn:
        asset = await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
        rows = await segments.page(conn, asset_id, after=after, limit=limit + 1)
    plays = permit.allows(Action.PLAY, owner=asset.owner, team=asset.team)
    if plays and any(row.frame_ms is not None for row in rows):
        url = here.plane.playback_url(asset_id)  # frames have its token
        await permit.tell_issued([Thing("asset", asset_id, asset.owner, asset.team)], url)
    last = rows[limit - 1] if len(rows) > limit else None
    return SegmentsPage(
        segments=[_view(here, row, plays=plays) for row in rows[:limit]],
        next=write_page(last.t_start_ms, last.segment_id) if last else None,
    )


def _view(here: Context, row: Segment, *, plays: bool) -> SegmentView:
    return SegmentView(
        segment_id=row.segment_id,
        t_start_ms=row.t_start_ms,
        t_end_ms=row.t_end_ms,
        text=row.text,
        box=row.box,
        confidence=row.confidence,
        language=row.language,
        frame_url=here.plane.frame_url(row.asset_id, row.frame_ms) if plays else None,
    )
