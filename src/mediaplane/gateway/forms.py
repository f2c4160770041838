"""`multipart/form-data` as it comes: the fields first, then the file piece by piece, none of it kept anywhere.

Starlette's own form reader writes every file to a temporary one before the route sees it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from mediaplane.errors import LinkInvalid, UploadTooLarge

MAX_FIELDS = 32
MAX_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """The fields that stood before the file, and its bytes."""

    fields: dict[str, str]
    file: AsyncGenerator[bytes]


async def read_form(content_type: str, body: AsyncIterator[bytes]) -> Form:
    """Return the form once its file begins.

    Raises:
        LinkInvalid: it is no form, has no file, or too many fields.
    """
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise LinkInvalid("send the form as multipart/form-data")
    events = _events(options["boundary"], body)
    fields: dict[str, str] = {}
    name, value = "", b""
    async for event in events:
        if isinstance(event, MultipartSegment):
            if event.name == "file":
                return Form(fields, _file(events))
            name, value = (event.name or "").lower(), b""
        elif event is None:
            fields[name] = value.decode(errors="replace")
        else:
            value += event
        if len(fields) > MAX_FIELDS or len(value) > MAX_FIELD_BYTES:
            raise LinkInvalid("the form has more fields, or longer ones, than the one that was signed")
    raise LinkInvalid("the form has no file")


async def limited(chunks: AsyncGenerator[bytes], largest_bytes: int) -> AsyncGenerator[bytes]:
    """Pass chunks on until there are more than `largest_bytes`.

    Raises:
        UploadTooLarge: there are.
    """
    passed_bytes = 0
    async for chunk in chunks:
        passed_bytes += len(chunk)
        if passed_bytes > largest_bytes:
            raise UploadTooLarge(f"this form takes at most {largest_bytes} bytes")
        yield chunk


async def _file(events: AsyncGenerator[MultipartSegment | bytes | None]) -> AsyncGenerator[bytes]:
    async for event in events:
        if event is None:
            return
        if isinstance(event, bytes | bytearray):
            yield bytes(event)


async def _events(boundary: str, body: AsyncIterator[bytes]) -> AsyncGenerator[MultipartSegment | bytes | None]:
    try:
        with PushMultipartParser(boundary, max_segment_count=MAX_FIELDS, strict=True) as parser:
            async for chunk in body:
                if chunk:
                    for event in parser.parse(chunk):
                        yield event
    except MultipartError as error:
        raise LinkInvalid(f"the form cannot be read: {error}") from error
