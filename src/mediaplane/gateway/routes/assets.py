"""Assets: list, show, remove."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from mediaplane.access.rules import Action
from mediaplane.catalog import assets, objects, playback, runs
from mediaplane.catalog.assets import Asset
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.views import AssetDetail, AssetsPage, AssetView, RoleView, StageView
from mediaplane.gateway.who import May, Permit, Thing

router = APIRouter(prefix="/v1/assets", tags=["assets"])

Status = Literal["uploading", "processing", "ready", "failed"]


@router.get("")
async def list_assets(
    permit: May.read,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> AssetsPage:
    """Return assets, newest first."""
    after = read_asset_page(page)
    whose = permit.viewer
    async with permit.rows() as conn:
        rows = await assets.page(conn, owner=whose.owner, team=whose.team, status=status, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return AssetsPage(
        assets=[AssetView.model_validate(row) for row in rows[:limit]],
        next=write_page(last.created_at.isoformat(), last.asset_id) if last else None,
    )


@router.get("/{asset_id}")
async def show_asset(here: Here, permit: May.read, asset_id: Id) -> AssetDetail:
    """Return one asset with what is stored of it, how far its stages are, and where it plays."""
    async with permit.rows() as conn:
        asset = await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
        stored = await objects.summary(conn, asset_id)
        stages = await runs.of_asset(conn, asset_id)
        playable = bool(await playback.renditions(conn, asset_id))
    url = here.plane.playback_url(asset_id) if playable and _plays(permit, asset) else None
    if url:
        await permit.tell_issued([Thing("asset", asset_id, asset.owner, asset.team)], url)
    return AssetDetail(
        **AssetView.model_validate(asset).model_dump(),
        objects=[RoleView.model_validate(row) for row in stored],
        stages=[StageView.model_validate(run) for run in stages],
        playback_url=url,
    )


@router.delete("/{asset_id}", status_code=204)
async def remove_asset(permit: May.delete, asset_id: Id) -> None:
    """Remove the asset: its rows at once, its bytes by a worker soon after, running work is cancelled."""
    async with permit.rows() as conn:
        await assets.delete(conn, asset_id, owner=permit.viewer.owner, team=permit.viewer.team)


def _plays(permit: Permit, asset: Asset) -> bool:
    return permit.allows(Action.PLAY, owner=asset.owner, team=asset.team)
