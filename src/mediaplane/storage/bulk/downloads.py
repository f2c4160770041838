"""Objects that become files: under a temporary name beside the target, renamed when whole.

Nothing is synced to the disk: that would cost more than the transfer. After a crash of the machine a file may be
shorter than its object; `sync` sees that by the size and fetches it again.
"""

import os
from pathlib import Path

from mediaplane.storage.bulk.checks import Damaged, confirm_came
from mediaplane.storage.bulk.lane import Lane
from mediaplane.storage.bulk.multipart import part_bytes_of
from mediaplane.storage.bulk.names import set_time, temporary_name
from mediaplane.storage.bulk.ranges import begin_ranges
from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.sinks import FileSink
from mediaplane.storage.bulk.work import Download
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import Answer, Request
from mediaplane.storage.wire import Client

SMALL_BYTES = 256 << 10  # up to here an object is held in memory and written in one go


def download(run: Run, lane: Lane, work: Download) -> Steps[int | None]:
    """Fetch an object and return its size; None where ranges were begun, which report by themselves.

    Raises:
        OSError: the file cannot be written.
        StorageError: the object has changed, or comes damaged after all retries.
        MediaplaneError: as `Client.ask`.
    """
    client, size = run.client(work.source), work.object.size_bytes
    path = os.fspath(work.path)
    run.make_folder(path)
    if size <= SMALL_BYTES:
        body, answer = yield from fetch_small(run, lane, client, work)
        _write_file(path, body, answer)
        return size
    if size > part_bytes_of(run.options, client.provider, 0):
        yield from begin_ranges(run, lane, work)
        return None
    yield from _fetch_to_file(run, lane, client, work, path)
    return size


def request_of(run: Run, client: Client, work: Download) -> Request:
    """Return the request for a whole object, bound to the one that was listed."""
    headers = {}
    if run.options.verify and client.provider.checksum_trailers:
        headers["x-amz-checksum-mode"] = "ENABLED"
    if work.object.etag:
        headers["if-match"] = work.object.etag
    return Request("GET", work.object.key, headers=headers, brake=run.pace)


def fetch_small(run: Run, lane: Lane, client: Client, work: Download) -> Steps[tuple[bytes, Answer]]:
    """Return an object's bytes and the answer they came in.

    Raises:
        Damaged: other bytes came than are stored, after all retries.
        MediaplaneError: as `Client.ask`.
    """
    found, request = work.object, request_of(run, client, work)
    for tries_left in range(run.options.retries, -1, -1):
        answer = yield from client.ask(request, lane)
        body = answer.body
        try:
            if len(body) != found.size_bytes:
                raise Damaged(f"{found.key}: {len(body)} bytes came, {found.size_bytes} are stored")
            if run.options.verify:
                confirm_came(found.key, body, answer)
        except Damaged:
            if not tries_left:
                raise
        else:
            break
    return body, answer


def _write_file(path: str, body: bytes, answer: Answer) -> None:
    """Write a file in one go, with the object's time."""
    temporary = temporary_name(path)
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            written = os.write(file, body)
            while written < len(body):
                written += os.write(file, body[written:])
            set_time(file, answer)
        finally:
            os.close(file)
        os.rename(temporary, path)  # noqa: PTH104 a Path costs as much as the call
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _fetch_to_file(run: Run, lane: Lane, client: Client, work: Download, path: str) -> Steps[None]:
    """Fetch an object of a few megabytes by one GET; its memory is the lane's."""
    temporary, request = temporary_name(path), request_of(run, client, work)
    file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            sink = FileSink(lane, file, 0, work.object.size_bytes, path, checks=run.options.verify)
            request.sink = sink
            for tries_left in range(run.options.retries, -1, -1):
                try:
                    answer = yield from client.ask(request, lane)
                    sink.confirm(work.object.key)
                except Damaged:
                    if not tries_left:
                        raise
                else:
                    break
            set_time(file, answer)
        finally:
            os.close(file)
        os.rename(temporary, path)  # noqa: PTH104
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
