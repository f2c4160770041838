"""Uppy's companion: the `/s3/…` routes that the stock `@uppy/aws-s3` client asks, in its own words.

The same upload sessions as under /v1/uploads. The client says no size beforehand (unless the page sets
`file.meta.size`), and after a file in one request it says nothing at all: a worker looks for what arrived.

It sends no header of ours either. With accounts a page is given an address of its own (`POST /v1/companion`), whose
path carries the permission; the routes without one take the usual credentials.

Source: transloadit/uppy, `@uppy/aws-s3` 3 to 6 (`CompanionS3.ts`) and `@uppy/companion` (`controllers/s3.js`).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from mediaplane.access.beginning import Known
from mediaplane.access.rules import Action, viewer
from mediaplane.access.verification import SaidPart
from mediaplane.access.wishes import MAX_NAME_CHARS, Wish, clean_name, clean_title
from mediaplane.catalog.direct_uploads import FORM, PARTS, DirectUpload
from mediaplane.errors import UploadError, UploadNotFound
from mediaplane.gateway.context import Context, Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.routes.uploads import sessions
from mediaplane.gateway.upload_views import MAX_NUMBERS, MAX_SAID_PARTS
from mediaplane.gateway.views import View
from mediaplane.gateway.who import May, Permit, current_principal
from mediaplane.media.ids import check_id
from mediaplane.media.types import read_type

tokens = APIRouter(prefix="/v1/companion", tags=["uppy"])
router = APIRouter(tags=["uppy"])
PREFIXES = ("/s3", "/v1/companion/{token}/s3")

_METADATA = re.compile(r"metadata\[(\w+)\]")


class CompanionAddress(View):
    """What Uppy is told as `companionEndpoint`; whoever has it may upload until `expires_at`."""

    companion_endpoint: str
    expires_at: str


class FileAnnounced(BaseModel):
    """A file as Uppy announces it."""

    filename: str = Field(min_length=1, max_length=4096)
    type: str = Field(default="", max_length=255)
    metadata: dict[str, Any] | None = None


class PartDone(BaseModel):
    """A part as Uppy names it."""

    PartNumber: int
    ETag: str = Field(max_length=200)


class PartsDone(BaseModel):
    """All parts of a file."""

    parts: list[PartDone] = Field(max_length=MAX_SAID_PARTS)


async def _permit(request: Request) -> Permit:
    """Return the permit to upload, by the token in the path or the usual credentials."""
    here: Context = request.app.state.context
    token = request.path_params.get("token")
    principal = here.plane.companion_tokens.read_token(token) if token else await current_principal(request)
    return Permit(here, principal, viewer(principal, Action.UPLOAD), request)


Uppy = Annotated[Permit, Depends(_permit)]
Key = Annotated[str, Query(max_length=1024)]
Number = Annotated[int, Path(ge=1)]


@tokens.post("", status_code=201, response_model=CompanionAddress)
async def make_address(permit: May.upload, once: JustOnce) -> Any:
    """Return an address for a page's Uppy, with which it may upload as the caller and do nothing else."""

    async def make() -> tuple[int, CompanionAddress]:
        plane = permit.here.plane
        token, ends = plane.companion_tokens.make_token(permit.principal)
        address = f"{plane.settings.public_url}/v1/companion/{token}"
        return 201, CompanionAddress(companion_endpoint=address, expires_at=ends.isoformat())

    return await once.answer(make)


@router.get("/params")
async def sign_form(permit: Uppy, request: Request, filename: str, type: str = "") -> dict[str, Any]:  # noqa: A002
    """Return the form in which a file goes as a whole."""
    found = ((_METADATA.fullmatch(name), value) for name, value in request.query_params.items())
    return await _sign_form(permit, filename, type, {name[1]: value for name, value in found if name})


@router.post("/params")
async def sign_posted_form(permit: Uppy, announced: FileAnnounced) -> dict[str, Any]:
    """Return the form in which a file goes as a whole."""
    return await _sign_form(permit, announced.filename, announced.type, announced.metadata or {})


@router.post("/multipart")
async def begin_parts(permit: Uppy, announced: FileAnnounced) -> dict[str, str]:
    """Begin an upload in parts."""
    wish = _wish(announced.filename, announced.type, announced.metadata or {}, way=PARTS)
    upload = await _begin(permit, wish)
    opened = permit.here.plane.stores[upload.store]
    bucket = opened.endpoint.bucket if opened.endpoint else opened.name
    return {"key": upload.key, "uploadId": upload.upload_id, "bucket": bucket}


