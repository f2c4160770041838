"""Uploads: begin, go on, complete, give up. The bytes go from the client straight to the store."""

from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Response

from mediaplane.access.beginning import Known
from mediaplane.access.direct import DirectUploads, Progress
from mediaplane.access.verification import SaidPart
from mediaplane.access.wishes import Wish, choose_way, clean_name, clean_title
from mediaplane.catalog.direct_uploads import PARTS, PUT, DirectUpload
from mediaplane.gateway.context import Context, Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.upload_views import (
    FIRST_NUMBERS,
    CompleteRequest,
    PartsRequest,
    PartsView,
    PartUrl,
    PartUrls,
    PutView,
    ReceivedPart,
    UploadRequest,
    UploadsPage,
    UploadSummary,
    UploadView,
)
from mediaplane.gateway.who import May, Permit
from mediaplane.media.types import read_type
from mediaplane.storage.intake import Checksums

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
Summary = TypeVar("Summary", bound=UploadSummary)


@router.post("", status_code=201, response_model=UploadView, responses={200: {"model": UploadView}})
async def begin_upload(permit: May.upload, wanted: UploadRequest, once: JustOnce) -> Response:
    """Begin an upload: 201 with a signed URL for it (or for its parts), 200 where the same bytes are there already."""
    uploads = sessions(permit)
    wish = Wish(
        name=clean_name(wanted.name),
        content_type=read_type(wanted.content_type, wanted.name),
        size_bytes=wanted.size_bytes,
        way=choose_way(size_bytes=wanted.size_bytes, in_parts=wanted.multipart),
        title=clean_title(wanted.title),
        checksums=Checksums(wanted.sha256 or "", wanted.md5 or ""),
        task=wanted.task or "",
        submission=wanted.submission or "",
    )

    async def begin() -> tuple[int, UploadView]:
        begun = await uploads.begin(permit.principal, wish)
        if isinstance(begun, Known):
            return 200, _known(wish, begun)
        return 201, _open_view(permit.here, uploads, begun, Progress((), 0))

    return await once.answer(begin)


@router.get("")
async def list_uploads(
    permit: May.upload,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> UploadsPage:
    """Return the caller's open uploads, newest first: what a new device can go on with."""
    after = read_asset_page(page)
    rows = await sessions(permit).page(permit.principal, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return UploadsPage(
        uploads=[_summary(permit.here, row, UploadSummary) for row in rows[:limit]],
        next=write_page(last.created_at.isoformat(), last.upload_id) if last else None,
    )


@router.get("/{upload_id}")
async def show_upload(permit: May.upload, upload_id: Id) -> UploadView:
    """Return the upload: what the store has of it, and fresh URLs for what is missing."""
    uploads = sessions(permit)
    upload = await uploads.get(permit.principal, upload_id)
    if upload.state != "open":
        return _ended(permit.here, upload)
    return _open_view(permit.here, uploads, upload, await uploads.ask(upload))


@router.post("/{upload_id}/parts", response_model=PartUrls)
async def sign_parts(permit: May.upload, upload_id: Id, wanted: PartsRequest, once: JustOnce) -> Response:
    """Return URLs for these parts."""
    uploads = sessions(permit)

    async def sign() -> tuple[int, PartUrls]:
        upload = await uploads.get(permit.principal, upload_id)
        urls = [PartUrl.model_validate(part) for part in uploads.sign_parts(upload, wanted.numbers)]
        return 200, PartUrls(urls=urls, urls_expire_at=uploads.urls_expire_at())

    return await once.answer(sign)


@router.post("/{upload_id}/complete", response_model=UploadView)
async def complete_upload(
    permit: May.upload, upload_id: Id, once: JustOnce, sent: CompleteRequest | None = None
) -> Response:
    """Verify with the store that all of it is there and what it was said to be, and begin to process it.

    Asked again it answers the same. A refusal for missing bytes leaves the upload open.
    """
    uploads = sessions(permit)
    said = None if sent is None or sent.parts is None else [SaidPart(part.number, part.etag) for part in sent.parts]

    async def complete() -> tuple[int, UploadView]:
        return 200, _ended(permit.here, await uploads.complete(permit.principal, upload_id, said))

    return await once.answer(complete)


@router.delete("/{upload_id}", status_code=204)
async def abort_upload(permit: May.upload, upload_id: Id) -> None:
    """Give the upload up: what came of it is removed, parts included."""
    uploads = sessions(permit)
    await uploads.abort(await uploads.get(permit.principal, upload_id))


def sessions(permit: Permit) -> DirectUploads:
    """Return the upload sessions, on connections that see what the permit allows."""
    return permit.here.uploads.lent(permit.rows, permit.share)


def _open_view(here: Context, uploads: DirectUploads, upload: DirectUpload, progress: Progress) -> UploadView:
    view = _summary(here, upload, UploadView)
    view.received_bytes = progress.size_bytes
    view.urls_expire_at = uploads.urls_expire_at()
    if upload.way == PUT:
        view.put = PutView.model_validate(uploads.sign_put(upload))
    elif upload.way == PARTS:
        missing = uploads.missing_parts(upload, progress)[:FIRST_NUMBERS]
        view.parts = PartsView(
            part_bytes=upload.part_bytes,
            count=upload.part_count,
            received=[ReceivedPart.model_validate(part) for part in progress.parts],
            urls=[PartUrl.model_validate(part) for part in uploads.sign_parts(upload, missing)] if missing else [],
        )
    return view


def _ended(here: Context, upload: DirectUpload) -> UploadView:
    view = _summary(here, upload, UploadView)
    view.received_bytes = upload.size_bytes if upload.state == "completed" else None
    return view


def _summary(here: Context, upload: DirectUpload, kind: type[Summary]) -> Summary:
    summary = kind.model_validate(upload)
    if upload.state == "open":
        summary.expires_at = upload.seen_at + timedelta(hours=here.plane.settings.upload_hours)
    return summary


def _known(wish: Wish, known: Known) -> UploadView:
    return UploadView(
        upload_id=None,
        asset_id=known.asset_id,
        submission_id=known.submission_id,
        state="completed",
        reused=True,
        name=wish.name,
        size_bytes=wish.size_bytes,
        content_type=wish.content_type,
        way=None,
        created_at=None,
    )
