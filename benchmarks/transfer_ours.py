"""Ours in `make bench-transfer`: one piece of work through the Python interface, as a process of its own.

`python -m benchmarks.transfer_ours WORK FROM TO PROVIDER VERIFY`, the endpoint from the environment.
"""

import os
import sys
from collections.abc import Iterator

from mediaplane.storage.bulk.engine import run
from mediaplane.storage.bulk.work import Copy, Delete, Download, Options, Upload, Work
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.wire import Client


def main() -> None:
    """Do the work; exit 1 if anything failed."""
    work, source, target, provider, verify = sys.argv[1:6]
    endpoint = S3Endpoint(
        os.environ["S3_ENDPOINT"],
        os.environ["S3_BUCKET"],
        os.environ["S3_ACCESS_KEY_ID"],
        os.environ["S3_SECRET_ACCESS_KEY"],
        provider_name=provider,
    )
    if work == "list":
        sys.stdout.writelines(f"{found.size_bytes} {found.key}\n" for found in Client(endpoint).list_all(source))
        return
    pieces = {"up": _up, "down": _down, "copy": _copy, "delete": _delete}[work](endpoint, source, target)
    summary = run(pieces, Options(verify=verify == "on"))
    if summary.failed:
        raise SystemExit(f"{summary.failed} failed: {summary.failures[:3]}")


def _up(endpoint: S3Endpoint, source: str, target: str) -> Iterator[Work]:
    with os.scandir(source) as entries:
        for entry in entries:
            status = entry.stat()
            yield Upload(entry.path, status.st_size, status.st_mtime_ns, endpoint, target + entry.name)


def _down(endpoint: S3Endpoint, source: str, target: str) -> Iterator[Work]:
    for found in Client(endpoint).list_all(source):
        yield Download(endpoint, found, target + found.key[len(source) :])


def _copy(endpoint: S3Endpoint, source: str, target: str) -> Iterator[Work]:
    for found in Client(endpoint).list_all(source):
        yield Copy(endpoint, found, endpoint, target + found.key[len(source) :])


def _delete(endpoint: S3Endpoint, source: str, _: str) -> Iterator[Work]:
    for found in Client(endpoint).list_all(source):
        yield Delete(endpoint, found.key, found.size_bytes)


if __name__ == "__main__":
    main()