@router.get("/multipart/{upload_id}")
async def list_parts(permit: Uppy, upload_id: Id, key: Key) -> list[dict[str, Any]]:
    """Return the parts that the store has."""
    uploads = sessions(permit)
    progress = await uploads.ask(await _get(permit, upload_id, key))
    return [{"PartNumber": part.number, "Size": part.size_bytes, "ETag": part.etag} for part in progress.parts]


@router.get("/multipart/{upload_id}/batch")
async def sign_batch(
    permit: Uppy, upload_id: Id, key: Key, part_numbers: Annotated[str, Query(alias="partNumbers", max_length=10_000)]
) -> dict[str, dict[str, str]]:
    """Return URLs for several parts, as clients before version 4 ask."""
    try:
        numbers = [int(number) for number in part_numbers.split(",")][: MAX_NUMBERS + 1]
    except ValueError:
        raise UploadError("partNumbers is a list of numbers, such as 1,2,3") from None
    if len(numbers) > MAX_NUMBERS:
        raise UploadError(f"at most {MAX_NUMBERS} parts are signed at once")
    upload, uploads = await _get(permit, upload_id, key), sessions(permit)
    for number in numbers:
        await uploads.watch_size(upload, number)
    return {"presignedUrls": {str(part.number): part.url for part in uploads.sign_parts(upload, numbers)}}


@router.get("/multipart/{upload_id}/{number}")
async def sign_part(permit: Uppy, upload_id: Id, number: Number, key: Key) -> dict[str, Any]:
    """Return the URL for one part."""
    upload, uploads = await _get(permit, upload_id, key), sessions(permit)
    await uploads.watch_size(upload, number)
    return {"url": uploads.sign_parts(upload, [number])[0].url, "expires": _lifetime_seconds(permit)}


@router.post("/multipart/{upload_id}/complete")
async def complete_parts(permit: Uppy, upload_id: Id, key: Key, done: PartsDone) -> dict[str, str]:
    """Verify and join the parts; the asset is processed from now on."""
    upload, uploads = await _get(permit, upload_id, key), sessions(permit)
    completed = await uploads.complete(
        permit.principal, upload.upload_id, [SaidPart(part.PartNumber, part.ETag) for part in done.parts]
    )
    opened = permit.here.plane.stores[completed.store]
    location = f"{permit.here.plane.settings.public_url}/v1/assets/{completed.asset_id}"
    bucket = opened.endpoint.bucket if opened.endpoint else opened.name
    return {"location": location, "key": completed.key, "bucket": bucket, "asset_id": completed.asset_id}


@router.delete("/multipart/{upload_id}")
async def abort_parts(permit: Uppy, upload_id: Id, key: Key) -> dict[str, str]:
    """Give the upload up, parts included."""
    await sessions(permit).abort(await _get(permit, upload_id, key))
    return {}


async def _sign_form(permit: Permit, filename: str, media_type: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    uploads = sessions(permit)
    upload = await _begin(permit, _wish(filename, media_type, metadata, way=FORM))
    form = uploads.sign_form(upload)
    return {"method": "POST", "url": form.url, "fields": dict(form.fields), "expires": _lifetime_seconds(permit)}


async def _begin(permit: Permit, wish: Wish) -> DirectUpload:
    begun = await sessions(permit).begin(permit.principal, wish)
    assert not isinstance(begun, Known)  # no digest was given by which it could be
    return begun


async def _get(permit: Permit, upload_id: str, key: str) -> DirectUpload:
    upload = await sessions(permit).get(permit.principal, upload_id)
    if upload.key != key:
        raise UploadNotFound(upload_id)
    return upload


def _wish(filename: str, media_type: str, metadata: Mapping[str, Any], *, way: str) -> Wish:
    size = str(metadata.get("size", ""))
    return Wish(
        name=clean_name(filename),
        content_type=read_type(media_type, filename),
        size_bytes=int(size) if size.isascii() and size.isdigit() and 0 < len(size) < 15 else None,
        way=way,
        title=clean_title(str(metadata.get("title") or ""))[:MAX_NAME_CHARS],
        plans_parts=False,
        task=_id_in(metadata, "task"),
        submission=_id_in(metadata, "submission"),
    )


def _id_in(metadata: Mapping[str, Any], name: str) -> str:
    """Return an id that the page set in `file.meta`, empty where it set none."""
    return check_id(str(metadata[name])) if metadata.get(name) else ""


def _lifetime_seconds(permit: Permit) -> int:
    return permit.here.plane.settings.upload_minutes * 60
