"""What an upload brought is looked at before anybody says yes: all of it there, what it was said to be, and still so.

Everything is asked of the store. A client's word counts only for what it is to be compared with.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mediaplane.catalog.direct_uploads import PARTS, PUT, DirectUpload
from mediaplane.errors import (
    ChecksumMismatch,
    ObjectNotFound,
    PartsInvalid,
    UploadChanged,
    UploadIncomplete,
    UploadTooLarge,
    UploadTypeRefused,
)
from mediaplane.media.types import HEAD_BYTES, UNKNOWN, agrees, is_allowed, real_type
from mediaplane.storage.intake import MAX_PARTS, Intake, Part, newest
from mediaplane.storage.open import OpenStore
from mediaplane.storage.store import Look, ObjectInfo, ObjectStore

SMALL_BYTES = 1 << 20  # read whole, as it costs the same request, so that the same bytes are known again
_UNTHREADED_BYTES = 1 << 16  # hashing so many takes as long as having a thread do it


@dataclass(frozen=True, slots=True)
class SaidPart:
    """A part as the client names it when it completes an upload."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What is in the store, and what it is."""

    info: ObjectInfo
    content_type: str  # by its first bytes
    digest: str | None  # sha256:…, where all of it was read or the store compared it


async def verify(
    upload: DirectUpload,
    opened: OpenStore,
    said: Sequence[SaidPart] | None,
    *,
    largest_bytes: int,
    types: Sequence[str],
) -> Verified:
    """Return what the upload brought; parts are joined first, which cannot be undone.

    Costs one GET of the first bytes and one HEAD after it; with a checksum that the store does not compare itself all
    bytes are read in between, unless those were all.

    Raises:
        UploadIncomplete: bytes are missing; they may still come.
        PartsInvalid: `said` is not what the store has.
        UploadTooLarge, UploadTypeRefused, ChecksumMismatch: it is not to be taken, now or later.
        UploadChanged: somebody replaced it meanwhile.
        StorageError, AccessDenied: the store failed.
    """
    if upload.way == PARTS:
        await _join(upload, opened.intake, said, largest_bytes=largest_bytes)
    seen = await _look(upload, opened.store)
    info = seen.info
    if info.size_bytes == 0 or (upload.size_bytes is not None and info.size_bytes != upload.size_bytes):
        raise UploadIncomplete(_short(upload, info.size_bytes))
    if info.size_bytes > largest_bytes:
        raise UploadTooLarge(f"{info.size_bytes} bytes came, at most {largest_bytes} are taken")
    content_type = real_type(seen.head[:HEAD_BYTES])
    check_type(content_type, upload.content_type, types)
    digest = await _read_whole(upload, opened.store, seen) if _must_be_read(upload, opened, info) else upload.digest
    if await _stat(upload, opened.store) != info:
        raise UploadChanged("the bytes were replaced while they were verified: complete the upload again")
    return Verified(info, content_type, digest)


def is_small(upload: DirectUpload) -> bool:
    """Return whether one look shows all bytes that the upload may bring."""
    return upload.way != PARTS and upload.size_bytes is not None and upload.size_bytes <= SMALL_BYTES


def check_type(found: str, said: str, types: Sequence[str]) -> None:
    """Return if bytes of type `found` may be taken as `said`.

    Raises:
        UploadTypeRefused: they are something else, or nobody knows what.
    """
    if found == UNKNOWN and is_allowed(UNKNOWN, types):
        return
    if not is_allowed(found, types) or not agrees(said, found):
        what = "nothing that is known" if found == UNKNOWN else found
        raise UploadTypeRefused(f"the file was said to be {said}, but its first bytes are {what}")


def choose_parts(upload: DirectUpload, there: Sequence[Part], said: Sequence[SaidPart] | None) -> list[Part]:
    """Return the parts to join, in their order, whatever order they came or are named in.

    Raises:
        UploadIncomplete: parts are missing or short.
        PartsInvalid: `said` names others than the store has.
    """
    chosen = newest(there) if said is None else _named(there, said)
    if not chosen:
        raise UploadIncomplete("no part has arrived")
    numbers = range(1, (upload.part_count or max(chosen)) + 1)
    wrong = [number for number in numbers if number not in chosen or _is_short(upload, chosen[number])]
    if wrong:
        shown = ", ".join(str(number) for number in wrong[:10]) + (", …" if len(wrong) > 10 else "")
        raise UploadIncomplete(f"{len(wrong)} of {len(numbers)} parts are missing or short: {shown}")
    if max(chosen) > len(numbers):
        raise PartsInvalid(f"there are {len(numbers)} parts, not {max(chosen)}")
    return [chosen[number] for number in numbers]


