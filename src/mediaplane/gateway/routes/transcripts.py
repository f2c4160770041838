"""Transcripts: what was said, or read on the screen, as a file; for whoever holds the asset's token."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from mediaplane.access.downloads import transcript_name
from mediaplane.access.rules import of_asset
from mediaplane.catalog import assets, segments
from mediaplane.catalog.segments import Segment
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.ranges import has_tag, quote_etag
from mediaplane.media.filenames import content_disposition
from mediaplane.media.transcripts import FORMATS, TYPES, chosen_source

router = APIRouter(prefix="/v1/assets/{asset_id}", tags=["downloads"])

MAX_AGE_SECONDS = 60

Format = Literal["vtt", "srt", "txt", "json"]
Source = Annotated[
    Literal["speech", "ocr"] | None,
    Query(description="what was said or what was read; left out: what was said, where anything was"),
]


@router.head("/transcript.{kind}", include_in_schema=False)
@router.get("/transcript.{kind}", response_class=Response)
async def show_transcript(
    here: Here,
    request: Request,
    asset_id: Id,
    kind: Format,
    *,
    token: Annotated[str, Query(max_length=200)],
    source: Source = None,
    language: Annotated[str, Query(max_length=20)] = "",
    download: bool = False,
) -> Response:
    """Return the text of an asset by time; while it is processed, of what is done so far."""
    here.tokens.check_token(asset_id, token)
    async with here.rows(of_asset(asset_id)) as conn:
        asset = await assets.get(conn, asset_id)
        rows = _chosen(await segments.of_asset(conn, asset_id), source or "", language)
    body = FORMATS[kind](rows).encode()
    tag = quote_etag(hashlib.sha256(body).hexdigest()[:32])
    headers = {"etag": tag, "cache-control": f"private, max-age={MAX_AGE_SECONDS}"}
    if download:
        headers["content-disposition"] = content_disposition(transcript_name(asset.title, kind))
    if has_tag(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=f"{TYPES[kind]}; charset=utf-8", headers=headers)


def _chosen(rows: Sequence[Segment], source: str, language: str) -> list[Segment]:
    source = chosen_source(rows, source)
    return [row for row in rows if row.source == source and language in ("", row.language)]
