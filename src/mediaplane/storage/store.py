"""Bytes in and out of one bucket: all that other packages know about storage.

Left out on purpose: buckets (a store is opened on one) and retries (the engine's).
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mediaplane.errors import InvalidRange
from mediaplane.media.keys import ObjectKey

Chunks = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the bucket said about one object when asked."""

    key: ObjectKey
    size_bytes: int
    etag: str  # opaque: compare it, never read it as an MD5
    modified_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Look:
    """An object and its first bytes, both of one moment: what is written to the key meanwhile is not mixed in."""

    info: ObjectInfo
    head: bytes


class ObjectStore(Protocol):
    """One bucket. Every method may raise `StorageError`."""

    async def put(self, key: ObjectKey, body: Chunks, *, content_type: str) -> ObjectInfo: ...
    def read(self, key: ObjectKey, *, start: int = 0, length: int | None = None) -> Chunks: ...
    async def stat(self, key: ObjectKey) -> ObjectInfo: ...
    async def look(self, key: ObjectKey, most_bytes: int) -> Look: ...  # `stat` and the first bytes, at once
    async def delete(self, keys: Sequence[ObjectKey]) -> None: ...  # a missing key is no error
    def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]: ...  # by key, byte order


class Signer(Protocol):
    """Makes URLs that carry their own permission: one key, one method, until a time.

    Equal calls within one window give equal URLs, so that a CDN can cache them.
    """

    def sign_get(self, key: ObjectKey) -> str: ...  # with or without Range
    def sign_gets(self, keys: Iterable[ObjectKey]) -> list[str]: ...  # the same of each, cheaper
    def sign_head(self, key: ObjectKey) -> str: ...  # its own URL: S3 refuses HEAD on a URL signed for GET
    def sign_download(self, key: ObjectKey, *, filename: str) -> str: ...  # GET, saved under that name
    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str: ...


def check_range(key: str, start: int, length: int | None) -> None:
    """Return if the range is one that can be asked for.

    Raises:
        InvalidRange: it begins before the object or is empty.
    """
    if start < 0 or (length is not None and length < 1):
        raise InvalidRange(f"{key}: a range begins at 0 or later and has at least 1 byte, not {start} and {length}")
