"""Playback: playlists and frames of one asset, for whoever holds its token."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from mediaplane.access.playback import MASTER, master_playlist, media_playlist
from mediaplane.access.rules import of_asset
from mediaplane.catalog import assets, objects
from mediaplane.errors import ObjectNotFound
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.views import MAX_TIME_MS
from mediaplane.media.keys import ObjectKey, uid_of

router = APIRouter(prefix="/v1/assets/{asset_id}", tags=["playback"])

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
# Short against the signed URLs inside, which live at least one lifetime from when they were made.
MAX_AGE_SECONDS = 60

Token = Annotated[str, Query(max_length=200)]
Name = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
Start = Annotated[float | None, Query(ge=0, le=MAX_TIME_MS / 1000, allow_inf_nan=False)]


@router.head("/hls/{rendition}.m3u8", include_in_schema=False)
@router.get("/hls/{rendition}.m3u8", response_class=Response)
async def show_playlist(here: Here, asset_id: Id, rendition: Name, token: Token, start: Start = None) -> Response:
    """Return the master playlist (`index`) or that of one rendition; `start` is where players begin, in seconds."""
    here.tokens.check_token(asset_id, token)
    async with here.rows(of_asset(asset_id)) as conn:
        asset = await assets.get(conn, asset_id)
        if asset.kind == "image":  # whoever opens it sees it
            return RedirectResponse(f"../frames/0.jpg?token={token}", 302)
        if rendition == MASTER:
            text = await master_playlist(conn, asset, token=token, start_s=start)
        else:
            text = await media_playlist(conn, asset, rendition, signers=here.signers, start_s=start)
    keep = f"private, max-age={MAX_AGE_SECONDS}" if asset.status == "ready" else "no-cache"
    return Response(text, media_type=PLAYLIST_TYPE, headers={"cache-control": keep})


@router.head("/frames/{timestamp_ms}.jpg", include_in_schema=False)
@router.get("/frames/{timestamp_ms}.jpg", response_class=RedirectResponse, status_code=302)
async def show_frame(
    here: Here, request: Request, asset_id: Id, timestamp_ms: Annotated[int, Path(ge=0, le=MAX_TIME_MS)], token: Token
) -> RedirectResponse:
    """Send the client to a kept frame's bytes."""
    here.tokens.check_token(asset_id, token)
    async with here.rows(of_asset(asset_id)) as conn:
        asset = await assets.get(conn, asset_id)
    uid = uid_of(asset.owner)
    key = here.plane.settings.layout.key("frame", asset_id=asset_id, uid=uid, timestamp_ms=timestamp_ms)
    store = await _find_store(here, asset_id, key)
    signer = here.signers[store]
    url = signer.sign_head(key) if request.method == "HEAD" else signer.sign_get(key)  # S3 binds the method
    return RedirectResponse(url, 302, headers={"cache-control": f"private, max-age={MAX_AGE_SECONDS}"})


async def _find_store(here: Here, asset_id: str, key: ObjectKey) -> str:
    async with here.rows(of_asset(asset_id)) as conn:
        for store in here.signers:
            found = await objects.known(conn, store, [key])
            if key in found and found[key].state == "stored":
                return store
    raise ObjectNotFound(key)
