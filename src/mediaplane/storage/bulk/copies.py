"""Objects that become other objects: by the server where both are on one endpoint, else through this process."""

from pathlib import Path
from typing import IO

from mediaplane.storage.bulk.checks import Damaged, is_encrypted
from mediaplane.storage.bulk.digests import md5_of_etag
from mediaplane.storage.bulk.downloads import SMALL_BYTES, fetch_small, request_of
from mediaplane.storage.bulk.lane import Lane
from mediaplane.storage.bulk.multipart import Parts, SentPart, copy_part, part_bytes_of, put_part
from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.sinks import FileSink
from mediaplane.storage.bulk.uploads import put_whole
from mediaplane.storage.bulk.work import Copy, Download
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import Answer, FileSlice, Request
from mediaplane.storage.replies import text_of
from mediaplane.storage.sigv4 import quote_key

COPY_LIMIT_BYTES = 5 << 30  # Source: Amazon S3 API Reference, CopyObject
COPY_PART_BYTES = 512 << 20
_KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_SERVER_SECONDS = 900.0


def copy(run: Run, lane: Lane, work: Copy) -> Steps[int | None]:
    """Copy an object and return its size; None where parts were begun, which report by themselves.

    Raises:
        MediaplaneError: as `Client.ask`; also when the source has changed meanwhile.
    """
    if _on_one_server(work):
        if work.object.size_bytes > COPY_LIMIT_BYTES:
            yield from _copy_parts(run, lane, work)
            return None
        return (yield from _copy_whole(run, lane, work))
    if work.object.size_bytes > part_bytes_of(run.options, work.target.provider, 0):
        yield from _move_parts(run, lane, work)
        return None
    return (yield from _move_whole(run, lane, work))


def _on_one_server(work: Copy) -> bool:
    ours, theirs = work.target, work.source
    return (ours.url, ours.access_key_id) == (theirs.url, theirs.access_key_id)


def _copy_whole(run: Run, lane: Lane, work: Copy) -> Steps[int]:
    client, options = run.client(work.target), run.options
    headers = _source_headers(work)
    if options.storage_class:
        headers["x-amz-storage-class"] = options.storage_class
    if options.content_type or options.metadata:  # the server keeps either all of the old ones or none
        headers |= yield from _headers_of_source(run, lane, work)
        headers["x-amz-metadata-directive"] = "REPLACE"
    request = Request("PUT", work.key, headers=headers, unsigned=True, patience=_SERVER_SECONDS)
    answer = yield from client.ask(request, lane)
    etag = text_of(answer.body, "ETag")
    theirs, ours = md5_of_etag(work.object.etag), md5_of_etag(etag)
    if options.verify and theirs and ours and theirs != ours and not is_encrypted(answer):
        raise Damaged(f"{work.key}: the copy has other bytes than the original")
    return work.object.size_bytes


def _source_headers(work: Copy) -> dict[str, str]:
    headers = {"x-amz-copy-source": f"/{work.source.bucket}/{quote_key(work.object.key)}"}
    if work.object.etag:
        headers["x-amz-copy-source-if-match"] = work.object.etag
    return headers


def _copy_parts(run: Run, lane: Lane, work: Copy) -> Steps[None]:
    headers = yield from _headers_of_source(run, lane, work)
    source = _source_headers(work)

    def send(on: Lane, parts: Parts, number: int) -> Steps[SentPart]:
        return copy_part(on, parts, number, source)

    parts = Parts(run, work, work.object.size_bytes, COPY_PART_BYTES, headers, send)
    yield from parts.begin(lane)


def _headers_of_source(run: Run, lane: Lane, work: Copy) -> Steps[dict[str, str]]:
    request = Request("HEAD", work.object.key, headers={"if-match": work.object.etag} if work.object.etag else {})
    answer = yield from run.client(work.source).ask(request, lane)
    return _kept_headers(run, answer)


def _kept_headers(run: Run, answer: Answer) -> dict[str, str]:
    """Return what a copy made by us keeps of its original."""
    headers = {name: value for name in _KEPT if (value := answer.header(name))}
    headers |= {f"x-amz-meta-{name}": value for name, value in answer.headers("x-amz-meta-").items()}
    options = run.options
    if options.content_type:
        headers["content-type"] = options.content_type
    if options.storage_class:
        headers["x-amz-storage-class"] = options.storage_class
    return headers | {f"x-amz-meta-{name.lower()}": value for name, value in options.metadata.items()}


def _move_whole(run: Run, lane: Lane, work: Copy) -> Steps[int]:
    """Fetch an object and store it elsewhere; a larger one goes through a file that has no name."""
    client = run.client(work.source)
    fetched = Download(work.source, work.object, Path(work.key))
    if work.object.size_bytes <= SMALL_BYTES:
        body, answer = yield from fetch_small(run, lane, client, fetched)
        yield from put_whole(run, lane, work, body, _kept_headers(run, answer))
        return len(body)
    with _nameless_file() as file:
        request = request_of(run, client, fetched)
        answer = yield from _fetch_into(run, lane, request, work, file.fileno(), extent=(0, work.object.size_bytes))
        body_slice = FileSlice(file.fileno(), 0, work.object.size_bytes)
        yield from put_whole(run, lane, work, body_slice, _kept_headers(run, answer))
    return work.object.size_bytes


def _nameless_file() -> IO[bytes]:
    from tempfile import TemporaryFile  # copies between two servers are rare, and it takes a while to load

    return TemporaryFile()


def _move_parts(run: Run, lane: Lane, work: Copy) -> Steps[None]:
    headers = yield from _headers_of_source(run, lane, work)

    def send(on: Lane, parts: Parts, number: int) -> Steps[SentPart]:
        return _move_part(on, parts, number, work)

    size = work.object.size_bytes
    parts = Parts(run, work, size, part_bytes_of(run.options, work.target.provider, size), headers, send)
    yield from parts.begin(lane)


def _move_part(lane: Lane, parts: Parts, number: int, work: Copy) -> Steps[SentPart]:
    offset, count = parts.range_of(number)
    headers = {"range": f"bytes={offset}-{offset + count - 1}"}
    if work.object.etag:
        headers["if-match"] = work.object.etag
    with _nameless_file() as file:
        request = Request("GET", work.object.key, headers=headers, brake=parts.run.pace)
        yield from _fetch_into(parts.run, lane, request, work, file.fileno(), extent=(offset, count))
        return (yield from put_part(lane, parts, number, FileSlice(file.fileno(), 0, count)))


def _fetch_into(
    run: Run, lane: Lane, request: Request, work: Copy, file: int, *, extent: tuple[int, int]
) -> Steps[Answer]:
    """Fetch a part of an object into an open file, from the file's beginning."""
    offset, count = extent
    whole = count == work.object.size_bytes
    sink = FileSink(lane, file, offset, count, work.object.key, checks=run.options.verify and whole, file_offset=0)
    request.sink = sink
    for tries_left in range(run.options.retries, -1, -1):
        try:
            answer = yield from run.client(work.source).ask(request, lane)
            sink.confirm(work.object.key)
        except Damaged:
            if not tries_left:
                raise
        else:
            break
    return answer
