"""The keys of a bucket in byte order, a page at a time.

obstore's listing is not used: it ends with an error at the first key that has a `.` part, takes `dir/` for `dir`,
and knows prefixes only as whole path parts. This one asks through `wire.py`; 1,000 keys cost 3 ms of processor time
(boto3 120 ms).

SeaweedFS lists directory by directory (`a/b` before `a-b`), so there each directory is listed by itself and put in
order on the way: one request more a directory, still constant memory.

Source: Amazon S3 API Reference, ListObjectsV2.
"""

import heapq
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import islice

from mediaplane.errors import InvalidKey, StorageError
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.found import Found
from mediaplane.storage.replies import Page
from mediaplane.storage.store import ObjectInfo
from mediaplane.storage.wire import Client


class Listing:
    """Lists one bucket; blocking, so it is run in a thread."""

    def __init__(
        self, endpoint: S3Endpoint, *, page_keys: int = 1000, retry_for: timedelta = timedelta(minutes=2)
    ) -> None:
        tries = max(1, min(7, int(retry_for.total_seconds())))  # the seventh comes 10 to 25 s after the first
        self._client = Client(endpoint, retries=tries)
        self._page_keys = page_keys

    def walk(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """Yield objects whose key starts with `prefix` and is greater than `after`, in byte order of their keys.

        Keys that `check_key` refuses are left out (folder markers `dir/`, `a//b`): the plane never wrote them, and
        no other method could reach them.

        Raises:
            AccessDenied: the keys may not list the bucket.
            StorageError: the bucket is missing, the server is silent, or it lists out of order.
        """
        for found in self.find(prefix, after):
            if (key := _ours(found.key)) is not None:
                yield ObjectInfo(key, found.size_bytes, found.etag, found.modified_at)

    def find(self, prefix: str = "", after: str = "") -> Iterator[Found]:
        """Yield every object whose key starts with `prefix` and is greater than `after`, in byte order of their keys.

        Raises: as `find_pages`.
        """
        for page in self.find_pages(prefix, after):
            yield from page

    def find_pages(self, prefix: str = "", after: str = "") -> Iterator[list[Found]]:
        """Yield what `find` does, some at a time: a page of the server, as a rule 1,000.

        Raises:
            AccessDenied: the keys may not list the bucket.
            StorageError: the bucket is missing, the server is silent, or it lists out of order.
        """
        start = {"start-after": after} if after > prefix else {}
        first, answer = self._client.list_page(prefix, "", start, page_keys=self._page_keys)
        by_directory = answer.header("server").startswith("SeaweedFS")
        last = after
        for page in self._ordered(prefix, after) if by_directory else self._flat(prefix, start, first):
            found = page if not page or page[0].key > after else [info for info in page if info.key > after]
            if not found:
                continue
            keys = [info.key for info in found]
            if keys[0] <= last or keys != sorted(set(keys)):
                raise StorageError(
                    f"the store lists {keys[0]!r} and more after {last!r}: its order cannot be relied on"
                )
            last = keys[-1]
            yield found

    def _flat(self, prefix: str, start: Mapping[str, str], page: Page) -> Iterator[list[Found]]:
        yield page.objects
        while page.token:
            page = self._page(prefix, "", {**start, "continuation-token": page.token})
            yield page.objects

    def _ordered(self, prefix: str, after: str) -> Iterator[list[Found]]:
        found = self._by_directory(prefix, after)
        while page := list(islice(found, self._page_keys)):
            yield page

    def _by_directory(self, prefix: str, after: str) -> Iterator[Found]:
        """Yield in byte order from a server that orders names within a directory, there `a` before `a-b`.

        A folder `a/` comes to its place when a name greater than `a/` has been seen.
        """
        waiting: list[tuple[str, Found | None]] = []
        for name, info in self._entries(prefix):
            while waiting and waiting[0][0] < name:
                yield from self._expanded(heapq.heappop(waiting), after)
            heapq.heappush(waiting, (name, info) if info else (f"{name}/", None))
        while waiting:
            yield from self._expanded(heapq.heappop(waiting), after)

    def _expanded(self, entry: tuple[str, Found | None], after: str) -> Iterator[Found]:
        key, info = entry
        if info:
            yield info
        elif key > after or after.startswith(key):
            yield from self._by_directory(key, after)

    def _entries(self, prefix: str) -> Iterator[tuple[str, Found | None]]:
        """Yield (key, info) of objects and (name without "/", None) of folders, as the server orders them."""
        page = self._page(prefix, "/", {})
        while True:
            entries: list[tuple[str, Found | None]] = [(info.key, info) for info in page.objects if _is_object(info)]
            entries += [(folder[:-1], None) for folder in page.folders if folder != prefix]
            yield from sorted(entries, key=lambda entry: entry[0])
            if not page.token:
                return
            page = self._page(prefix, "/", {"continuation-token": page.token})

    def _page(self, prefix: str, delimiter: str, more: Mapping[str, str]) -> Page:
        return self._client.list_page(prefix, delimiter, more, page_keys=self._page_keys)[0]


def _is_object(info: Found) -> bool:
    """Tell a marker that somebody stored from a directory that was emptied: SeaweedFS lists both as `dir/`."""
    return not info.key.endswith("/") or bool(info.etag.strip('"'))


def _ours(key: str) -> ObjectKey | None:
    try:
        return check_key(key)
    except (InvalidKey, UnicodeEncodeError):
        return None
