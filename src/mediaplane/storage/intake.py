"""What a store offers to clients that write straight to it: signed writes, and uploads in parts.

Two implementations: `S3Intake` (the bucket does it) and `LocalIntake` (the gateway does it, with signed links). An
upload in parts has a reference that the store knows it by; parts may come in any order, again, and from many sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.signing import SignedForm

# Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits"
MAX_PARTS = 10_000
MIN_PART_BYTES = 5 << 20
MAX_PART_BYTES = 5 << 30
MAX_PUT_BYTES = 5 << 30
_SUGGESTED_PART_BYTES = 16 << 20

SIGNING_WINDOW = timedelta(minutes=1)  # URLs signed within it share their time, so a batch costs little


@dataclass(frozen=True, slots=True)
class Checksums:
    """What the client said the bytes are, in hexadecimal; empty: not said."""

    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True, slots=True)
class SignedPut:
    """A URL for one PUT; the client sends exactly these headers."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One part that is in the store."""

    number: int
    size_bytes: int
    etag: str
    modified_at: datetime


class Intake(Protocol):
    """Every method but the signing ones may raise `StorageError` and `AccessDenied`."""

    @property
    def takes_forms(self) -> bool: ...
    @property
    def proves(self) -> frozenset[str]: ...  # which checksums it compares itself with what a signed PUT brings
    @property
    def writes_once(self) -> bool: ...  # whether it refuses a second PUT with the same URL
    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str, checksums: Checksums) -> SignedPut: ...
    def sign_form(self, key: ObjectKey, *, largest_bytes: int, content_type: str) -> SignedForm: ...
    def sign_part(self, key: ObjectKey, ref: str, *, number: int, size_bytes: int | None) -> str: ...
    async def begin(self, key: ObjectKey, *, content_type: str) -> str: ...
    async def parts(self, key: ObjectKey, ref: str) -> list[Part]: ...  # all writes, by number; ObjectNotFound: ended
    # PartsInvalid: others are there; ObjectNotFound: ended. What was joined may be joined again without an error.
    async def join(self, key: ObjectKey, ref: str, parts: Sequence[Part]) -> None: ...
    async def abort(self, key: ObjectKey, ref: str) -> None: ...  # one that has ended already is no error


def plan_part_bytes(size_bytes: int) -> int:
    """Return the size of every part but the last: equal, as R2 wants them, few enough, and in whole MiB."""
    needed = -(-size_bytes // MAX_PARTS)
    return max(_SUGGESTED_PART_BYTES, -(-needed // (1 << 20)) << 20)


def newest(parts: Sequence[Part]) -> dict[int, Part]:
    """Return the part that counts for each number: SeaweedFS lists every write of one, the last of them counts."""
    return {part.number: part for part in sorted(parts, key=lambda part: (part.number, part.modified_at))}
