"""Large objects that become files: ranges in parallel, each a task of its own that any lane may take.

The temporary file has one byte more for each range, behind the object's own bytes: 1 when the range is written. A
later run finds it by its name, which is made of the object's ETag and size, and fetches only what is missing.
"""

import fcntl
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from mediaplane.errors import MediaplaneError
from mediaplane.storage.bulk.checks import CRC32_HEADER, Check, Damaged, is_encrypted, md5_of
from mediaplane.storage.bulk.digests import composite_of_etag, decode
from mediaplane.storage.bulk.lane import Lane, Task
from mediaplane.storage.bulk.multipart import part_bytes_of
from mediaplane.storage.bulk.names import PART_BYTES, lasting_name, sentence_of, set_time, temporary_name
from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.sinks import FileSink
from mediaplane.storage.bulk.work import Download
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import Answer, FileSlice, Request
from mediaplane.storage.wire import Client

_DONE = b"\x01"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the bytes must come to: the checksum of the whole, or of the ranges' checksums; empty: nothing is known."""

    check: Check
    digest: bytes = b""
    is_composite: bool = False


def begin_ranges(run: Run, lane: Lane, work: Download) -> Steps[None]:
    """Look at the object, open its temporary file and queue the ranges that are missing.

    Raises:
        OSError: the file cannot be written.
        MediaplaneError: as `Client.ask`.
    """
    client, found = run.client(work.source), work.object
    headers = {"x-amz-checksum-mode": "ENABLED"} if client.provider.checksum_trailers and run.options.verify else {}
    if found.etag:
        headers["if-match"] = found.etag
    head = yield from client.ask(Request("HEAD", found.key, headers=headers), lane)
    if int(head.header("content-length") or -1) != found.size_bytes:
        raise Damaged(f"{found.key} was changed in the store meanwhile: try again")
    range_bytes = part_bytes_of(run.options, client.provider, found.size_bytes)
    expected = Expected(Check(client.provider))
    if run.options.verify:
        expected, range_bytes = yield from _expect(client, lane, work, head, range_bytes)
    ranges = Ranges(run, work, head, range_bytes, expected)
    ranges.open()
    yield from ranges.begin()


def _expect(client: Client, lane: Lane, work: Download, head: Answer, range_bytes: int) -> Steps[tuple[Expected, int]]:
    """Return what the object's checksum is, and the size of ranges that it can be computed from."""
    text = head.header(CRC32_HEADER)
    if stored := decode(text.partition("-")[0], 4):
        count = int(text.partition("-")[2] or 0)
        check = Check.crc32()
    else:
        check = Check.md5()
        stored, count = composite_of_etag(head.header("etag"))
        if is_encrypted(head):
            stored, count = b"", 0
        stored = stored or md5_of(head)
    if stored and count:
        size = yield from _part_bytes(client, lane, work, head, count)
        return (Expected(check, stored, is_composite=True), size) if size else (Expected(check), range_bytes)
    return Expected(check, stored), range_bytes


