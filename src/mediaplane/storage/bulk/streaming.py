"""An upload of unknown length: standard input becomes an object, in parts where it is long."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from mediaplane.errors import StorageError
from mediaplane.storage.bulk.checks import Damaged, is_encrypted
from mediaplane.storage.bulk.digests import encode, md5_of_etag, new_md5
from mediaplane.storage.bulk.names import content_type_of
from mediaplane.storage.bulk.pace import Pace
from mediaplane.storage.bulk.remote import client_of
from mediaplane.storage.bulk.work import Options
from mediaplane.storage.connection import wait_for
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.exchange import Answer, Request
from mediaplane.storage.replies import completion_body, error_code, text_of
from mediaplane.storage.wire import Client

PART_BYTES = 16 << 20
MOST_PARTS = 10_000  # Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits"
_PARTS_AT_ONCE = 4
_Sent = tuple[int, str]  # number and ETag


def put_stream(endpoint: S3Endpoint, key: str, file: BinaryIO, options: Options) -> int:
    """Store all that comes from `file` and return how many bytes those were.

    One request up to 16 MiB (`part_bytes`), else a multipart upload, which is aborted when anything fails. Every
    request carries its MD5, and its ETag is compared. Memory: five parts.

    Raises:
        AccessDenied: refused.
        StorageError: more than 10,000 parts came, the store has other bytes than were sent, or anything else.
        OSError: `file` cannot be read.
    """
    part_bytes = options.part_bytes or PART_BYTES
    headers = {"content-type": options.content_type or content_type_of(key)}
    if options.storage_class:
        headers["x-amz-storage-class"] = options.storage_class
    headers |= {f"x-amz-meta-{name}": value for name, value in options.metadata.items()}
    brake = Pace(options.bytes_per_second) if options.bytes_per_second else None
    upload = _Upload(client_of(endpoint, options.retries), key, headers, options, brake)
    parts = _parts_of(file, part_bytes)
    first = next(parts, b"")
    if len(first) < part_bytes:
        upload.put({}, headers, first)
        return len(first)
    return upload.put_parts(chain([first], parts))


@dataclass(frozen=True, slots=True)
class _Upload:
    client: Client
    key: str
    headers: dict[str, str]
    options: Options
    brake: Pace | None

    def put(self, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        """Send one body, again where other bytes arrived.

        Raises:
            Damaged: the store has other bytes after all retries.
        """
        digest = new_md5(body).digest()
        request = Request("PUT", self.key, query, {**headers, "content-md5": encode(digest)}, body, brake=self.brake)
        for _ in range(self.options.retries + 1):
            answer = wait_for(self.client.ask(request))
            stored = b"" if is_encrypted(answer) or not self.options.verify else md5_of_etag(answer.header("etag"))
            if not stored or stored == digest:
                return answer
        raise Damaged(f"{self.key}: the store has other bytes than were sent")

    def put_parts(self, parts: Iterator[bytes]) -> int:
        """Send a multipart upload and return its size."""
        begun = self.client.request("POST", self.key, {"uploads": ""}, self.headers)
        upload_id = text_of(bytes(begun.body), "UploadId")
        try:
            sent, size_bytes = self._send(upload_id, parts)
            body = completion_body([(number, etag, {}) for number, etag in sent])
            answer = self.client.request("POST", self.key, {"uploadId": upload_id}, body=body)
            if code := error_code(bytes(answer.body)):  # S3 says 200 before it knows
                raise StorageError(f"{self.key}: the store did not put the parts together ({code})", retryable=True)
        except BaseException:
            self.client.abort(self.key, upload_id)
            raise
        return size_bytes

    def _send(self, upload_id: str, parts: Iterator[bytes]) -> tuple[list[_Sent], int]:
        """Send the parts, some at once, and return them in order, and their size in all."""
        sent: list[_Sent] = []
        size_bytes = 0
        with ThreadPoolExecutor(_PARTS_AT_ONCE, "put-stream") as threads:
            under_way: deque[Future[_Sent]] = deque()
            for number, body in enumerate(parts, start=1):
                if number > MOST_PARTS:
                    raise StorageError(f"{self.key}: more than {MOST_PARTS} parts came: give a larger --part-size")
                under_way.append(threads.submit(self._send_one, upload_id, number, body))
                size_bytes += len(body)
                if len(under_way) == _PARTS_AT_ONCE:
                    sent.append(under_way.popleft().result())
            sent += [one.result() for one in under_way]
        return sent, size_bytes

    def _send_one(self, upload_id: str, number: int, body: bytes) -> _Sent:
        answer = self.put({"partNumber": str(number), "uploadId": upload_id}, {}, body)
        return number, answer.header("etag")


def _parts_of(file: BinaryIO, part_bytes: int) -> Iterator[bytes]:
    """Yield blocks of exactly `part_bytes`, the last one shorter: a pipe gives less than is asked for."""
    while True:
        pieces: list[bytes] = []
        missing = part_bytes
        while missing and (piece := file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        if pieces:
            yield b"".join(pieces)
        if missing:
            return
