"""The bytes of local stores, for whoever holds a signed link: what a bucket does by itself.

The link says which object, which method and until when; for a PUT also which size and type.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect

from mediaplane.catalog import direct_uploads, objects
from mediaplane.catalog.objects import Object
from mediaplane.errors import AlreadyWritten, LinkInvalid, ObjectNotFound, UploadTooLarge
from mediaplane.gateway.body import in_pieces
from mediaplane.gateway.context import Context, Here
from mediaplane.gateway.delivery import Delivery
from mediaplane.gateway.forms import limited, read_form
from mediaplane.gateway.problems import problem
from mediaplane.gateway.ranges import quote_etag
from mediaplane.media.keys import check_key
from mediaplane.storage.intake import MAX_PART_BYTES
from mediaplane.storage.links import LinkSigner
from mediaplane.storage.local_intake import LocalIntake
from mediaplane.storage.store import ObjectStore

router = APIRouter(prefix="/v1/objects", tags=["objects"])

MAX_AGE_SECONDS = 600

StoreName = Annotated[str, Path(max_length=64)]
Key = Annotated[str, Path(max_length=1024)]


@router.head("/{store}/{key:path}", include_in_schema=False)
@router.get("/{store}/{key:path}", response_class=Response)
async def read_object(here: Here, request: Request, store: StoreName, key: Key) -> Response:
    """Return the object or the range of it that was asked for."""
    opened, row = await _permitted(here, request, store, key)
    delivery = Delivery(
        opened,
        row,
        cache_control=f"private, max-age={MAX_AGE_SECONDS}",
        filename=request.query_params.get("filename", ""),
    )
    return await delivery.answer(request)


@router.put("/{store}/{key:path}", status_code=200, response_class=Response)
async def write_object(here: Here, request: Request, store: StoreName, key: Key) -> Response:
    """Write the object that an upload announced; a link is for one size and type, and writes once."""
    declared = request.headers.get("content-length", "")
    if not (declared.isascii() and declared.isdigit() and len(declared) < 19):
        return problem(411, "length_required", "Say the size in Content-Length: the link is for one size.")
    if "part" in request.query_params:
        return await _write_part(here, request, store, key, size_bytes=int(declared))
    _, row = await _permitted(here, request, store, key)
    if row.state != "pending":
        raise AlreadyWritten("this link was used: its upload is complete")
    try:
        info = await _local_intake(here, store).take(check_key(key), in_pieces(request.stream()))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it; the store keeps nothing of a put cut off
    return Response(headers={"etag": quote_etag(info.etag)})


@router.post("/{store}", status_code=201, response_class=Response, include_in_schema=False)
async def write_form(here: Here, request: Request, store: StoreName) -> Response:
    """Write the object of a signed form, as browsers send them: fields first, then `file`."""
    intake = _local_intake(here, store)
    form = await read_form(request.headers.get("content-type", ""), request.stream())
    largest_bytes = intake.signer.verify_form(store, form.fields)
    key = check_key(form.fields["key"])
    async with here.connection() as conn:
        row = await objects.get(conn, store, key)
    if row.state != "pending":
        raise LinkInvalid("this form was used: its object is there already")
    opened = here.plane.stores[store].store
    try:
        info = await opened.put(key, in_pieces(limited(form.file, largest_bytes)), content_type=row.content_type)
    except ClientDisconnect:
        return Response(status_code=400)
    return Response(status_code=201, headers={"etag": quote_etag(info.etag)})


async def _write_part(here: Context, request: Request, store: str, key: str, *, size_bytes: int) -> Response:
    """Write one part of an upload that is still open; written again it replaces the one before."""
    intake = _local_intake(here, store)
    ref, number = intake.signer.verify_part(store, key, request.query_params, size_bytes=size_bytes)
    async with here.connection() as conn:
        upload = await direct_uploads.of_key(conn, store, key)
    if upload is None or upload.store_ref != ref:
        raise ObjectNotFound(key)
    largest_bytes = min(MAX_PART_BYTES, here.plane.settings.upload_max_mb << 20)
    if size_bytes > largest_bytes:
        raise UploadTooLarge(f"a part has at most {largest_bytes} bytes")
    try:
        etag = await intake.take_part(check_key(key), ref, number, in_pieces(request.stream()))
    except ClientDisconnect:
        return Response(status_code=400)
    return Response(headers={"etag": quote_etag(etag)})


def _local_intake(here: Context, store: str) -> LocalIntake:
    opened = here.plane.stores.get(store)
    if opened is None or not isinstance(opened.intake, LocalIntake):
        raise LinkInvalid("this link is not valid: no store of this gateway has its name")
    return opened.intake


async def _permitted(here: Context, request: Request, store: str, key: str) -> tuple[ObjectStore, Object]:
    """Return the store and the object's row if the link is good and the object has not been deleted."""
    opened = here.plane.stores.get(store)
    if opened is None or not isinstance(opened.signer, LinkSigner):
        raise LinkInvalid("this link is not valid: no store of this gateway has its name")
    declared = request.headers.get("content-length", "")
    opened.signer.verify(
        request.method,
        store,
        key,
        request.query_params,
        size_bytes=int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 19 else None,
        content_type=request.headers.get("content-type", ""),
    )
    async with here.connection() as conn:
        row = await objects.get(conn, store, key)
    return opened.store, row