async def _join(upload: DirectUpload, intake: Intake, said: Sequence[SaidPart] | None, *, largest_bytes: int) -> None:
    """Join the parts; nothing to do where that was done before and only the answer was lost."""
    if upload.store_ref is None:
        raise UploadIncomplete("no part has arrived")
    try:
        parts = choose_parts(upload, await intake.parts(upload.object_key, upload.store_ref), said)
        size_bytes = sum(part.size_bytes for part in parts)
        if size_bytes > largest_bytes:
            raise UploadTooLarge(f"{size_bytes} bytes came, at most {largest_bytes} are taken")
        if upload.size_bytes is not None and size_bytes != upload.size_bytes:
            raise UploadIncomplete(_short(upload, size_bytes))
        await intake.join(upload.object_key, upload.store_ref, parts)
    except ObjectNotFound:
        return  # joined already, or gone: the object tells


def _named(there: Sequence[Part], said: Sequence[SaidPart]) -> dict[int, Part]:
    if len(said) > MAX_PARTS or any(not 1 <= part.number <= MAX_PARTS for part in said):
        raise PartsInvalid(f"parts have numbers from 1 to {MAX_PARTS}, each once")
    if len({part.number for part in said}) != len(said):
        raise PartsInvalid("a part number stands twice")
    known = {(part.number, part.etag.strip('"')): part for part in there}
    chosen = {part.number: known.get((part.number, part.etag.strip('"'))) for part in said}
    if unknown := [number for number, part in chosen.items() if part is None]:
        raise PartsInvalid(f"the store has no part {unknown[0]} with the etag that was given")
    return {number: part for number, part in chosen.items() if part is not None}


def _is_short(upload: DirectUpload, part: Part) -> bool:
    wanted = upload.bytes_of_part(part.number)
    return part.size_bytes == 0 if wanted is None else part.size_bytes != wanted


async def _look(upload: DirectUpload, store: ObjectStore) -> Look:
    try:
        return await store.look(upload.object_key, SMALL_BYTES if is_small(upload) else HEAD_BYTES)
    except ObjectNotFound:
        raise UploadIncomplete("nothing has arrived yet: send the bytes first") from None


async def _stat(upload: DirectUpload, store: ObjectStore) -> ObjectInfo:
    try:
        return await store.stat(upload.object_key)
    except ObjectNotFound:
        raise UploadIncomplete("the bytes were removed while they were verified: send them again") from None


def _short(upload: DirectUpload, size_bytes: int) -> str:
    wanted = "" if upload.size_bytes is None else f" of {upload.size_bytes}"
    return f"{size_bytes}{wanted} bytes have arrived"


def _must_be_read(upload: DirectUpload, opened: OpenStore, info: ObjectInfo) -> bool:
    """Return whether all bytes are to be read: to compare a checksum, or because it costs little or nothing."""
    proven = opened.intake.proves if upload.way == PUT else frozenset[str]()
    unproven = (upload.digest and "sha256" not in proven) or (upload.md5 and "md5" not in proven)
    return bool(unproven) or info.size_bytes <= SMALL_BYTES or opened.endpoint is None


async def _read_whole(upload: DirectUpload, store: ObjectStore, seen: Look) -> str:
    """Return the SHA-256 of all bytes.

    Raises:
        ChecksumMismatch: they are not those that the client said.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def add(chunk: bytes) -> None:
        sha256.update(chunk)
        if upload.md5:
            md5.update(chunk)

    if len(seen.head) == seen.info.size_bytes <= _UNTHREADED_BYTES:
        add(seen.head)
    elif len(seen.head) == seen.info.size_bytes:
        await asyncio.to_thread(add, seen.head)
    else:
        async for chunk in store.read(seen.info.key):
            await asyncio.to_thread(add, chunk)
    if upload.digest and upload.digest != f"sha256:{sha256.hexdigest()}":
        wanted = upload.digest.removeprefix("sha256:")
        raise ChecksumMismatch(f"the bytes have the SHA-256 {sha256.hexdigest()}, not {wanted}")
    if upload.md5 and upload.md5 != md5.hexdigest():
        raise ChecksumMismatch(f"the bytes have the MD5 {md5.hexdigest()}, not {upload.md5}")
    return f"sha256:{sha256.hexdigest()}"
