"""What a bulk transfer is made of: pieces of work, what became of them, and the options for all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mediaplane.storage.endpoint import S3Endpoint


@dataclass(frozen=True, slots=True)
class Found:
    """One object of a listing; unlike an `ObjectKey` its key may be any that S3 allows."""

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime  # UTC
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that becomes an object."""

    path: Path
    size_bytes: int
    mtime_ns: int
    target: S3Endpoint
    key: str


@dataclass(frozen=True, slots=True)
class Download:
    """An object that becomes a file: under a temporary name, renamed when whole."""

    source: S3Endpoint
    object: Found
    path: Path


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


Work = Upload | Download | Copy | Delete


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

    work: Work
    done: bool
    bytes_moved: int  # since the last event of this work
    error: str = ""  # a sentence; empty: it is whole
    skipped: bool = False  # it was whole already


Report = Callable[[Event], None]


@dataclass(slots=True)
class Summary:
    """What was done in all; `failures` holds at most `KEPT_FAILURES` of the `failed`."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_moved: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)  # what, why


KEPT_FAILURES = 10_000
