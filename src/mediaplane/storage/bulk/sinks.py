"""Where the bytes of an answer go: a place in an open file."""

import os

from mediaplane.errors import StorageError
from mediaplane.storage.bulk.checks import CRC32_HEADER, Damaged, md5_of
from mediaplane.storage.bulk.digests import Crc32, Digest, decode, new_md5
from mediaplane.storage.bulk.lane import Lane
from mediaplane.storage.exchange import Answer


class FileSink:
    """Writes `count` bytes of an object from `offset` on, in the file at `file_offset`, with their digest.

    The digest is `digest` where the caller knows what to compare it with; else, with `checks`, the one that the
    answer's headers have.
    """

    def __init__(
        self,
        lane: Lane,
        file: int,
        offset: int,
        count: int,
        path: str,
        *,
        checks: bool = False,
        file_offset: int | None = None,
    ) -> None:
        self.space = lane.scratch
        self.digest: Digest | None = None
        self._file, self._offset, self._count, self._path = file, offset, count, path
        self._file_offset = offset if file_offset is None else file_offset
        self._checks = checks
        self._stored = b""
        self.written = 0

    def begin(self, answer: Answer) -> None:
        """Start from the first byte: a repeated request brings them all again."""
        if answer.status == 206 and not answer.header("content-range").startswith(f"bytes {self._offset}-"):
            raise Damaged(f"{self._path}: the store sent another range than was asked for")
        if answer.status == 200 and self._offset:
            raise StorageError(f"{self._path}: the store does not send ranges", retryable=False)
        self.written = 0
        if self._checks:
            self._choose_digest(answer)
        elif self.digest is not None:
            self.digest = type(self.digest)() if isinstance(self.digest, Crc32) else new_md5()

    def _choose_digest(self, answer: Answer) -> None:
        if stored := decode(answer.header(CRC32_HEADER), 4):
            self._stored, self.digest = stored, Crc32()
        elif stored := md5_of(answer):
            self._stored, self.digest = stored, new_md5()

    def write(self, data: memoryview) -> None:
        """Write what has come.

        Raises:
            StorageError: the file cannot be written, or more comes than was asked for.
        """
        if self.written + len(data) > self._count:
            raise Damaged(f"{self._path}: more bytes came than are stored")
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._file_offset + self.written + done)
        except OSError as error:
            raise StorageError(f"{self._path}: it cannot be written: {error.strerror}", retryable=False) from error
        if self.digest is not None:
            self.digest.update(data)
        self.written += len(data)

    def confirm(self, what: str) -> None:
        """Return if all bytes came, and were those that are stored.

        Raises:
            Damaged: they were not.
        """
        if self.written != self._count:
            raise Damaged(f"{what}: {self.written} bytes came, {self._count} are stored")
        if self._stored and self.digest is not None and self.digest.digest() != self._stored:
            raise Damaged(f"{what}: other bytes came than are stored")
