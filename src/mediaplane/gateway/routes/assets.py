"""Assets: list, show, remove."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from mediaplane.access.playback import picture_url, preview_url
from mediaplane.access.rules import Action
from mediaplane.catalog import assets, objects, playback, replays, runs
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.runs import StageRun
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.views import (
    AssetDetail,
    AssetsPage,
    AssetView,
    ReplayRequest,
    ReplayView,
    RoleView,
    StageDetail,
)
from mediaplane.gateway.who import May, Permit, Thing
from mediaplane.pipeline.replays import begin_replay

router = APIRouter(prefix="/v1/assets", tags=["assets"])

PICTURES = {"poster": "jpg", "waveform": "png", "peaks": "json"}
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
        replay = await replays.latest(conn, asset_id)
        playable = bool(await playback.renditions(conn, asset_id))
    url = here.plane.playback_url(asset_id) if playable and _plays(permit, asset) else None
    pictures = _picture_urls(here, permit, asset, {row.role for row in stored})
    if issued := next(filter(None, [url, *pictures.values()]), None):
        await permit.tell_issued([Thing("asset", asset_id, asset.owner, asset.team)], issued)
    return AssetDetail(
        **AssetView.model_validate(asset).model_dump(),
        objects=[RoleView.model_validate(row) for row in stored],
        stages=[_stage(run, reused=replay is not None and replay.reused(run)) for run in stages],
        playback_url=url,
        preview_url=pictures.get("preview_url"),
        poster_url=pictures.get("poster_url"),
        waveform_url=pictures.get("waveform_url"),
        peaks_url=pictures.get("peaks_url"),
    )


@router.delete("/{asset_id}", status_code=204)
async def remove_asset(permit: May.delete, asset_id: Id) -> None:
    """Remove the asset: its rows at once, its bytes by a worker soon after, running work is cancelled."""
    async with permit.rows() as conn:
        await assets.delete(conn, asset_id, owner=permit.viewer.owner, team=permit.viewer.team)


@router.post("/{asset_id}/replays", status_code=202, response_model=ReplayView)
async def begin_replay_of(
    here: Here, permit: May.edit, once: JustOnce, asset_id: Id, wanted: ReplayRequest
) -> Response:
    """Work on the asset again with other parameters: what does not depend on them is reused, what failed is retried."""

    async def begin() -> tuple[int, ReplayView]:
        async with permit.rows() as conn:
            begun = await begin_replay(
                conn,
                here.plane.flow,
                asset_id,
                stage=wanted.stage,
                given=wanted.set,
                owner=permit.viewer.owner,
                team=permit.viewer.team,
            )
        view = ReplayView(
            replay_id=begun.replay.replay_id,
            asset_id=asset_id,
            params=begun.replay.params,
            begun=[_stage(run) for run in begun.begun],
            reused=[_stage(run, reused=True) for run in begun.reused],
        )
        return 202, view

    return await once.answer(begin)


def _stage(run: StageRun, *, reused: bool = False) -> StageDetail:
    return StageDetail.model_validate(run).model_copy(update={"reused": reused})


def _picture_urls(here: Here, permit: Permit, asset: Asset, roles: set[str]) -> dict[str, str]:
    """Return where to look at what is stored of the asset, for who may play it."""
    if not _plays(permit, asset):
        return {}
    base, asset_id, token = here.plane.settings.public_url, asset.asset_id, here.tokens.make_token(asset.asset_id)
    urls = {
        f"{role}_url": picture_url(base, asset_id, token, f"{role}.{ending}")
        for role, ending in PICTURES.items()
        if role in roles
    }
    return urls | ({"preview_url": preview_url(base, asset_id, token)} if "sprite" in roles else {})


def _plays(permit: Permit, asset: Asset) -> bool:
    return permit.allows(Action.PLAY, owner=asset.owner, team=asset.team)
