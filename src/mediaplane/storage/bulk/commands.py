"""Bulk transfer as functions: what `mediaplane s3` does, from Python.

    from mediaplane.storage import bulk

    summary = bulk.copy("recordings/", "s3://bucket/in/", recursive=True, include=["*.mp4"])
    assert not summary.failed, summary.failures

Places are `s3://bucket/key` or local paths. Endpoint and keys come from the settings, else from the running
`mediaplane up`. All of them block; async callers run them in threads. Of each piece of work that fails the summary
says what and why; only what ends the whole is raised.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mediaplane.errors import InvalidPlace
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.bulk import remote
from mediaplane.storage.bulk.ahead import ahead
from mediaplane.storage.bulk.comparing import Compare
from mediaplane.storage.bulk.counting import Usage, count
from mediaplane.storage.bulk.filters import read_filter
from mediaplane.storage.bulk.places import (
    Endpoints,
    as_folder,
    find_endpoints,
    fixed_part,
    has_wildcard,
    read_bucket,
)
from mediaplane.storage.bulk.plan import Choice
from mediaplane.storage.bulk.requests import CopyRequest, RemoveRequest, Request, listed_side
from mediaplane.storage.bulk.streaming import put_stream
from mediaplane.storage.bulk.tally import Tally
from mediaplane.storage.bulk.work import Event, Found, Options, Report, Summary, Upload, Work
from mediaplane.storage.signing import S3Signer

if TYPE_CHECKING:  # dry runs and listings need no processes
    from mediaplane.storage.bulk.crew import Crew

PlaceName = str | Path


def copy(
    sources: PlaceName | Sequence[PlaceName],
    target: PlaceName,
    *,
    recursive: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    compare: Compare = Compare.TIME,
    literal: bool = False,
    follow_links: bool = True,
    dry_run: bool = False,
    options: Options | None = None,
    report: Report | None = None,
    endpoints: Endpoints | None = None,
    source_endpoints: Endpoints | None = None,
) -> Summary:
    """Copy files and objects; what is whole at the target is not sent again, as `compare` says.

    Raises:
        InvalidPlace: sources and target do not fit together.
        SettingInvalid: an endpoint's settings are missing or wrong.
        StorageError, AccessDenied: a bucket cannot be listed.
    """
    chosen = Choice(read_filter(include=include, exclude=exclude), compare, follow_links=follow_links, dry_run=dry_run)
    request = CopyRequest(_names(sources), str(target), recursive=recursive, literal=literal, choice=chosen)
    return carry_out([request], options, report, endpoints=endpoints, source_endpoints=source_endpoints)


def sync(
    source: PlaceName,
    target: PlaceName,
    *,
    delete: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    compare: Compare = Compare.TIME,
    follow_links: bool = True,
    dry_run: bool = False,
    options: Options | None = None,
    report: Report | None = None,
    endpoints: Endpoints | None = None,
    source_endpoints: Endpoints | None = None,
) -> Summary:
    """Bring a directory or prefix in step with another; with `delete` also remove what only the target has.

    Both sides are read as sorted streams, so memory does not grow with them. Raises as `copy`.
    """
    filters = read_filter(include=include, exclude=exclude)
    chosen = Choice(filters, compare, delete=delete, follow_links=follow_links, dry_run=dry_run)
    request = CopyRequest((str(source),), str(target), sync=True, choice=chosen)
    return carry_out([request], options, report, endpoints=endpoints, source_endpoints=source_endpoints)


def remove(
    places: PlaceName | Sequence[PlaceName],
    *,
    recursive: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    literal: bool = False,
    dry_run: bool = False,
    options: Options | None = None,
    report: Report | None = None,
    endpoints: Endpoints | None = None,
) -> Summary:
    """Remove objects and files. One object that is not there is no error: S3 does not say. Raises as `copy`."""
    chosen = Choice(read_filter(include=include, exclude=exclude), dry_run=dry_run)
    request = RemoveRequest(_names(places), recursive=recursive, literal=literal, choice=chosen)
    return carry_out([request], options, report, endpoints=endpoints)


def carry_out(
    requests: Iterable[Request],
    options: Options | None = None,
    report: Report | None = None,
    *,
    endpoints: Endpoints | None = None,
    source_endpoints: Endpoints | None = None,
    crew: "Crew | None" = None,
) -> Summary:
    """Carry out many requests as one transfer, in parallel and in no order. Raises as `copy`.

    `crew`: processes that help, of `engine.new_crew`, for callers that start threads of their own before this.
    """
    found = endpoints or find_endpoints()
    tally = Tally(report)
    planned = [(request, request.plan(source_endpoints or found, found, tally)) for request in requests]
    total = Summary()
    began = time.monotonic()
    for (dry_run, own), group in groupby(planned, key=lambda pair: (pair[0].choice.dry_run, pair[0].options)):
        work = ahead([pieces for _, pieces in group])
        if dry_run:
            for piece in work:
                tally.plan(piece)
        else:
            total.add(_run(work, own or options or Options(), tally, crew))
    total.seconds = time.monotonic() - began
    return tally.add_to(total)


def _run(work: Iterator[Work], options: Options, tally: Tally, crew: "Crew | None") -> Summary:
    from mediaplane.storage.bulk import engine  # threads, polls and checksums, for commands that move something

    return engine.run(work, options, tally.tell, crew=crew)


def upload_stream(
    file: BinaryIO,
    target: str,
    *,
    options: Options | None = None,
    report: Report | None = None,
    endpoints: Endpoints | None = None,
) -> Summary:
    """Store all that comes from `file` as one object.

    Raises:
        InvalidPlace: the target is no key.
        AccessDenied, StorageError: it was not stored.
    """
    place = read_bucket(target)
    if not place.key or place.key.endswith("/"):
        raise InvalidPlace(f"{target}: what comes from standard input needs a whole key")
    endpoint = (endpoints or find_endpoints()).of(place.bucket)
    began = time.monotonic()
    size_bytes = put_stream(endpoint, place.key, file, options or Options())
    if report is not None:
        report(Event(Upload(Path("-"), size_bytes, 0, endpoint, place.key), done=True, bytes_moved=size_bytes))
    return Summary(done=1, bytes_moved=size_bytes, seconds=time.monotonic() - began)


def read(place: str, *, start: int = 0, end: int | None = None, endpoints: Endpoints | None = None) -> Iterator[bytes]:
    """Yield the bytes of an object, or with a wildcard of all that match, one after the other.

    Raises:
        InvalidPlace: it is no key.
        ObjectNotFound: nothing is stored there.
        AccessDenied, StorageError: anything else.
    """
    named = read_bucket(place)
    endpoint = (endpoints or find_endpoints()).of(named.bucket)
    if not named.key or named.key.endswith("/"):
        raise InvalidPlace(f"{place} is a folder: name an object, or a pattern like '{place}*'")
    keys = [named.key]
    if has_wildcard(named.key):
        side = listed_side(endpoint, named.key)
        keys = [found.key for found in side.objects()]
    for key in keys:
        yield from remote.read(endpoint, key, start=start, end=end)


def ls(place: str, *, recursive: bool = False, endpoints: Endpoints | None = None) -> Iterator[Found | str]:
    """Yield objects, and as texts the folders directly below a prefix; with a wildcard the objects that match.

    Raises:
        InvalidPlace: it is not on S3.
        AccessDenied, StorageError: it cannot be listed.
    """
    named = read_bucket(place)
    endpoint = (endpoints or find_endpoints()).of(named.bucket)
    if has_wildcard(named.key):
        side = listed_side(endpoint, named.key)
        yield from side.objects()
    elif recursive:
        yield from remote.objects(endpoint, named.key)
    else:
        for page in remote.pages(endpoint, named.key):
            yield from page.folders
            yield from page.objects


def buckets(*, endpoints: Endpoints | None = None) -> list[str]:
    """Return the names of the buckets that the keys may see. Raises as `ls`."""
    found = endpoints or find_endpoints()
    return remote.buckets(found.of(found.settings.s3_bucket))


def usage(place: str, *, depth: int = 0, endpoints: Endpoints | None = None) -> Usage:
    """Count objects and bytes below a prefix, by storage class, and by its folders down to `depth`. Raises as `ls`."""
    named = read_bucket(place)
    endpoint = (endpoints or find_endpoints()).of(named.bucket)
    if has_wildcard(named.key):
        side = listed_side(endpoint, named.key)
        return count(side.objects(), side.prefix, depth=depth)
    return count(remote.objects(endpoint, named.key), as_folder(fixed_part(named.key)), depth=depth)


def presign(
    places: Iterable[str],
    *,
    method: str = "GET",
    expires: timedelta = timedelta(hours=1),
    endpoints: Endpoints | None = None,
) -> Iterator[str]:
    """Yield a URL for each `s3://bucket/key`, good for one method until it expires; asks no server.

    Raises:
        InvalidPlace: a place is no key, or the method none of GET, HEAD, PUT.
        SettingInvalid: temporary keys have ended.
    """
    found = endpoints or find_endpoints()
    signers: dict[str, Callable[[ObjectKey], str]] = {}
    for place in places:
        named = read_bucket(place)
        if not named.key:
            raise InvalidPlace(f"{place} is a bucket: name an object")
        if named.bucket not in signers:
            signer = S3Signer(found.of(named.bucket), lifetime=expires, window=timedelta(seconds=1))
            methods = {"GET": signer.sign_get, "HEAD": signer.sign_head, "PUT": signer.sign_any_put}
            if method not in methods:
                raise InvalidPlace(f"a URL is signed for GET, HEAD or PUT, not {method}")
            signers[named.bucket] = methods[method]
        yield signers[named.bucket](ObjectKey(named.key))


def _names(places: PlaceName | Sequence[PlaceName]) -> tuple[str, ...]:
    return (str(places),) if isinstance(places, str | Path) else tuple(str(place) for place in places)
