"""Clips: ask for a cut, ask whether it is ready, list them, remove them."""

from typing import Literal

from fastapi import APIRouter, Response

from mediaplane.access.rules import Action
from mediaplane.catalog import assets, clips
from mediaplane.catalog.clips import Clip
from mediaplane.errors import ClipNotFound
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.views import ClipRequest, ClipsView, ClipView
from mediaplane.gateway.who import May, Permit, Thing
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.clips import Named, request_clip

router = APIRouter(prefix="/v1", tags=["clips"])

Status = Literal["processing", "ready", "failed"]


@router.post("/assets/{asset_id}/clips", status_code=202, responses={200: {"model": ClipView}})
async def ask_for_clip(here: Here, permit: May.cut, asset_id: Id, wanted: ClipRequest, response: Response) -> ClipView:
    """Return the clip: 200 where it is ready already, 202 while it is being made. Asked twice it is made once."""
    settings = here.plane.settings
    padding_ms = settings.clip_padding_ms if wanted.padding_ms is None else wanted.padding_ms
    async with permit.rows() as conn:
        clip = await request_clip(
            conn,
            settings,
            asset_id,
            start_ms=wanted.t_start_ms,
            end_ms=wanted.t_end_ms,
            mode=wanted.mode,
            padding_ms=padding_ms,
            named=Named(wanted.title, wanted.style),
            owner=permit.viewer.owner,
            team=permit.viewer.team,
        )
    response.status_code = 202 if clip.status == "processing" else 200
    response.headers["location"] = f"/v1/clips/{clip.clip_id}"
    return (await show_clips(permit, [clip]))[0]


@router.get("/assets/{asset_id}/clips")
async def list_clips(permit: May.read, asset_id: Id, status: Status | None = None) -> ClipsView:
    """Return the asset's clips by time, with signed URLs of those that are ready."""
    async with permit.rows() as conn:
        asset = await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
        found = [clip for clip in await clips.of_asset(conn, asset.asset_id) if status in (None, clip.status)]
    return ClipsView(clips=await show_clips(permit, found))


@router.get("/clips/{clip_id}")
async def show_clip(permit: May.read, clip_id: Id) -> ClipView:
    """Return the clip, with a signed URL of its bytes once it is ready."""
    clip = await permit.find(clips.find, clip_id)
    if clip is None:
        raise ClipNotFound(clip_id)
    return (await show_clips(permit, [clip]))[0]


@router.delete("/clips/{clip_id}", status_code=204)
async def remove_clip(permit: May.delete, clip_id: Id) -> None:
    """Remove the clip: its row at once, its bytes and those of its thumbnail by a worker soon after."""
    async with permit.rows() as conn:
        await clips.delete(conn, clip_id, owner=permit.viewer.owner, team=permit.viewer.team)


async def show_clips(permit: Permit, found: list[Clip]) -> list[ClipView]:
    """Return clips as the API shows them, with URLs of the bytes that are ready and may be seen."""
    return [await _view(permit, clip) for clip in found]


async def _view(permit: Permit, clip: Clip) -> ClipView:
    view = ClipView.model_validate(clip, from_attributes=True)
    plays = permit.allows(Action.PLAY, owner=clip.owner, team=clip.team)
    if plays and clip.status == "ready" and clip.store and clip.key:
        stores = permit.here.plane.stores
        view.url = stores[clip.store].signer.sign_get(ObjectKey(clip.key))
        if clip.thumb_store and clip.thumb_key:
            view.thumbnail_url = stores[clip.thumb_store].signer.sign_get(ObjectKey(clip.thumb_key))
        await permit.tell_issued([Thing("clip", clip.clip_id, clip.owner, clip.team)], view.url)
    return view
