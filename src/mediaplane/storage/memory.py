"""`ObjectStore` in memory, for tests and trials; it passes the same contract as the others."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from mediaplane.errors import InvalidRange, ObjectNotFound
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.store import Chunks, Look, ObjectInfo, check_range

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Stored:
    info: ObjectInfo
    body: bytes
    content_type: str


class MemoryStore:
    """A dictionary of objects."""

    def __init__(self) -> None:
        self._objects: dict[str, _Stored] = {}
        self._versions = count(1)

    async def put(self, key: ObjectKey, body: Chunks, *, content_type: str) -> ObjectInfo:
        """Store the whole body; what it raises passes through, and nothing is stored."""
        whole = b"".join([bytes(chunk) async for chunk in body])
        info = ObjectInfo(key, len(whole), f'"{next(self._versions)}"', datetime.now(UTC))
        self._objects[key] = _Stored(info, whole, content_type)
        return info

    async def read(self, key: ObjectKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the object's bytes from `start`, at most `length`.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
            InvalidRange: the range is empty or begins at or after the object's end.
        """
        check_range(key, start, length)
        body = self._stored(key).body
        if start >= len(body) and (start or length is not None):
            raise InvalidRange(f"{key} ends before the range that was asked for")
        end = len(body) if length is None else min(len(body), start + length)
        for position in range(start, end, _READ_BYTES):
            yield body[position : min(end, position + _READ_BYTES)]

    async def stat(self, key: ObjectKey) -> ObjectInfo:
        """Return size, etag and time of the object at `key`.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
        """
        return self._stored(key).info

    async def look(self, key: ObjectKey, most_bytes: int) -> Look:
        """Return the object with at most so many of its first bytes.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
        """
        stored = self._stored(key)
        return Look(stored.info, stored.body[:most_bytes])

    async def delete(self, keys: Sequence[ObjectKey]) -> None:
        """Remove the objects; a key where nothing is stored is no error."""
        for key in keys:
            self._objects.pop(key, None)

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what is stored under keys that begin with `prefix` and are greater than `after`, in byte order."""
        for key in sorted(self._objects):  # code points sort as UTF-8 bytes do
            if key > after and key.startswith(prefix) and (stored := self._objects.get(key)):
                yield stored.info

    def content_type(self, key: ObjectKey) -> str:
        """Return the content type that was given with the object.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
        """
        return self._stored(key).content_type

    def _stored(self, key: ObjectKey) -> _Stored:
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFound(key) from None
