"""What part of an object a request asks for, and whether it has it already: RFC 9110, sections 13 and 14.

Left out on purpose: several ranges in one request, which a server may answer with the whole (section 14.2);
no player asks for them, and multipart answers are a known way to make a server work for nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from mediaplane.errors import InvalidRange
from mediaplane.storage.store import ObjectInfo

# Eighteen digits hold any file's size and keep int() cheap; anything longer is no range we know.
_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of an object that exists: at least one byte."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """Return the value of `Content-Range`."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


def read_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the part that a `Range` header asks for, or None where the whole is the answer.

    A header that is not understood counts as absent, as the standard says.

    Raises:
        InvalidRange: it is understood, but no byte of it exists.
    """
    match = _SINGLE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size_bytes)
        start = size_bytes - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        length = min(int(last) + 1 if last else size_bytes, size_bytes) - start
    if length <= 0:
        raise InvalidRange(f"the object has {size_bytes} bytes, none of them in the range asked for")
    return ByteRange(start, length)


def quote_etag(etag: str) -> str:
    """Return the store's etag as a strong HTTP entity tag."""
    return f'"{etag.strip(chr(34))}"'


def http_date(moment: datetime) -> str:
    """Return the time as HTTP writes it, in whole seconds."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def precondition_fails(headers: Mapping[str, str], info: ObjectInfo) -> bool:
    """Return whether the request is for another object than this one, so that 412 is the answer.

    Source: RFC 9110, sections 13.1.1, 13.1.4 and 13.2.2: tags are compared strongly and outweigh a date.
    """
    if (tags := headers.get("if-match")) is not None:
        return tags.strip() != "*" and quote_etag(info.etag) not in {tag.strip() for tag in tags.split(",")}
    since = _read_date(headers.get("if-unmodified-since"))
    return since is not None and info.modified_at.replace(microsecond=0) > since


def is_unchanged(headers: Mapping[str, str], info: ObjectInfo) -> bool:
    """Return whether the client's copy is still good, so that 304 is the answer.

    Source: RFC 9110, sections 13.1.2, 13.1.3: an entity tag outweighs a date.
    """
    if (tags := headers.get("if-none-match")) is not None:
        return has_tag(tags, quote_etag(info.etag))
    since = _read_date(headers.get("if-modified-since"))
    return since is not None and info.modified_at.replace(microsecond=0) <= since


def has_tag(header: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` names the tag, compared weakly."""
    return header is not None and (header.strip() == "*" or tag in _weak_tags(header))


def range_applies(headers: Mapping[str, str], info: ObjectInfo) -> bool:
    """Return whether `If-Range` still allows a part: the object is the one the client has the rest of.

    Source: RFC 9110, section 13.1.5: compared strongly, a date only if it is equal.
    """
    condition = headers.get("if-range")
    if condition is None:
        return True
    if condition.lstrip().startswith(('"', "W/")):
        return condition.strip() == quote_etag(info.etag)
    return _read_date(condition) == info.modified_at.replace(microsecond=0)


def _weak_tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _read_date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
