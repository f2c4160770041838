"""A listing page by page, for who looks at millions of keys: one step a page, not one a key."""

from collections.abc import AsyncIterator, Sequence

from mediaplane.storage.found import Found
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.store import ObjectStore

PAGE_KEYS = 1000


async def walk_pages(store: ObjectStore, prefix: str, *, after: str = "") -> AsyncIterator[Sequence[Found]]:
    """Yield what is stored under keys that begin with `prefix` and are greater than `after`, in byte order.

    Of a bucket it yields every key there is, also such as nothing of ours can have.

    Raises:
        AccessDenied: the keys may not list the bucket.
        StorageError: anything else, also a missing bucket.
    """
    if isinstance(store, S3Store):
        async for page in store.walk_pages(prefix, after=after):
            yield page
        return
    batch: list[Found] = []
    async for info in store.walk(prefix, after=after):
        batch.append(Found(info.key, info.size_bytes, info.etag, info.modified_at))
        if len(batch) == PAGE_KEYS:
            yield batch
            batch = []
    if batch:
        yield batch
