"""The origin of a CDN that checks nothing itself: private objects for whoever holds a CDN link (`storage/cdn.py`)."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from mediaplane.catalog import objects
from mediaplane.errors import LinkInvalid
from mediaplane.gateway.context import Here
from mediaplane.gateway.delivery import Delivery
from mediaplane.media.keys import check_key
from mediaplane.storage.cdn import CdnSigner

router = APIRouter(prefix="/v1/cdn", tags=["objects"])

MAX_AGE_SECONDS = 3600  # what a CDN keeps it serves again, also once the object is gone


@router.head("/{store}/{permission}/{key:path}", include_in_schema=False)
@router.get("/{store}/{permission}/{key:path}", response_class=Response)
async def read_linked_object(
    here: Here,
    request: Request,
    store: Annotated[str, Path(max_length=64)],
    permission: Annotated[str, Path(max_length=128)],
    key: Annotated[str, Path(max_length=1024)],
) -> Response:
    """Return the object or the range of it that was asked for."""
    opened = here.plane.stores.get(store)
    if opened is None or not isinstance(opened.signer, CdnSigner):
        raise LinkInvalid("this link is not valid: no store of this gateway has its name and a CDN")
    left_seconds = opened.signer.verify(permission, key, request.query_params)
    async with here.connection() as conn:
        row = await objects.get(conn, store, check_key(key))
    delivery = Delivery(
        opened.store,
        row,
        filename=request.query_params.get("filename", ""),
        # for the CDN too: the URL itself is the secret, and no copy outlives it
        cache_control=f"public, max-age={min(MAX_AGE_SECONDS, left_seconds)}",
    )
    return await delivery.answer(request)