def _part_bytes(client: Client, lane: Lane, work: Download, head: Answer, count: int) -> Steps[int]:
    """Return the size of the parts that an object was made of, 0 where it cannot be known."""
    size = work.object.size_bytes
    noted = head.header(PART_BYTES)
    if noted.isdigit() and int(noted) and -(-size // int(noted)) == count:
        return int(noted)
    try:
        answer = yield from client.ask(Request("HEAD", work.object.key, {"partNumber": "1"}), lane)
    except MediaplaneError:
        return 0
    first = int(answer.header("content-length") or 0)
    return first if first and -(-size // first) == count else 0


@dataclass(slots=True)
class Ranges:
    """A ranged download under way."""

    run: Run
    work: Download
    head: Answer
    range_bytes: int
    expected: Expected
    problem: str = ""
    _file: int = -1
    _temporary: str = ""
    _digests: dict[int, bytes] = field(default_factory=dict)
    _left: int = 0
    _damaged: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size_bytes(self) -> int:
        """The object's size."""
        return self.work.object.size_bytes

    @property
    def path(self) -> str:
        """The file's final name."""
        return os.fspath(self.work.path)

    @property
    def count(self) -> int:
        """How many ranges there are."""
        return -(-self.size_bytes // self.range_bytes)

    def range_of(self, number: int) -> tuple[int, int]:
        """Return where a range (from 0) begins, and its length."""
        offset = number * self.range_bytes
        return offset, min(self.range_bytes, self.size_bytes - offset)

    def open(self) -> None:
        """Open the temporary file of an earlier run, or a new one.

        Raises:
            OSError: it cannot be written.
        """
        found = self.work.object
        facts = (self.work.source.url, self.work.source.bucket, found.key, found.etag, found.size_bytes)
        name = lasting_name(self.path, *facts, self.range_bytes) if found.etag else temporary_name(self.path)
        self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process downloads the same
            os.close(self._file)
            name = temporary_name(self.path)
            self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._temporary = name
        if os.fstat(self._file).st_size != self.size_bytes + self.count:
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, self.size_bytes + self.count)

    def begin(self) -> Steps[None]:
        """Queue the ranges that are missing."""
        self.run.unfinished[id(self)] = self._undo
        marks = os.pread(self._file, self.count, self.size_bytes)
        missing = [number for number in range(self.count) if marks[number : number + 1] != _DONE]
        if not missing:
            yield from self._finish()
            return
        self._queue(missing)

    def _queue(self, numbers: list[int]) -> None:
        self._left = len(numbers)
        for number in numbers:
            self.run.add(self._task(number), heavy=True)

    def _task(self, number: int) -> Task:
        def task(lane: Lane) -> Steps[None]:
            if not self.problem:
                try:
                    yield from self._fetch(lane, number)
                except (MediaplaneError, OSError) as error:
                    self.problem = self.problem or sentence_of(error)
            with self._lock:
                self._left -= 1
                last = not self._left
            if last:
                yield from self._finish()

        return task

    def _fetch(self, lane: Lane, number: int) -> Steps[None]:
        offset, count = self.range_of(number)
        headers = {"range": f"bytes={offset}-{offset + count - 1}"}
        if self.work.object.etag:
            headers["if-match"] = self.work.object.etag
        sink = FileSink(lane, self._file, offset, count, self.path)
        if self.expected.is_composite:
            sink.digest = self.expected.check.new()
        request = Request("GET", self.work.object.key, headers=headers, sink=sink, brake=self.run.pace)
        client = self.run.client(self.work.source)
        for tries_left in range(self.run.options.retries, -1, -1):
            try:
                yield from client.ask(request, lane)
                sink.confirm(self.work.object.key)
            except Damaged:
                if not tries_left:
                    raise
            else:
                break
        if sink.digest is not None:
            self._digests[number] = sink.digest.digest()
        os.pwrite(self._file, _DONE, self.size_bytes + number)
        self.run.moved(self.work, count)

    def _finish(self) -> Steps[None]:
        try:
            if not self.problem:
                yield from self._confirm()
                set_time_of(self._file, self.head, self.size_bytes)
                os.rename(self._temporary, self.path)  # noqa: PTH104
        except Damaged as error:
            os.pwrite(self._file, bytes(self.count), self.size_bytes)  # nothing of it can be continued
            if not self._damaged:
                self._damaged, self._digests = True, {}
                self._queue(list(range(self.count)))
                return
            self.problem = error.message
        except OSError as error:
            self.problem = sentence_of(error)
        self._undo()
        self.run.unfinished.pop(id(self), None)
        self.run.settle(self.work, error=self.problem)

    def _confirm(self) -> Steps[None]:
        """Compare with the checksum of the store; ranges that an earlier run fetched are read again for it.

        Raises:
            Damaged: other bytes came than are stored.
        """
        expected = self.expected
        if not expected.digest:
            return
        if expected.is_composite:
            for number in range(self.count):
                if number not in self._digests:
                    body = FileSlice(self._file, *self.range_of(number))
                    self._digests[number] = yield from expected.check.digest_of(body)
            came = expected.check.composite([self._digests[number] for number in range(self.count)])
        else:
            came = yield from expected.check.digest_of(FileSlice(self._file, 0, self.size_bytes))
        if came != expected.digest:
            raise Damaged(f"{self.work.object.key}: other bytes came than are stored")

    def _undo(self) -> None:
        """Close the temporary file, and keep it if something of it can be continued."""
        if self._file < 0:
            return
        keeps = _DONE in os.pread(self._file, self.count, self.size_bytes)
        os.close(self._file)
        self._file = -1
        if not keeps:
            Path(self._temporary).unlink(missing_ok=True)


def set_time_of(file: int, head: Answer, size_bytes: int) -> None:
    """Cut the marks off a whole file and give it the object's time."""
    os.ftruncate(file, size_bytes)
    set_time(file, head)
