"""Highlights: which moments of an asset are worth a clip, and clips of them in one call."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from mediaplane.catalog import assets, progress
from mediaplane.catalog.assets import Asset
from mediaplane.errors import HighlightsNotFound
from mediaplane.gateway.context import Id
from mediaplane.gateway.highlight_views import HighlightClipsRequest, HighlightsRequest, HighlightsView
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.routes.clips import show_clips
from mediaplane.gateway.views import ClipsView
from mediaplane.gateway.who import May, Permit
from mediaplane.jobs.highlights import Condition, Content, HighlightsFile
from mediaplane.media.highlights import CONTENT_TYPE, Highlights, check, read_file
from mediaplane.pipeline.clips import request_highlight_clips

router = APIRouter(prefix="/v1/assets/{asset_id}/highlights", tags=["highlights"])

MAX_ETAG_CHARS = 200
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=MAX_ETAG_CHARS, description="the ETag of the version that this replaces, or *"),
]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=MAX_ETAG_CHARS)]


@router.get("", response_model=HighlightsView, responses={304: {"description": "It is the version you have"}})
async def show_highlights(permit: May.read, asset_id: Id, known: IfNoneMatch = None) -> Response:
    """Return the asset's highlights with their version in `ETag`; while it is processed and has none, 409."""
    asset = await _asset(permit, asset_id)
    content = await _content(permit, asset)
    headers = {"etag": content.etag, "cache-control": "private, no-cache"}
    if known is not None and (known == "*" or content.etag in known):
        return Response(status_code=304, headers=headers)
    return Response(content.content, media_type=CONTENT_TYPE, headers=headers)


@router.put("", response_model=HighlightsView, responses={201: {"model": HighlightsView}})
async def write_highlights(
    permit: May.edit, asset_id: Id, wanted: HighlightsRequest, replaced: IfMatch = None
) -> Response:
    """Store highlights in place of the version that `If-Match` names; without it, where there are none yet.

    What somebody has written is never overwritten by a detector.
    """
    asset = await _asset(permit, asset_id)
    highlights = check(asset_id, await _length(permit, asset), wanted.plain())
    written = await _file(permit).write(asset, highlights.to_bytes(), Condition(replaced))
    status = 201 if replaced is None else 200
    return Response(written.content, status, media_type=CONTENT_TYPE, headers={"etag": written.etag})


@router.post("/clips", status_code=202, response_model=ClipsView, responses={200: {"model": ClipsView}})
async def cut_highlights(
    permit: May.cut, asset_id: Id, once: JustOnce, wanted: HighlightClipsRequest | None = None
) -> JSONResponse | Response:
    """Return a clip of each highlight: 200 where all are ready already, 202 while they are made; asked twice, once."""
    asked = wanted or HighlightClipsRequest()

    async def cut() -> tuple[int, ClipsView]:
        asset = await _asset(permit, asset_id)
        highlights = _read(asset, await _content(permit, asset))
        async with permit.rows() as conn:
            made = await request_highlight_clips(
                conn,
                permit.here.plane.settings,
                asset_id,
                highlights,
                numbers=asked.numbers,
                style=asked.style,
                mode=asked.mode,
                padding_ms=asked.padding_ms,
                owner=permit.viewer.owner,
                team=permit.viewer.team,
            )
        status = 202 if any(clip.status == "processing" for clip in made) else 200
        return status, ClipsView(clips=await show_clips(permit, made))

    return await once.answer(cut)


async def _asset(permit: Permit, asset_id: str) -> Asset:
    async with permit.rows() as conn:
        return await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)


def _file(permit: Permit) -> HighlightsFile:
    return permit.here.plane.highlights_file(permit.rows)


async def _content(permit: Permit, asset: Asset) -> Content:
    found = await _file(permit).read(asset.asset_id)
    if found is not None:
        return found
    if asset.status not in ("uploading", "processing"):
        raise HighlightsNotFound(asset.asset_id)
    async with permit.rows() as conn:
        raise await progress.not_ready(conn, asset, "asked for highlights")


def _read(asset: Asset, content: Content) -> Highlights:
    return read_file(content.content, asset_id=asset.asset_id, duration_ms=asset.duration_ms or 0)


async def _length(permit: Permit, asset: Asset) -> int:
    if asset.duration_ms is not None:
        return asset.duration_ms
    if asset.status == "ready":
        raise HighlightsNotFound(asset.asset_id)  # a picture has no moments
    async with permit.rows() as conn:
        raise await progress.not_ready(conn, asset, "given highlights")
