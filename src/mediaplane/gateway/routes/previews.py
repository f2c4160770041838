"""What people look at before they play: scrubbing preview, poster, waveform; for whoever holds the asset's token."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from mediaplane.access.playback import preview_track
from mediaplane.access.rules import of_asset
from mediaplane.catalog import assets, objects
from mediaplane.errors import ObjectNotFound
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.routes.playback import MAX_AGE_SECONDS, Token
from mediaplane.media.keys import ObjectKey

router = APIRouter(prefix="/v1/assets/{asset_id}", tags=["playback"])

PREVIEW_TYPE = "text/vtt; charset=utf-8"
Picture = Literal["poster.jpg", "waveform.png", "peaks.json"]


@router.head("/thumbnails.vtt", include_in_schema=False)
@router.get("/thumbnails.vtt", response_class=Response)
async def show_preview(here: Here, asset_id: Id, token: Token) -> Response:
    """Return the scrubbing preview: a WebVTT track of small pictures with signed URLs, as far as chunks are done."""
    here.tokens.check_token(asset_id, token)
    async with here.rows(of_asset(asset_id)) as conn:
        asset = await assets.get(conn, asset_id)
        text = await preview_track(conn, asset, signers=here.signers)
    keep = f"private, max-age={MAX_AGE_SECONDS}" if asset.status == "ready" else "no-cache"
    return Response(text, media_type=PREVIEW_TYPE, headers={"cache-control": keep})


@router.head("/pictures/{picture}", include_in_schema=False)
@router.get("/pictures/{picture}", response_class=RedirectResponse, status_code=302)
async def show_picture(here: Here, request: Request, asset_id: Id, picture: Picture, token: Token) -> RedirectResponse:
    """Send the client to the poster, the picture of the waveform, or the peaks it was drawn from."""
    here.tokens.check_token(asset_id, token)
    role = picture.partition(".")[0]
    async with here.rows(of_asset(asset_id)) as conn:
        found = [row for row in await objects.of_asset(conn, asset_id, role) if row.state == "stored"]
    if not found:
        raise ObjectNotFound(f"the {role} of {asset_id}")
    signer, key = here.signers[found[0].store], ObjectKey(found[0].key)
    url = signer.sign_head(key) if request.method == "HEAD" else signer.sign_get(key)  # S3 binds the method
    return RedirectResponse(url, 302, headers={"cache-control": f"private, max-age={MAX_AGE_SECONDS}"})
