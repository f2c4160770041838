"""Clips: ask for a cut, ask whether it is ready."""

from fastapi import APIRouter, Response

from mediaplane.access.rules import Action
from mediaplane.catalog import clips
from mediaplane.catalog.clips import Clip
from mediaplane.errors import ClipNotFound
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.views import ClipRequest, ClipView
from mediaplane.gateway.who import May, Permit, Thing
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.clips import request_clip

router = APIRouter(prefix="/v1", tags=["clips"])


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
            owner=permit.viewer.owner,
            team=permit.viewer.team,
        )
    response.status_code = 202 if clip.status == "processing" else 200
    response.headers["location"] = f"/v1/clips/{clip.clip_id}"
    return await _view(permit, clip)


@router.get("/clips/{clip_id}")
async def show_clip(permit: May.read, clip_id: Id) -> ClipView:
    """Return the clip, with a signed URL of its bytes once it is ready."""
    clip = await permit.find(clips.find, clip_id)
    if clip is None:
        raise ClipNotFound(clip_id)
    return await _view(permit, clip)


async def _view(permit: Permit, clip: Clip) -> ClipView:
    view = ClipView.model_validate(clip, from_attributes=True)
    plays = permit.allows(Action.PLAY, owner=clip.owner, team=clip.team)
    if plays and clip.status == "ready" and clip.store and clip.key:
        view.url = permit.here.plane.stores[clip.store].signer.sign_get(ObjectKey(clip.key))
        await permit.tell_issued([Thing("clip", clip.clip_id, clip.owner, clip.team)], view.url)
    return view
