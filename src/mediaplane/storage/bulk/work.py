"""What a bulk transfer is made of: pieces of work, what became of them, and the options for all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.found import Found as Found  # noqa: PLC0414 also made by `wire.Client.list_pages`

UNFINISHED_ENDING = ".mediaplane-part"  # of a download's temporary, `.{name or its beginning}.{random}` + this


def is_unfinished(name: str) -> bool:
    """Return whether a file's name is that of a download that is being written, or was cut off."""
    return name.endswith(UNFINISHED_ENDING) and name.startswith(".")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that becomes an object."""

    path: str | Path  # a Path costs as much as opening the file
    size_bytes: int
    mtime_ns: int
    target: S3Endpoint
    key: str


@dataclass(frozen=True, slots=True)
class Download:
    """An object that becomes a file: under a temporary name, renamed when whole."""

    source: S3Endpoint
    object: Found
    path: str | Path


@dataclass(frozen=True, slots=True)
class Copy:
    """An object that becomes another: by the server where both are on one endpoint, else through this process."""

    source: S3Endpoint
    object: Found
    target: S3Endpoint
    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    """An object, or a local file (`target` None), that is removed."""

    target: S3Endpoint | None
    key: str  # or the file's path
    size_bytes: int = 0


Move = Upload | Download | Copy
Work = Move | Delete


@dataclass(frozen=True, slots=True)
class Abort:
    """A multipart upload that nobody finishes, and its parts; removed by `removal.py`, not by the engine."""

    target: S3Endpoint
    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What never became work: a key that may not be a file here, a file that cannot be read. The event says why."""

    what: str


@dataclass(frozen=True, slots=True)
class Options:
    """How the work is done."""

    verify: bool = True  # checksums both ways
    workers: int = 0  # requests at once; 0: finds its own level
    bytes_per_second: int = 0  # 0: no limit
    retries: int = 5  # of one request, with backoff
    part_bytes: int = 0  # of multipart transfers; 0: chosen by size and provider
    content_type: str = ""  # empty: guessed by the name
    storage_class: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one piece of work, or how far a long one is (`done` False)."""

    work: Work | Refused | Abort
    done: bool
    bytes_moved: int  # since the last event of this work
    error: str = ""  # a sentence; empty: it is whole
    skipped: bool = False  # it was whole already
    planned: bool = False  # a dry run: it would be done


Report = Callable[[Event], None]


@dataclass(slots=True)
class Summary:
    """What was done in all; `failures` holds at most `KEPT_FAILURES` of the `failed`."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    planned: int = 0  # by a dry run
    bytes_moved: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)  # what, why

    def add(self, other: "Summary") -> None:
        """Count what another run did; times are not added up."""
        self.done += other.done
        self.skipped += other.skipped
        self.failed += other.failed
        self.planned += other.planned
        self.bytes_moved += other.bytes_moved
        self.failures += other.failures


KEPT_FAILURES = 10_000
