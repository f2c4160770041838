"""An object's bytes as an answer: ranges, conditions, and what browsers may show of it.

What people have uploaded must never act as a page of this origin: only media is shown, and only where the first bytes
are what the row says. Everything else is saved as a file.
"""

from collections import OrderedDict
from dataclasses import dataclass

from fastapi import Request, Response

from mediaplane.catalog.objects import Object
from mediaplane.errors import InvalidRange
from mediaplane.gateway.body import BodyResponse, in_pieces
from mediaplane.gateway.problems import problem
from mediaplane.gateway.ranges import (
    ByteRange,
    http_date,
    is_unchanged,
    precondition_fails,
    quote_etag,
    range_applies,
    read_range,
)
from mediaplane.media.filenames import content_disposition
from mediaplane.media.keys import ObjectKey
from mediaplane.media.types import HEAD_BYTES, UNKNOWN, real_type
from mediaplane.storage.store import ObjectInfo, ObjectStore

SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"
# Shown beside media: nothing in them acts.
_PLAIN = ("application/vnd.apple.mpegurl", "application/json", "text/plain", "text/vtt")
_ACTING = ("image/svg+xml",)
_MAX_KNOWN = 10_000
_known: OrderedDict[tuple[str, str, str], bool] = OrderedDict()  # store, key, etag: whether its bytes are media


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object for one request; with a file name it is to be saved."""

    store: ObjectStore
    row: Object
    cache_control: str
    filename: str = ""

    async def answer(self, request: Request) -> Response:
        """Return the whole, the part that was asked for, or that the client has it already.

        A range counts for GET alone (RFC 9110, section 14.2): HEAD tells of the whole.

        Raises:
            ObjectNotFound: the bytes are gone.
        """
        info = await self.store.stat(ObjectKey(self.row.key))
        headers = await self._describe(info)
        if precondition_fails(request.headers, info):
            return problem(412, "precondition_failed", "The object is another one than the request is for.")
        if is_unchanged(request.headers, info):
            return Response(status_code=304, headers=headers)
        try:
            asked = request.method == "GET" and range_applies(request.headers, info)
            part = read_range(request.headers.get("range") if asked else None, info.size_bytes)
        except InvalidRange as error:
            refused = {"accept-ranges": "bytes", "content-range": f"bytes */{info.size_bytes}"}
            return problem(416, error.code, error.message, headers=refused)
        return self._answer(request, info, headers, part)

    async def _describe(self, info: ObjectInfo) -> dict[str, str]:
        shown = await self._may_be_shown(info)
        headers = {
            "accept-ranges": "bytes",
            "etag": quote_etag(info.etag),
            "last-modified": http_date(info.modified_at),
            "cache-control": self.cache_control,
            "content-type": self.row.content_type if shown else UNKNOWN,
            "content-security-policy": SANDBOX,
        }
        if self.filename or not shown:
            name = self.filename or self.row.key.rpartition("/")[2]
            headers["content-disposition"] = content_disposition(name)
        return headers

    async def _may_be_shown(self, info: ObjectInfo) -> bool:
        content_type = self.row.content_type.partition(";")[0].strip().lower()
        if content_type in _PLAIN:
            return True
        if not is_media(content_type):
            return False
        place = self.row.store, self.row.key, info.etag
        if place not in _known:
            _known[place] = await self._begins_as_media(info)
            if len(_known) > _MAX_KNOWN:
                _known.popitem(last=False)
        return _known[place]

    async def _begins_as_media(self, info: ObjectInfo) -> bool:
        """Return whether the first bytes may be media: what nobody knows may, as pieces of a recording have no head."""
        if info.size_bytes == 0:
            return True
        length = min(HEAD_BYTES, info.size_bytes)
        head = b"".join([piece async for piece in self.store.read(info.key, length=length)])
        found = real_type(head)
        return found == UNKNOWN or is_media(found)

    def _answer(self, request: Request, info: ObjectInfo, headers: dict[str, str], part: ByteRange | None) -> Response:
        sent = part or ByteRange(0, info.size_bytes)
        headers["content-length"] = str(sent.length)
        if part is not None:
            headers["content-range"] = part.content_range(info.size_bytes)
        status = 200 if part is None else 206
        if request.method == "HEAD" or sent.length == 0:
            return Response(status_code=status, headers=headers)
        body = in_pieces(self.store.read(info.key, start=sent.start, length=sent.length))
        return BodyResponse(body, status_code=status, headers=headers)


def is_media(content_type: str) -> bool:
    """Return whether a type is sound or picture, and nothing that a browser would run."""
    family = content_type.partition("/")[0]
    return (family in ("audio", "image", "video") or content_type == "application/mxf") and content_type not in _ACTING
