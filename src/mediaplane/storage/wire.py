"""S3 requests over kept connections: signed, repeated where that can help, and led to the right region.

Small on purpose: what bulk transfer and listings need, and nothing else. `Client.ask` is made of steps that wait
(`connection.py`), which the loop of a bulk transfer drives by the hundred; `Client.request` and the helpers below it
block and are safe in threads.

Source: Amazon S3 API Reference; RFC 9112 (HTTP/1.1).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mediaplane.errors import MediaplaneError, ObjectNotFound, StorageError
from mediaplane.storage.answers import answered
from mediaplane.storage.asking import Asking, Idle
from mediaplane.storage.connection import (
    Steps,
    wait_for,
)
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.exchange import Answer, Pool, Request
from mediaplane.storage.found import Found
from mediaplane.storage.replies import (
    Page,
    Part,
    Unfinished,
    deletion_body,
    fits_xml,
    http_time,
    read_page,
    read_parts,
    read_refusals,
    read_unfinished,
)

BATCH_KEYS = 1000  # Source: Amazon S3 API Reference, DeleteObjects


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD tells of an object."""

    size_bytes: int
    etag: str
    modified_at: datetime  # UTC
    content_type: str
    metadata: dict[str, str]  # of `x-amz-meta-`, names lower case
    answer: Answer


