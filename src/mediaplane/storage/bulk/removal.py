"""What cut-off transfers left behind: multipart uploads that nobody finishes, temporary files of downloads."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mediaplane.errors import InvalidPlace, MediaplaneError
from mediaplane.storage.bulk.places import Endpoints, LocalPlace, S3Place, find_endpoints, has_wildcard, read_place
from mediaplane.storage.bulk.remote import client_of
from mediaplane.storage.bulk.tally import Tally
from mediaplane.storage.bulk.work import Abort, Delete, Report, Summary, is_unfinished
from mediaplane.storage.replies import Unfinished

_ABORTS_AT_ONCE = 16


def remove_incomplete(
    places: tuple[str, ...],
    *,
    older_than: timedelta = timedelta(0),
    dry_run: bool = False,
    report: Report | None = None,
    endpoints: Endpoints | None = None,
) -> Summary:
    """Abort the multipart uploads below prefixes, and remove temporary files below directories.

    S3 does not tell whether an upload is still being written: `older_than` spares those begun later. A temporary
    file that a download is writing is locked, and spared.

    Raises:
        InvalidPlace: a place is neither.
        AccessDenied, StorageError: uploads cannot be listed.
    """
    tally, began = Tally(report), time.monotonic()
    before = datetime.now(UTC) - older_than
    for written in places:
        place = read_place(written)
        if isinstance(place, S3Place):
            _abort_uploads(place, endpoints or find_endpoints(), before, tally, dry_run=dry_run)
        elif isinstance(place, LocalPlace) and place.path.is_dir():
            for path in _temporaries(place.path, before):
                _remove_temporary(path, tally, dry_run=dry_run)
        else:
            raise InvalidPlace(f"{written}: uploads are looked for below s3://bucket/prefix, files below a directory")
    return tally.add_to(Summary(seconds=time.monotonic() - began))


def _abort_uploads(place: S3Place, endpoints: Endpoints, before: datetime, tally: Tally, *, dry_run: bool) -> None:
    if has_wildcard(place.key):
        raise InvalidPlace(f"{place}: uploads are looked for below a prefix, without `*`")
    endpoint = endpoints.of(place.bucket)
    client = client_of(endpoint)

    def abort(upload: Unfinished) -> None:
        work = Abort(endpoint, upload.key, upload.upload_id)
        if dry_run:
            tally.plan(work)
            return
        try:
            client.abort(upload.key, upload.upload_id)
        except MediaplaneError as error:
            tally.refuse(f"s3://{endpoint.bucket}/{upload.key} (upload {upload.upload_id})", error.message)
        else:
            tally.finish(work)

    # all are found first: a listing that is changed while it is read may leave some out
    found = [upload for upload in client.list_multipart(place.key) if upload.began_at <= before]
    with ThreadPoolExecutor(_ABORTS_AT_ONCE, "abort") as threads:
        for _ in threads.map(abort, found):
            pass


def _temporaries(root: Path, before: datetime) -> Iterator[tuple[Path, int]]:
    """Yield path and size of every temporary file below a directory; links are not followed."""
    for folder, _, names in os.walk(root):
        for name in filter(is_unfinished, names):
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime <= before.timestamp() + 1:
                yield path, status.st_size


def _remove_temporary(found: tuple[Path, int], tally: Tally, *, dry_run: bool) -> None:
    path, size_bytes = found
    work = Delete(None, str(path), size_bytes)
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if dry_run:
                tally.plan(work)
                return
            path.unlink()
    except BlockingIOError:
        return  # a download is writing it
    except OSError as error:
        tally.refuse(str(path), f"it cannot be removed: {error.strerror}")
    else:
        tally.finish(work)
