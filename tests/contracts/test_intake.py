"""What every `Intake` promises: parts in any order, joined once, gone when aborted; on a directory and on S3."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from mediaplane.errors import LinkInvalid, ObjectNotFound, PartsInvalid
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.intake import MIN_PART_BYTES, Intake, newest
from mediaplane.storage.local import LocalStore
from mediaplane.storage.local_intake import LocalIntake, open_local_intake
from mediaplane.storage.s3_intake import S3Intake
from mediaplane.storage.store import ObjectStore
from tests.contracts.conftest import Case

QUARTER = timedelta(minutes=15)
FIRST = b"1" * MIN_PART_BYTES
LAST = b"2" * 7


@dataclass(frozen=True)
class Door:
    """An intake, the store behind it, and how a client's PUT reaches it."""

    intake: Intake
    store: ObjectStore
    put: Callable[[str, bytes], Awaitable[int]]


@pytest.fixture(params=["local", "seaweed-path-http", "rgw-path-http"])
def door(request: pytest.FixtureRequest, open_case: Callable[[str], Case]) -> Door:
    """Each intake in turn."""
    case = open_case(request.param)
    if case.endpoint:
        return Door(S3Intake(case.endpoint, lifetime=QUARTER), case.store, put_to_bucket)
    assert isinstance(case.store, LocalStore)
    intake = open_local_intake(case.store, "http://gateway:1", "local", "secret", lifetime=QUARTER)
    return Door(intake, case.store, lambda url, body: put_to_directory(intake, url, body))


async def put_to_bucket(url: str, body: bytes) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return (await client.put(url, content=body)).status_code


async def put_to_directory(intake: LocalIntake, url: str, body: bytes) -> int:
    """Take a part as the gateway does."""
    parts = urlsplit(url)
    key = parts.path.removeprefix("/v1/objects/local/")
    try:
        ref, number = intake.signer.verify_part("local", key, dict(parse_qsl(parts.query)), size_bytes=len(body))
    except LinkInvalid:
        return 403
    try:
        await intake.take_part(check_key(key), ref, number, _chunks(body))
    except ObjectNotFound:
        return 404
    return 200


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def read(door: Door, key: ObjectKey) -> bytes:
    return b"".join([chunk async for chunk in door.store.read(key)])


async def test_parts_in_any_order(door: Door, prefix: str) -> None:
    """Parts that came in any order are told by number, and joined into their bytes; then the upload has ended."""
    key = check_key(f"{prefix}film.mp4")
    ref = await door.intake.begin(key, content_type="video/mp4")
    assert await door.intake.parts(key, ref) == []
    for number, body in ((2, LAST), (1, FIRST)):
        url = door.intake.sign_part(key, ref, number=number, size_bytes=len(body))
        assert await door.put(url, body) == 200
    parts = await door.intake.parts(key, ref)
    assert [(part.number, part.size_bytes) for part in parts] == [(1, len(FIRST)), (2, len(LAST))]
    with pytest.raises(ObjectNotFound):
        await door.store.stat(key)
    await door.intake.join(key, ref, parts)
    assert await read(door, key) == FIRST + LAST
    with suppress(ObjectNotFound):  # S3 says yes again to the same parts
        await door.intake.join(key, ref, parts)
    with pytest.raises(ObjectNotFound):
        await door.intake.parts(key, ref)
    assert await door.put(url, FIRST) == 404
    assert await read(door, key) == FIRST + LAST


async def test_part_written_again(door: Door, prefix: str) -> None:
    """The last write of a part counts."""
    key = check_key(f"{prefix}again.mp4")
    ref = await door.intake.begin(key, content_type="video/mp4")
    for body in (b"old", b"new"):
        assert await door.put(door.intake.sign_part(key, ref, number=1, size_bytes=3), body) == 200
        await asyncio.sleep(1.1)  # S3 tells times of parts to the second
    await door.intake.join(key, ref, list(newest(await door.intake.parts(key, ref)).values()))
    assert await read(door, key) == b"new"


async def test_parts_that_are_not_there(door: Door, prefix: str) -> None:
    """Parts that the store does not have are refused, and the upload goes on."""
    key = check_key(f"{prefix}wrong.mp4")
    ref = await door.intake.begin(key, content_type="video/mp4")
    other = await door.intake.begin(key, content_type="video/mp4")
    for upload, body in ((ref, b"mine"), (other, b"else")):
        assert await door.put(door.intake.sign_part(key, upload, number=1, size_bytes=4), body) == 200
    with pytest.raises(PartsInvalid):
        await door.intake.join(key, ref, await door.intake.parts(key, other))
    await door.intake.join(key, ref, await door.intake.parts(key, ref))
    assert await read(door, key) == b"mine"
    await door.intake.abort(key, other)


async def test_part_url_is_bound(door: Door, prefix: str) -> None:
    """A URL writes one part of one upload, of one size; changed or for another it writes nothing."""
    key = check_key(f"{prefix}bound.mp4")
    ref, other = [await door.intake.begin(key, content_type="video/mp4") for _ in range(2)]
    url = door.intake.sign_part(key, ref, number=1, size_bytes=4)
    number = "part=1" if "part=1" in url else "partNumber=1"
    changed = [
        url.replace(number, number.replace("1", "2")),
        url.replace(quote(ref, safe=""), quote(other, safe="")),
        url.replace("bound.mp4", "other.mp4"),
        url[:-1],
    ]
    for wrong in changed:
        assert wrong != url
        assert await door.put(wrong, b"part") == 403
    for body in (b"par", b"parts"):
        assert await door.put(url, body) == 403
    assert await door.intake.parts(key, ref) == []
    assert await door.put(door.intake.sign_part(key, ref, number=1, size_bytes=None), b"any size") == 200
    for upload in (ref, other):
        await door.intake.abort(key, upload)


async def test_abort(door: Door, prefix: str) -> None:
    """Parts of an aborted upload are gone, none is taken any more, and aborting again is no error."""
    key = check_key(f"{prefix}gone.mp4")
    ref = await door.intake.begin(key, content_type="video/mp4")
    url = door.intake.sign_part(key, ref, number=1, size_bytes=4)
    assert await door.put(url, b"part") == 200
    for _ in range(2):
        await door.intake.abort(key, ref)
    assert await door.put(url, b"part") == 404
    with pytest.raises(ObjectNotFound):
        await door.intake.parts(key, ref)
