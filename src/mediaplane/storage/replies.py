"""The XML that S3 answers with, read into our words; and the XML it is asked with.

A listing is read with a regular expression made for the server's own order of fields, as its objects come by the
million (2 µs each; ElementTree takes 12). What does not fit it goes through ElementTree.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from mediaplane.storage.found import Found

_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
_FIELD = re.compile(r"<(\w+)>[^<]*</\1>")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what XML 1.0 cannot say, not even escaped
_ERROR = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<Error[\s>]")
_ODD = re.compile("[%+&]")  # most keys have none of them
# Line breaks too, or a parser would make plain ones or spaces of them. xml.sax.saxutils would load http.client.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing: objects and, where a delimiter was asked for, folders with their `/`."""

    objects: list[Found]
    folders: list[str]
    token: str  # of the next page; empty after the last


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A multipart upload that was begun and neither finished nor aborted."""

    key: str
    upload_id: str
    began_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload as the store has it."""

    number: int
    size_bytes: int
    etag: str


def error_code(body: bytes) -> str:
    """Return the code of an error, empty where the answer has none."""
    return text_of(body, "Code")


def is_error(body: bytes) -> bool:
    """Tell whether an answer is an error whatever its status: S3 may say 200, and find out later that it cannot."""
    return bool(body) and _ERROR.match(body) is not None


def text_of(body: bytes, tag: str) -> str:
    """Return the text of the first such element, empty where there is none."""
    _, found, rest = body.partition(f"<{tag}>".encode())
    return _unescape(rest.partition(b"<")[0].decode(errors="replace")) if found else ""


def read_page(body: bytes) -> Page:
    """Return a page of ListObjectsV2.

    Raises:
        ValueError: it is none.
    """
    text = body.decode(errors="surrogateescape")
    objects = _read_quickly(text)
    if objects is not None and "<CommonPrefixes>" not in text:
        tail = text[: text.find("<Contents>")] + text[text.rfind("</Contents>") :]
        return Page(objects, [], _checked_token(_token_of(tail), truncated="<IsTruncated>true<" in tail))
    root = _parse(body)
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    found = [_read_object(entry, decode) for entry in root.iterfind("Contents")] if objects is None else objects
    folders = [decode(entry.findtext("Prefix") or "") for entry in root.iterfind("CommonPrefixes")]
    truncated = root.findtext("IsTruncated") == "true"
    return Page(found, folders, _checked_token(root.findtext("NextContinuationToken") or "", truncated=truncated))


def _checked_token(token: str, *, truncated: bool) -> str:
    if truncated and not token:
        raise ValueError("there is more of it, and no token to go on with")
    return token if truncated else ""


def _token_of(text: str) -> str:
    found = re.search(r"<NextContinuationToken>([^<]*)<", text)
    return _unescape(found[1]) if found else ""


def _read_quickly(text: str) -> list[Found] | None:
    """Return the objects of a page whose objects all look like its first; None where they do not."""
    start = text.find("<Contents>")
    if start < 0:
        return None
    names = tuple(_FIELD.findall(text[start + 10 : text.find("</Contents>", start)]))
    if not {"Key", "Size", "LastModified"} <= set(names) or "<EncodingType>url<" not in text:
        return None
    rows = _pattern(names).findall(text, start)
    if len(rows) != text.count("<Contents>"):
        return None
    key, size, modified = (names.index(name) for name in ("Key", "Size", "LastModified"))
    etag = names.index("ETag") if "ETag" in names else -1
    kind = names.index("StorageClass") if "StorageClass" in names else -1
    rows = [(*row, "") for row in rows] if -1 in (etag, kind) or len(names) == 1 else rows
    parse, odd = datetime.fromisoformat, _ODD.search
    return [
        Found(
            unquote_plus(_unescape(row[key])) if odd(row[key]) else row[key],
            int(row[size]),
            row[etag].replace("&quot;", '"').replace("&#34;", '"'),
            parse(row[modified]),
            row[kind],
        )
        for row in rows
    ]


