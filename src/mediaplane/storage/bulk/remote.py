"""What commands ask of a bucket besides moving its objects: listings in order, single objects, their bytes.

One client an endpoint, kept for the process; safe in threads.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

from mediaplane.errors import ObjectNotFound, StorageError
from mediaplane.storage.bulk.names import MTIME, mtime_of
from mediaplane.storage.bulk.streams import NANOSECONDS, Entry
from mediaplane.storage.bulk.work import Found
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.listing import Listing
from mediaplane.storage.replies import Page
from mediaplane.storage.wire import Client, ObjectHead

_READ_BYTES = 8 << 20
_READS_AHEAD = 4
_BREAKS = 5  # wrong answers to one range before it is given up


@lru_cache(maxsize=64)
def client_of(endpoint: S3Endpoint, retries: int = 5) -> Client:
    """Return the client of an endpoint."""
    return Client(endpoint, retries=retries)


@lru_cache(maxsize=64)
def _listing_of(endpoint: S3Endpoint) -> Listing:
    return Listing(endpoint)


def objects(endpoint: S3Endpoint, prefix: str = "", *, after: str = "") -> Iterator[Found]:
    """Yield every object below a prefix whose key is greater than `after`, in byte order of the keys.

    Raises:
        AccessDenied: the keys may not list.
        StorageError: the bucket is missing, the store is silent, or lists out of order.
    """
    return _listing_of(endpoint).find(prefix, after)


def object_pages(endpoint: S3Endpoint, prefix: str, *, after: str = "") -> Iterator[list[Found]]:
    """Yield what `objects` does, a page at a time; raises as it does."""
    return _listing_of(endpoint).find_pages(prefix, after)


def pages(endpoint: S3Endpoint, prefix: str) -> Iterator[Page]:
    """Yield objects and folders directly below a prefix, a page at a time.

    Raises:
        AccessDenied: the keys may not list.
        StorageError: anything else.
    """
    return client_of(endpoint).list_pages(prefix, "/")


def head(endpoint: S3Endpoint, key: str) -> ObjectHead | None:
    """Return what one HEAD tells of an object; None where nothing is stored.

    Raises:
        AccessDenied: refused.
        StorageError: anything else.
    """
    try:
        return client_of(endpoint).head(key)
    except ObjectNotFound:
        return None


def look(endpoint: S3Endpoint, key: str, name: str) -> Entry | None:
    """Return the entry of one object with the mtime that it keeps; None where nothing is stored. See `head`."""
    told = head(endpoint, key)
    if told is None:
        return None
    found = Found(key, told.size_bytes, told.etag, told.modified_at, told.answer.header("x-amz-storage-class"))
    modified_ns = int(told.modified_at.timestamp()) * NANOSECONDS
    return Entry(name, told.size_bytes, modified_ns, 0, found, kept_ns=mtime_of(told.answer.header(MTIME)))


def metadata(endpoint: S3Endpoint, key: str) -> dict[str, str]:
    """Return an object's metadata, `x-amz-meta-` and lower case; empty where nothing is stored. See `head`."""
    told = head(endpoint, key)
    return {f"x-amz-meta-{name}": value for name, value in told.metadata.items()} if told else {}


def read(endpoint: S3Endpoint, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield an object's bytes from `start` up to but not including `end`; some ranges are fetched ahead.

    All of them are of one version: a change on the way is an error. A negative `start` counts from the end.

    Raises:
        ObjectNotFound: nothing is stored at the key.
        StorageError: the object changed, or anything else.
    """
    told = head(endpoint, key)
    if told is None:
        raise ObjectNotFound(f"s3://{endpoint.bucket}/{key}")
    first = max(0, told.size_bytes + start) if start < 0 else start
    last = told.size_bytes if end is None else min(end, told.size_bytes)
    ranges = ((at, min(at + _READ_BYTES, last)) for at in range(first, last, _READ_BYTES))
    with ThreadPoolExecutor(_READS_AHEAD, "read") as threads:
        coming = deque(
            threads.submit(_read_range, endpoint, key, told.etag, *one) for one in islice(ranges, _READS_AHEAD)
        )
        try:
            while coming:
                body = coming.popleft().result()
                coming.extend(threads.submit(_read_range, endpoint, key, told.etag, *one) for one in islice(ranges, 1))
                yield body
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _read_range(endpoint: S3Endpoint, key: str, etag: str, start: int, end: int) -> bytes:
    headers = {"range": f"bytes={start}-{end - 1}", **({"if-match": etag} if etag else {})}
    for _ in range(_BREAKS):
        answer = client_of(endpoint).request("GET", key, headers=headers)
        if etag and answer.header("etag") != etag:
            raise StorageError(f"s3://{endpoint.bucket}/{key} changed while it was read: try again", retryable=True)
        if answer.status == 206 and len(answer.body) == end - start:
            return bytes(answer.body)
    raise StorageError(
        f"s3://{endpoint.bucket}/{key}: the store sent {len(answer.body)} bytes where {end - start} were asked for",
        retryable=True,
    )


def buckets(endpoint: S3Endpoint) -> list[str]:
    """Return the names of the buckets that the keys may see.

    Raises:
        AccessDenied: they may not.
        StorageError: anything else.
    """
    # boto3 and what reads its errors are slow to import, and nothing else here needs them
    from mediaplane.storage.buckets import open_client
    from mediaplane.storage.failures import translated

    with translated("the list of buckets", endpoint.url):
        found = open_client(endpoint).list_buckets()
    return [bucket["Name"] for bucket in found.get("Buckets", [])]
