"""An `ObjectStore` that fails on cue: it passes all calls on to a real one until it is told otherwise."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from mediaplane.errors import MediaplaneError, StorageError
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.store import Chunks, Look, ObjectInfo, ObjectStore


class FailingStore:
    """Wraps `inner`; `fail("put")` makes the next put fail, `calls` counts what was asked for."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()
        self._cues: dict[str, list[tuple[MediaplaneError, int | None, str]]] = {}

    def fail(
        self,
        method: str,
        *,
        times: int = 1,
        error: MediaplaneError | None = None,
        after_bytes: int | None = None,
        key_contains: str = "",
    ) -> None:
        """Let the next `times` calls of `method` fail for keys with `key_contains` in them.

        `after_bytes` lets a put or read fail in the middle of its body, else it fails before it begins. A put that
        fails leaves the inner store as it was.
        """
        cue = (error or StorageError("the store fails as it was told to", retryable=True), after_bytes, key_contains)
        self._cues.setdefault(method, []).extend([cue] * times)

    async def put(self, key: ObjectKey, body: Chunks, *, content_type: str) -> ObjectInfo:
        """Put, or fail on cue."""
        cue = self._next_cue("put", key)
        return await self.inner.put(key, _ending(body, *cue) if cue else body, content_type=content_type)

    async def read(self, key: ObjectKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read, or fail on cue."""
        cue = self._next_cue("read", key)
        stream = self.inner.read(key, start=start, length=length)
        async for chunk in _ending(stream, *cue) if cue else stream:
            yield chunk

    async def stat(self, key: ObjectKey) -> ObjectInfo:
        """Stat, or fail on cue."""
        self._raise_cue("stat", key)
        return await self.inner.stat(key)

    async def look(self, key: ObjectKey, most_bytes: int) -> Look:
        """Look, or fail on cue."""
        self._raise_cue("look", key)
        return await self.inner.look(key, most_bytes)

    async def delete(self, keys: Sequence[ObjectKey]) -> None:
        """Delete, or fail on cue with nothing deleted."""
        self._raise_cue("delete", " ".join(keys))
        await self.inner.delete(keys)

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Walk, or fail on cue before the first object."""
        self._raise_cue("walk", prefix)
        async for info in self.inner.walk(prefix, after=after):
            yield info

    def _raise_cue(self, method: str, key: str) -> None:
        if cue := self._next_cue(method, key):
            raise cue[0]

    def _next_cue(self, method: str, key: str) -> tuple[MediaplaneError, int] | None:
        self.calls[method] += 1
        for index, (error, after_bytes, part) in enumerate(self._cues.get(method, [])):
            if part in key:
                del self._cues[method][index]
                return error, after_bytes or 0
        return None


async def _ending(chunks: Chunks, error: MediaplaneError, after_bytes: int) -> AsyncIterator[bytes]:
    left = after_bytes
    if left:
        async for chunk in chunks:
            yield chunk[:left]
            left -= min(left, len(chunk))
            if not left:
                break
    raise error
