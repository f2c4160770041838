"""Files that become objects: by one PUT each, or by parts (`multipart.py`)."""

import os

from mediaplane.errors import MediaplaneError, StorageError
from mediaplane.storage.bulk.checks import Check, Damaged
from mediaplane.storage.bulk.digests import encode
from mediaplane.storage.bulk.lane import Lane
from mediaplane.storage.bulk.multipart import Parts, SentPart, continue_upload, part_bytes_of, put_part
from mediaplane.storage.bulk.names import MD5, object_headers
from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.work import Copy, Upload
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import FileSlice, Request

SMALL_BYTES = 256 << 10  # up to here a file is read whole; above it is hashed in blocks and sent from the page cache


def upload(run: Run, lane: Lane, work: Upload) -> Steps[int | None]:
    """Store a file and return its size; None where parts were begun, which report by themselves.

    Raises:
        OSError: it cannot be read.
        StorageError: it changed meanwhile, or the store has something else after all retries.
        MediaplaneError: as `Client.ask`.
    """
    file = os.open(work.path, os.O_RDONLY | os.O_CLOEXEC)
    kept = False
    try:
        status = os.fstat(file)
        size, headers = status.st_size, object_headers(run.options, work.key, status.st_mtime_ns)
        if size <= SMALL_BYTES:
            body = os.read(file, size + 1)
            if len(body) != size:
                raise StorageError(f"{work.path} changed while it was read: upload it again")
            yield from put_whole(run, lane, work, body, headers)
            return size
        if size > part_bytes_of(run.options, work.target.provider, 0):
            yield from _begin_parts(run, lane, work, file, status, headers=headers)
            kept = True
            return None
        yield from put_whole(run, lane, work, FileSlice(file, 0, size), headers)
        if changed(file, status):
            raise StorageError(f"{work.path} changed while it was read: upload it again")
        return size
    finally:
        if not kept:
            os.close(file)


def changed(file: int, before: os.stat_result) -> bool:
    """Tell whether an open file is another than it was."""
    now = os.fstat(file)
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def put_whole(
    run: Run, lane: Lane, work: Upload | Copy, body: bytes | FileSlice, headers: dict[str, str]
) -> Steps[None]:
    """Store a body by one PUT, guarded by a checksum and compared with what the store says it has.

    Raises:
        Damaged: the store has something else after all retries.
        MediaplaneError: as `Client.ask`.
    """
    client = run.client(work.target)
    request = Request("PUT", work.key, headers=headers, body=body, unsigned=True, brake=run.pace)
    if not run.options.verify:
        yield from client.ask(request, lane)
        return
    check = Check(client.provider)
    digest = yield from check.digest_of(body)
    headers.update(check.headers(digest))
    if not check.is_crc32:
        headers[MD5] = encode(digest)
    is_damaged = False
    try:
        for tries_left in range(run.options.retries, -1, -1):
            answer = yield from client.ask(request, lane)
            try:
                check.confirm_sent(work.key, digest, answer)
            except Damaged:
                is_damaged = True
                if not tries_left:
                    raise
            else:
                return
    except MediaplaneError:
        if is_damaged:  # by this try or one before: it would pass for what was sent, as size and time fit
            yield from client.ask_delete(work.key, lane)
        raise


def _begin_parts(
    run: Run, lane: Lane, work: Upload, file: int, status: os.stat_result, *, headers: dict[str, str]
) -> Steps[None]:
    """Begin, or continue, a multipart upload; from here on it owns the open file."""

    def send(on: Lane, parts: Parts, number: int) -> Steps[SentPart]:
        return put_part(on, parts, number, FileSlice(file, *parts.range_of(number)))

    def confirm() -> None:
        if changed(file, status):
            raise StorageError(f"{work.path} changed while it was read: upload it again")

    part_bytes = part_bytes_of(run.options, work.target.provider, status.st_size)
    parts = Parts(run, work, status.st_size, part_bytes, headers, send, confirm, lambda: os.close(file))
    yield from continue_upload(lane, parts, file, status.st_mtime)
    yield from parts.begin(lane)