class Client:
    """Requests to one bucket. `retries` of one request, with backoff; `on_slow_down` hears of every SlowDown."""

    def __init__(
        self,
        endpoint: S3Endpoint,
        *,
        retries: int = 5,
        on_slow_down: Callable[[], None] = lambda: None,
        hashes_bodies: bool = True,
    ) -> None:
        self.endpoint = endpoint
        self.provider = endpoint.provider  # looked up once: it costs 30 µs
        self._idle = Idle()
        self._asking = Asking(endpoint, retries=retries, on_slow_down=on_slow_down, hashes_bodies=hashes_bodies)

    def ask(self, request: Request, pool: Pool | None = None) -> Steps[Answer]:
        """Return the answer to a request, if it is a good one (2xx), after as many tries as it takes.

        Raises:
            ObjectNotFound: nothing is stored at the key, or there is no such bucket.
            AccessDenied: refused.
            StorageError: anything else; not reached, or no good answer after all retries.
        """
        return self._asking.ask(request, pool or self._idle)

    def request(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Return the answer, if it is a good one (2xx).

        Raises:
            MediaplaneError: as `ask`.
        """
        return wait_for(self.ask(Request(method, key, query or {}, dict(headers or {}), body)))

    def head(self, key: str) -> ObjectHead:
        """Return what HEAD tells of an object.

        Raises:
            ObjectNotFound: nothing is stored at the key.
            MediaplaneError: as `ask`.
        """
        return read_head(self.request("HEAD", key))

    def list_pages(
        self, prefix: str = "", delimiter: str = "", start_after: str = "", *, page_keys: int = 1000
    ) -> Iterator[Page]:
        """Yield the pages of a listing, as the server orders them.

        Raises:
            MediaplaneError: as `ask`.
        """
        more = {"start-after": start_after} if start_after else {}
        while True:
            page, _ = self.list_page(prefix, delimiter, more, page_keys=page_keys)
            yield page
            if not page.token:
                return
            more = {"continuation-token": page.token}

    def list_page(
        self, prefix: str, delimiter: str, more: Mapping[str, str], *, page_keys: int = 1000
    ) -> tuple[Page, Answer]:
        """Return one page and the answer it came in; `more` is `start-after` or `continuation-token`."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "max-keys": str(page_keys), **more}
        if delimiter:
            query["delimiter"] = delimiter
        try:
            answer = self.request("GET", query=query)
        except ObjectNotFound as error:
            raise answered(f"the list of bucket {self.endpoint.bucket}", 404, "NoSuchBucket") from error
        try:
            return read_page(answer.body), answer
        except (ValueError, KeyError) as error:
            raise StorageError(
                f"the list of bucket {self.endpoint.bucket}: the store answered something else ({error})",
                retryable=True,
            ) from error

    def list_all(self, prefix: str = "", start_after: str = "") -> Iterator[Found]:
        """Yield every object below a prefix, as the server orders them."""
        for page in self.list_pages(prefix, "", start_after):
            yield from page.objects

    def delete(self, key: str) -> None:
        """Delete one object; one that is not there is no error.

        Raises:
            MediaplaneError: as `ask`.
        """
        wait_for(self.ask_delete(key))

    def delete_many(self, keys: Iterable[str]) -> dict[str, str]:
        """Delete objects, a request per 1,000 (or one each where the provider wants it), and return those that were
        refused, with a sentence each.

        Raises:
            MediaplaneError: a whole request failed.
        """
        refused: dict[str, str] = {}
        batch: list[str] = []
        for key in keys:
            batch.append(key)
            if len(batch) == BATCH_KEYS:
                refused |= wait_for(self.ask_delete_many(batch))
                batch = []
        return refused | wait_for(self.ask_delete_many(batch)) if batch else refused

    def ask_delete(self, key: str, pool: Pool | None = None) -> Steps[None]:
        """Delete one object; see `delete`."""
        try:
            yield from self.ask(Request("DELETE", key), pool)
        except ObjectNotFound:
            return  # some servers say so; NoSuchBucket ends a listing before it comes to this

    def ask_delete_many(self, keys: list[str], pool: Pool | None = None) -> Steps[dict[str, str]]:
        """Delete at most 1,000 objects and return those that were refused; see `delete_many`."""
        batch = [key for key in keys if fits_xml(key)] if self.provider.batch_delete else []
        refused: dict[str, str] = {}
        if len(batch) > 1:
            body = deletion_body(batch)
            digest = content_md5(body)
            answer = yield from self.ask(
                Request("POST", query={"delete": ""}, headers={"content-md5": digest}, body=body), pool
            )
            for key, (code, message) in read_refusals(answer.body).items():
                refused[key] = f"{answered(key, 0, code).message}" + (f" ({message})" if message else "")
        else:
            batch = []
        batched = set(batch)
        for key in keys:
            if key not in batched:
                try:
                    yield from self.ask_delete(key, pool)
                except MediaplaneError as error:
                    refused[key] = error.message
        return refused

    def list_multipart(self, prefix: str = "") -> Iterator[Unfinished]:
        """Yield the multipart uploads that were neither finished nor aborted.

        Raises:
            MediaplaneError: as `ask`.
        """
        more: dict[str, str] = {}
        while True:
            query = {"uploads": "", "encoding-type": "url", "prefix": prefix, **more}
            found, more = read_unfinished(bytes(self.request("GET", query=query).body))
            yield from found
            if not more:
                return

    def list_parts(self, key: str, upload_id: str) -> Iterator[Part]:
        """Yield the parts of an unfinished upload that the store has."""
        marker = ""
        while True:
            query = {"uploadId": upload_id, **({"part-number-marker": marker} if marker else {})}
            parts, marker = read_parts(bytes(self.request("GET", key, query).body))
            yield from parts
            if not marker:
                return

    def abort(self, key: str, upload_id: str) -> None:
        """Abort an unfinished upload; one that is gone is no error.

        Raises:
            MediaplaneError: as `ask`.
        """
        wait_for(self.ask_abort(key, upload_id))

    def ask_abort(self, key: str, upload_id: str, pool: Pool | None = None) -> Steps[None]:
        """Abort an unfinished upload; see `abort`."""
        try:
            yield from self.ask(Request("DELETE", key, {"uploadId": upload_id}), pool)
        except ObjectNotFound:
            return
        except StorageError as error:
            if "NoSuchUpload" not in error.message:
                raise

    def close(self) -> None:
        """Close the connections that are kept."""
        self._idle.close()


def content_md5(body: bytes) -> str:
    """Return the value of a Content-MD5 header."""
    import base64

    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def read_head(answer: Answer) -> ObjectHead:
    """Return what the headers of an object say."""
    return ObjectHead(
        size_bytes=int(answer.header("content-length") or 0),
        etag=answer.header("etag"),
        modified_at=read_time(answer.header("last-modified")),
        content_type=answer.header("content-type"),
        metadata=answer.headers("x-amz-meta-"),
        answer=answer,
    )


def read_time(text: str) -> datetime:
    """Return the time of an HTTP header; 1970 where it is none."""
    return http_time(text) or datetime.fromtimestamp(0, UTC)
