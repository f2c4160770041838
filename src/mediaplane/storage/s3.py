"""`ObjectStore` on an S3-compatible endpoint, by obstore.

Its synchronous API runs in threads of our own. Measured with obstore 0.12.1: the async API aborted the interpreter at
exit in 3 of 25 runs (0 of 25 with threads), leaves a multipart upload behind when a put is cancelled, and costs as
much CPU (0.2-0.4 ms an object either way).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import UnauthenticatedError
from obstore.store import S3Store as Engine

from mediaplane.errors import AccessDenied, InvalidRange, StorageError
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.credentials import AWS_VARIABLES
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated
from mediaplane.storage.found import Found
from mediaplane.storage.listing import Listing
from mediaplane.storage.store import Chunks, Look, ObjectInfo, check_range
from mediaplane.storage.upload import PartFeed, regroup

if TYPE_CHECKING:
    from obstore import BytesStream, GetOptions, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

T = TypeVar("T")

PART_BYTES = 16 << 20  # S3 allows 10,000 parts: objects up to 160 GB
PARTS_AT_ONCE = 3  # of one upload: keeps a slow link busy, and costs this many parts of memory
_READ_BYTES = 1 << 20
_WALK_KEYS = 1000
_PAGES = 8  # of a listing in one trip to a thread, which costs about as much as comparing a page
_UPLOADS = 8  # multipart uploads at once; others wait
_REQUESTS = 16  # other requests at once


class S3Store:
    """One bucket. A multipart upload that fails or is cancelled is aborted; a put is checked by its size."""

    def __init__(
        self,
        endpoint: S3Endpoint,
        *,
        part_bytes: int = PART_BYTES,
        retry_for: timedelta = timedelta(minutes=2),
    ) -> None:
        self._endpoint = endpoint
        self._part_bytes = part_bytes
        self._engine = open_engine(endpoint, retry_for=retry_for)
        self._deleter = self._engine
        self._retry_for = retry_for
        self._listing = Listing(endpoint, retry_for=retry_for)
        # two pools: an upload waits for its body, which may be a read of this same store
        self._uploads = ThreadPoolExecutor(_UPLOADS, "s3-upload")
        self._requests = ThreadPoolExecutor(_REQUESTS, "s3-request")

    async def put(self, key: ObjectKey, body: Chunks, *, content_type: str) -> ObjectInfo:
        """Store the body: one request up to `part_bytes`, else multipart with equal parts; then one HEAD.

        Raises:
            AccessDenied: refused.
            StorageError: anything else, also when the stored size is not what was sent. What `body` itself raises
                passes through. In every case the key holds what it held before, or the whole body.
        """
        async with aclosing(regroup(body, self._part_bytes)) as parts:
            first = await anext(parts, b"")
            if len(first) < self._part_bytes:
                sent_bytes = len(first)
                await self._in_thread(lambda: self._put_whole(key, first, content_type))
            else:
                feed = PartFeed(first)
                await feed.run(parts, self._uploads, lambda ready: self._put_parts(key, ready, content_type))
                sent_bytes = feed.sent_bytes
        info = await self.stat(key)
        if info.size_bytes != sent_bytes:
            raise StorageError(f"{key}: {sent_bytes} bytes were sent, {info.size_bytes} are stored", retryable=True)
        return info

    async def read(self, key: ObjectKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the object's bytes from `start`, at most `length`, in chunks of about 1 MiB, from one GET.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
            InvalidRange: the range is empty or begins at or after the object's end.
            AccessDenied: refused.
            StorageError: anything else, also when the stream ends early.
        """
        check_range(key, start, length)
        missing_bytes, stream, chunk = await self._in_thread(lambda: self._open_stream(key, start, length))
        while chunk:
            missing_bytes -= len(chunk)
            yield chunk
            chunk = await self._in_thread(lambda: self._next_chunk(key, stream)) if missing_bytes > 0 else b""
        if missing_bytes:
            raise StorageError(f"{key}: the stream ended {missing_bytes} bytes early", retryable=True)

    async def stat(self, key: ObjectKey) -> ObjectInfo:
        """Return size, etag and time of the object at `key`, from one HEAD.

        Raises:
            ObjectNotFound: nothing is stored at `key`, or the bucket is missing.
            AccessDenied: refused; also the answer for a missing key when the keys lack s3:ListBucket.
            StorageError: anything else.
        """
        return await self._in_thread(lambda: self._head(key))

    async def look(self, key: ObjectKey, most_bytes: int) -> Look:
        """Return the object with at most so many of its first bytes, from one GET; of an empty one from a HEAD, too.

        Raises:
            ObjectNotFound, AccessDenied, StorageError: as `stat`.
        """
        return await self._in_thread(lambda: self._look(key, most_bytes))

    async def delete(self, keys: Sequence[ObjectKey]) -> None:
        """Remove the objects, a request per 1,000; a key where nothing is stored is no error.

        Raises:
            AccessDenied: refused, for one or all.
            StorageError: anything else; some may be gone already.
        """
        if keys:
            await self._in_thread(lambda: self._delete(keys))

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what is stored under keys that begin with `prefix` and are greater than `after`, in byte order.

        One request per 1,000 keys (SeaweedFS: and per directory), constant memory.

        Raises:
            AccessDenied: the keys may not list the bucket.
            StorageError: anything else, also a missing bucket.
        """
        found = self._listing.walk(prefix, after)
        while batch := await self._in_thread(lambda: list(islice(found, _WALK_KEYS))):
            for info in batch:
                yield info

    async def walk_pages(self, prefix: str, *, after: str = "") -> AsyncIterator[list[Found]]:
        """Yield the same some pages at a time, and with keys that no method of ours would take; a fifth of the cost.

        Raises:
            AccessDenied: the keys may not list the bucket.
            StorageError: anything else, also a missing bucket.
        """
        pages = self._listing.find_pages(prefix, after)
        while batch := await self._in_thread(lambda: list(chain.from_iterable(islice(pages, _PAGES)))):
            yield batch

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._requests, work)

    def _put_whole(self, key: ObjectKey, body: bytes, content_type: str) -> None:
        with self._translated(key):
            obstore.put(self._engine, key, body, attributes={"Content-Type": content_type}, use_multipart=False)

    def _put_parts(self, key: ObjectKey, parts: Iterator[bytes], content_type: str) -> None:
        with self._translated(key):
            obstore.put(
                self._engine,
                key,
                parts,
                attributes={"Content-Type": content_type},
                chunk_size=self._part_bytes,
                max_concurrency=PARTS_AT_ONCE,
            )

    def _open_stream(self, key: ObjectKey, start: int, length: int | None) -> "tuple[int, BytesStream, bytes]":
        """Return how many bytes will come, the stream, and its first chunk."""
        options: GetOptions = {}
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        with self._translated(key):
            result = obstore.get(self._engine, key, options=options)
            first_byte, end = result.range
            stream = result.stream(min_chunk_size=_READ_BYTES)
            return end - first_byte, stream, bytes(next(stream, b"")) if end > first_byte else b""

    def _next_chunk(self, key: ObjectKey, stream: "BytesStream") -> bytes:
        with self._translated(key):
            return bytes(next(stream, b""))

    def _head(self, key: ObjectKey) -> ObjectInfo:
        with self._translated(key):
            head = obstore.head(self._engine, key)
        return _info(key, head)

    def _look(self, key: ObjectKey, most_bytes: int) -> Look:
        try:
            with self._translated(key):
                result = obstore.get(self._engine, key, options={"range": (0, most_bytes)})
                return Look(_info(key, result.meta), bytes(result.bytes()))
        except InvalidRange:  # nothing begins at 0
            return Look(self._head(key), b"")

    def _delete(self, keys: Sequence[ObjectKey]) -> None:
        """Delete in batches, or one by one where batches are refused, from then on.

        RGW 16 asks for s3:DeleteObject on the bucket itself for a batch: keys that may delete under a prefix only are
        refused there, and not for one object.
        """
        what = keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"
        try:
            with self._translated(what):
                obstore.delete(self._deleter, list(keys))
        except AccessDenied:
            if self._deleter is not self._engine:
                raise
            deleter = open_engine(self._endpoint, retry_for=self._retry_for, batch_delete=False)
            with self._translated(what):
                obstore.delete(deleter, list(keys))
            self._deleter = deleter

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        with translated(what, self._endpoint.url):
            try:
                yield
            except UnauthenticatedError:
                if self._endpoint.role:
                    self._endpoint.keys()  # raises what really happened, which the engine keeps to itself
                raise


def _info(key: ObjectKey, meta: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"])


def open_engine(endpoint: S3Endpoint, *, retry_for: timedelta, batch_delete: bool = True) -> Engine:
    """Return obstore's client for the bucket; it repeats what failed for at most `retry_for`.

    Raises:
        StorageError: obstore refuses the endpoint.
    """
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(minutes=2),  # no byte for so long; also bounds the sending of one part
        "timeout": timedelta(hours=6),  # of one request with its body: the default, 30 s, ends every long read
    }
    if endpoint.ca_file:
        options["root_certificate"] = Path(endpoint.ca_file).read_bytes()
    backoff: RetryConfig = {
        "max_retries": 6,
        "retry_timeout": retry_for,
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    config: S3Config = {
        "endpoint": endpoint.origin if endpoint.virtual_host else endpoint.url,
        "region": endpoint.region,
        "virtual_hosted_style_request": endpoint.virtual_host,
        "disable_bulk_delete": not (batch_delete and endpoint.provider.batch_delete),
    }
    with _without_aws_variables(), translated(endpoint.bucket, endpoint.url):
        if endpoint.role:
            return Engine(
                endpoint.bucket,
                config=config,
                client_options=options,
                retry_config=backoff,
                credential_provider=lambda: _engine_keys(endpoint),
            )
        config["access_key_id"] = endpoint.access_key_id
        config["secret_access_key"] = endpoint.secret_access_key
        if endpoint.session_token:
            config["session_token"] = endpoint.session_token
        return Engine(endpoint.bucket, config=config, client_options=options, retry_config=backoff)


def _engine_keys(endpoint: S3Endpoint) -> "S3Credential":
    """Return the keys as the engine wants them; it asks again when `expires_at` comes near."""
    keys = endpoint.keys()
    return {
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "token": keys.session_token or None,
        "expires_at": keys.expires,
    }


@contextmanager
def _without_aws_variables() -> Iterator[None]:
    """Hide AWS_* while the engine is made.

    It reads them all, and AWS_SESSION_TOKEN, AWS_ENDPOINT_URL_S3 or AWS_SKIP_SIGNATURE of the user's
    shell would override or spoil what our settings say.
    """
    with AWS_VARIABLES:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
        try:
            yield
        finally:
            os.environ.update(hidden)