@lru_cache(maxsize=16)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    fields = r"\s*".join(f"<{name}>([^<]*)</{name}>" for name in names)
    return re.compile(rf"<Contents>\s*{fields}\s*(?:<Owner>.*?</Owner>\s*)?</Contents>", re.DOTALL)


def _read_object(entry: ElementTree.Element, decode: Callable[[str], str]) -> Found:
    fields = {child.tag: child.text or "" for child in entry}
    return Found(
        decode(fields["Key"]),
        int(fields["Size"]),
        fields.get("ETag", ""),
        datetime.fromisoformat(fields["LastModified"]),
        fields.get("StorageClass", ""),
    )


def read_unfinished(body: bytes) -> tuple[list[Unfinished], dict[str, str]]:
    """Return a page of ListMultipartUploads and the query of the next page, empty after the last."""
    root = _parse(body)
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    found = [
        Unfinished(
            decode(entry.findtext("Key") or ""),
            entry.findtext("UploadId") or "",
            datetime.fromisoformat(began) if (began := entry.findtext("Initiated")) else _UNKNOWN_TIME,
        )
        for entry in root.iterfind("Upload")
    ]
    if root.findtext("IsTruncated") != "true":
        return found, {}
    key, upload = root.findtext("NextKeyMarker") or "", root.findtext("NextUploadIdMarker") or ""
    return found, {"key-marker": decode(key), "upload-id-marker": upload}


def read_parts(body: bytes) -> tuple[list[Part], str]:
    """Return a page of ListParts and the marker of the next, empty after the last."""
    root = _parse(body)
    parts = [
        Part(int(entry.findtext("PartNumber") or 0), int(entry.findtext("Size") or 0), entry.findtext("ETag") or "")
        for entry in root.iterfind("Part")
    ]
    return parts, root.findtext("NextPartNumberMarker") or "" if root.findtext("IsTruncated") == "true" else ""


def read_refusals(body: bytes) -> dict[str, tuple[str, str]]:
    """Return which keys DeleteObjects did not delete: key -> code, message."""
    if b"<Error>" not in body:
        return {}
    return {
        entry.findtext("Key") or "": (entry.findtext("Code") or "", entry.findtext("Message") or "")
        for entry in _parse(body).iterfind("Error")
    }


def deletion_body(keys: Iterable[str]) -> bytes:
    """Return what DeleteObjects is asked with; `fits_xml` must hold for every key."""
    entries = "".join([f"<Object><Key>{key.translate(_ESCAPES)}</Key></Object>" for key in keys])
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>{entries}</Delete>'.encode()


def completion_body(parts: Iterable[tuple[int, str, dict[str, str]]]) -> bytes:
    """Return what CompleteMultipartUpload is asked with: number, ETag and checksums of each part, in order."""
    entries = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.translate(_ESCAPES)}</ETag>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in checksums.items())
        + "</Part>"
        for number, etag, checksums in parts
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{space}">{entries}</CompleteMultipartUpload>'.encode()


def http_time(text: str) -> datetime | None:
    """Return the time that a header tells (aware), None where it is none."""
    from email.utils import parsedate_to_datetime  # a twentieth of what all that transfers need takes to load

    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None


def fits_xml(key: str) -> bool:
    """Tell whether a key can stand in XML; one with other control characters is deleted by itself."""
    return not _CONTROL.search(key)


def _parse(body: bytes) -> ElementTree.Element:
    """Return the root; names lose the namespace, which some servers give and others do not.

    Raises:
        ValueError: it is no XML.
    """
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 the store's own answer; expat bounds entities since 2.4.1
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _unescape(text: str) -> str:
    if "&" not in text:
        return text
    return ElementTree.fromstring(f"<a>{text}</a>").text or ""  # noqa: S314 as above
