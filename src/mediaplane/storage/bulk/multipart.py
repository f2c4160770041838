"""Objects that are made of parts: several parts at once, each a task of its own that any lane may take.

An upload that an earlier run was cut off from is continued: its parts that are equal to the file's (by their MD5) are
not sent again. One that fails for good is aborted; one whose process was killed is found by `rm --incomplete`.

Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits".
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from mediaplane.errors import MediaplaneError, ObjectNotFound, StorageError
from mediaplane.storage.bulk.checks import Check, Damaged
from mediaplane.storage.bulk.digests import md5_of_etag
from mediaplane.storage.bulk.lane import Lane, Task
from mediaplane.storage.bulk.names import PART_BYTES, sentence_of
from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.work import Copy, Options, Upload
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import Answer, FileSlice, Request
from mediaplane.storage.providers import Provider
from mediaplane.storage.replies import Part, completion_body, read_parts, read_unfinished, text_of
from mediaplane.storage.wire import Client, read_head

USUAL_PART_BYTES = 16 << 20
MIN_PART_BYTES = 5 << 20
MAX_PARTS = 10_000
_SERVER_SECONDS = 900.0  # a server may think so long before it answers: it puts parts together, or copies


class SentPart(NamedTuple):
    """A part that the store has."""

    etag: str
    digest: bytes  # empty: not known


def part_bytes_of(options: Options, provider: Provider, size_bytes: int) -> int:
    """Return the size of all parts but the last, for an object of that size; a smaller object goes by one PUT."""
    least = -(-size_bytes // MAX_PARTS)
    wanted = max(options.part_bytes or USUAL_PART_BYTES, MIN_PART_BYTES, least)
    whole = -(-wanted // (1 << 20)) << 20
    return min(whole, provider.largest_part_bytes)


@dataclass(slots=True)
class Parts:
    """A multipart upload under way. `send` moves one part, `confirm` raises if the source has changed."""

    run: Run
    work: Upload | Copy
    size_bytes: int
    part_bytes: int
    headers: dict[str, str]
    send: Callable[[Lane, "Parts", int], Steps[SentPart]]
    confirm: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None
    upload_id: str = ""
    sent: dict[int, SentPart] = field(default_factory=dict)
    left: int = 0
    problem: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def client(self) -> Client:
        """The client of the target."""
        return self.run.client(self.work.target)

    @property
    def count(self) -> int:
        """How many parts the object has."""
        return -(-self.size_bytes // self.part_bytes)

    def range_of(self, number: int) -> tuple[int, int]:
        """Return where a part (from 1) begins, and its length."""
        offset = (number - 1) * self.part_bytes
        return offset, min(self.part_bytes, self.size_bytes - offset)

    def begin(self, lane: Lane) -> Steps[None]:
        """Create the upload, unless it is continued, and queue its parts."""
        if not self.upload_id:
            yield from self._create(lane)
        self.run.unfinished[id(self)] = self._undo
        missing = [number for number in range(1, self.count + 1) if number not in self.sent]
        self.left = len(missing)
        for number in missing:
            self.run.add(self._task(number), heavy=True)
        if not missing:
            yield from self._finish(lane)

    def _create(self, lane: Lane) -> Steps[None]:
        headers = {**self.headers, PART_BYTES: str(self.part_bytes)}
        if self.run.options.verify and self.client.provider.checksum_trailers:
            headers["x-amz-checksum-algorithm"] = "CRC32"
        request = Request("POST", self.work.key, {"uploads": ""}, headers)
        answer = yield from self.client.ask(request, lane)
        self.upload_id = text_of(answer.body, "UploadId")
        if not self.upload_id:
            raise StorageError(f"{self.work.key}: the store began no multipart upload", retryable=True)

    def _task(self, number: int) -> Task:
        def task(lane: Lane) -> Steps[None]:
            if not self.problem:
                try:
                    sent = yield from self.send(lane, self, number)
                except (MediaplaneError, OSError, EOFError) as error:
                    self.problem = self.problem or sentence_of(error)
                else:
                    self.sent[number] = sent
                    self.run.moved(self.work, self.range_of(number)[1])
            with self._lock:
                self.left -= 1
                last = not self.left
            if last:
                yield from self._finish(lane)

        return task

    def _finish(self, lane: Lane) -> Steps[None]:
        try:
            if not self.problem:
                self.confirm()
                yield from self._complete(lane)
        except (MediaplaneError, OSError) as error:
            self.problem = sentence_of(error)
        if self.problem:
            try:
                yield from self.client.ask_abort(self.work.key, self.upload_id, lane)
            except MediaplaneError as error:
                self.problem += f" (the multipart upload is left unfinished: {error.message})"
        self.run.unfinished.pop(id(self), None)
        self.close()
        self.run.settle(self.work, error=self.problem)

    def _complete(self, lane: Lane) -> Steps[None]:
        check = Check(self.client.provider)
        verify = self.run.options.verify
        rows = [
            (number, sent.etag, check.fields(sent.digest) if verify and sent.digest else {})
            for number, sent in sorted(self.sent.items())
        ]
        request = Request(
            "POST", self.work.key, {"uploadId": self.upload_id}, body=completion_body(rows), patience=_SERVER_SECONDS
        )
        try:
            answer = yield from self.client.ask(request, lane)
        except (ObjectNotFound, StorageError) as error:
            if not _is_gone(error) or not (yield from self._is_whole(lane, check)):
                raise
            return
        digests = [self.sent[number].digest for number in range(1, self.count + 1)]
        if verify and all(digests):
            try:
                check.confirm_composed(self.work.key, digests, answer)
            except Damaged:
                yield from self.client.ask_delete(self.work.key, lane)  # or it would pass for what was sent
                raise

    def _is_whole(self, lane: Lane, check: Check) -> Steps[bool]:
        """Tell whether the upload is gone because it is finished: by us, and the answer was lost."""
        try:
            answer = yield from self.client.ask(Request("HEAD", self.work.key), lane)
        except MediaplaneError:
            return False
        head = read_head(answer)
        etags = [md5_of_etag(self.sent[number].etag) for number in range(1, self.count + 1)]
        return head.size_bytes == self.size_bytes and all(etags) and check.composite_etag(etags) == head.etag.strip('"')

    def _undo(self) -> None:
        try:
            if not self.run.gave_up:
                self.client.abort(self.work.key, self.upload_id)
        finally:
            self.close()


def put_part(lane: Lane, parts: Parts, number: int, body: bytes | FileSlice) -> Steps[SentPart]:
    """Send a part, guarded by its checksum and compared with what the store says it has.

    Raises:
        Damaged: the store has something else after all retries.
        MediaplaneError: as `Client.ask`.
    """
    run, client, key = parts.run, parts.client, parts.work.key
    query = {"partNumber": str(number), "uploadId": parts.upload_id}
    check, digest, headers = Check(client.provider), b"", {}
    if run.options.verify:
        digest = yield from check.digest_of(body)
        headers = check.headers(digest)
    request = Request("PUT", key, query, headers, body, unsigned=True, brake=run.pace)
    for tries_left in range(run.options.retries, -1, -1):
        answer = yield from client.ask(request, lane)
        try:
            if digest:
                check.confirm_sent(f"part {number} of {key}", digest, answer)
        except Damaged:
            if not tries_left:
                raise
        else:
            break
    return SentPart(_etag_of(answer), digest)


def copy_part(lane: Lane, parts: Parts, number: int, source: dict[str, str]) -> Steps[SentPart]:
    """Let the server copy a part; `source` are the headers that say from where."""
    offset, count = parts.range_of(number)
    query = {"partNumber": str(number), "uploadId": parts.upload_id}
    headers = {**source, "x-amz-copy-source-range": f"bytes={offset}-{offset + count - 1}"}
    request = Request("PUT", parts.work.key, query, headers, unsigned=True, patience=_SERVER_SECONDS)
    answer = yield from parts.client.ask(request, lane)
    if not (etag := text_of(answer.body, "ETag")):
        raise StorageError(f"part {number} of {parts.work.key}: the copy has no ETag", retryable=True)
    return SentPart(etag, b"")


def _etag_of(answer: Answer) -> str:
    etag = answer.header("etag")
    if not etag:
        raise StorageError("the store gave a part no ETag", retryable=True)
    return etag


def _is_gone(error: MediaplaneError) -> bool:
    return isinstance(error, ObjectNotFound) or "NoSuchUpload" in error.message


def continue_upload(lane: Lane, parts: Parts, file: int, since: float) -> Steps[None]:
    """Take over an unfinished upload of the same file, if there is one: begun after the file was last changed, with
    parts of one size that are equal to the file's. What cannot be continued is left to `rm --incomplete`.
    """
    try:
        query = {"uploads": "", "encoding-type": "url", "prefix": parts.work.key}
        answer = yield from parts.client.ask(Request("GET", query=query), lane)
        found, _ = read_unfinished(answer.body)
        began = datetime.fromtimestamp(since, UTC)
        for upload in sorted(found, key=lambda upload: upload.began_at, reverse=True):
            if upload.key == parts.work.key and upload.began_at >= began:
                yield from _take_over(lane, parts, file, upload.upload_id)
                if parts.upload_id:
                    return
    except (MediaplaneError, ValueError):
        return  # the store cannot say, or may not: a new upload is begun


def _take_over(lane: Lane, parts: Parts, file: int, upload_id: str) -> Steps[None]:
    stored, algorithm = yield from _list_parts(lane, parts, upload_id)
    wanted = "CRC32" if parts.run.options.verify and parts.client.provider.checksum_trailers else ""
    if not stored or algorithm != wanted or any(part.size_bytes > parts.part_bytes for part in stored):
        return
    check, equal = Check(parts.client.provider), {}
    for part in stored:
        offset, count = parts.range_of(part.number)
        if part.size_bytes == count:
            body = FileSlice(file, offset, count)
            digest = yield from Check.md5().digest_of(body)
            if digest == md5_of_etag(part.etag):
                known = digest if not check.is_crc32 else (yield from check.digest_of(body))
                equal[part.number] = SentPart(part.etag, known)
    if equal:
        parts.upload_id, parts.sent = upload_id, equal


def _list_parts(lane: Lane, parts: Parts, upload_id: str) -> Steps[tuple[list[Part], str]]:
    found: list[Part] = []
    marker = algorithm = ""
    while True:
        query = {"uploadId": upload_id, **({"part-number-marker": marker} if marker else {})}
        answer = yield from parts.client.ask(Request("GET", parts.work.key, query), lane)
        page, marker = read_parts(answer.body)
        algorithm = algorithm or text_of(answer.body, "ChecksumAlgorithm")
        found += page
        if not marker:
            return found, algorithm
