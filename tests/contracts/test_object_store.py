"""What every `ObjectStore` promises, run on all of them."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mediaplane.errors import AccessDenied, InvalidRange, ObjectNotFound, StorageError
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.store import Chunks, ObjectStore
from tests.contracts.conftest import PART_BYTES, S3_CASES, Case
from tests.services.rgw import free_port
from tests.services.s3 import S3Server

ODD_KEYS = [
    "with space.txt",
    "plus+sign.txt",
    "per%cent%20.txt",
    "tilde~'quote'\"(1)!*.txt",
    "query?a=b&c=d#e;f:g,h@i$j=k.txt",
    "accent é ü ñ.txt",
    "wide 日本語 😀.txt",
    "decomposed e\u0301.txt",
    "<xml>&amp;.txt",
    "dots...txt",
    ".hidden/..twodots/...txt",
]


@pytest.fixture(params=["memory", "failing", "local", *S3_CASES])
def case(request: pytest.FixtureRequest, open_case: Callable[[str], Case]) -> Case:
    """Each implementation in turn."""
    return open_case(request.param)


@pytest.fixture
def store(case: Case) -> ObjectStore:
    """The store of the case."""
    return case.store


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A body of the given chunks."""
    for part in parts:
        yield part


async def collect(body: Chunks) -> bytes:
    """All bytes of a body."""
    return b"".join([chunk async for chunk in body])


async def put(store: ObjectStore, key: str, body: bytes = b"x") -> ObjectKey:
    """Store a small object."""
    checked = check_key(key)
    await store.put(checked, chunks(body), content_type="text/plain")
    return checked


async def walked(store: ObjectStore, prefix: str, after: str = "") -> list[str]:
    """The keys of a walk."""
    return [str(info.key) async for info in store.walk(prefix, after=after)]


async def test_put_then_read_gives_the_bytes(store: ObjectStore, prefix: str) -> None:
    """What was put is read back whole, in whatever chunks."""
    key = check_key(f"{prefix}a/b.bin")
    info = await store.put(key, chunks(b"0123", b"", b"456789"), content_type="application/octet-stream")
    assert (info.key, info.size_bytes) == (key, 10)
    assert await collect(store.read(key)) == b"0123456789"


async def test_stat_tells_what_put_told(store: ObjectStore, prefix: str) -> None:
    """Size, etag and time are the same from put, stat and walk."""
    key = check_key(f"{prefix}a.bin")
    before = datetime.now(UTC) - timedelta(seconds=2)
    info = await store.put(key, chunks(b"abc"), content_type="text/plain")
    assert info == await store.stat(key)
    assert info.etag
    assert before <= info.modified_at <= datetime.now(UTC) + timedelta(seconds=2)
    (listed,) = [found async for found in store.walk(prefix)]
    assert (listed.key, listed.size_bytes, listed.etag) == (info.key, info.size_bytes, info.etag)
    assert abs(listed.modified_at - info.modified_at) < timedelta(seconds=1)


async def test_put_over_an_object_replaces_it(store: ObjectStore, prefix: str) -> None:
    """The second put wins, and the etag tells that something changed."""
    key = check_key(f"{prefix}a.bin")
    first = await store.put(key, chunks(b"first"), content_type="text/plain")
    second = await store.put(key, chunks(b"again"), content_type="text/plain")
    assert await collect(store.read(key)) == b"again"
    assert first.etag != second.etag


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 3, b"012"),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (7, None, b"789"),
        (7, 100, b"789"),
        (0, None, b"0123456789"),
        (0, 10, b"0123456789"),
    ],
)
async def test_read_of_a_range(
    store: ObjectStore, prefix: str, start: int, length: int | None, expected: bytes
) -> None:
    """A range gives its bytes, and ends with the object."""
    key = await put(store, f"{prefix}r", b"0123456789")
    assert await collect(store.read(key, start=start, length=length)) == expected


@pytest.mark.parametrize(("start", "length"), [(10, None), (10, 1), (99, 5), (0, 0), (-1, None), (3, -1)])
async def test_read_of_a_range_outside_the_object(
    store: ObjectStore, prefix: str, start: int, length: int | None
) -> None:
    """A range that is empty or begins behind the object is refused, not answered with nothing."""
    key = await put(store, f"{prefix}r", b"0123456789")
    with pytest.raises(InvalidRange):
        await collect(store.read(key, start=start, length=length))


@pytest.mark.parametrize("most_bytes", [1, 9, 10, 1 << 20])
async def test_look_gives_the_first_bytes(store: ObjectStore, prefix: str, most_bytes: int) -> None:
    """A look tells the same as `stat`, and has as many of the first bytes as were asked for and are there."""
    key = await put(store, f"{prefix}a", b"0123456789")
    seen = await store.look(key, most_bytes)
    assert seen.info == await store.stat(key)
    assert seen.head == b"0123456789"[:most_bytes]


async def test_look_at_what_is_empty_or_missing(store: ObjectStore, prefix: str) -> None:
    """An empty object is there, without a first byte; a missing one is missing."""
    key = await put(store, f"{prefix}a", b"")
    seen = await store.look(key, 10)
    assert (seen.info.size_bytes, seen.head) == (0, b"")
    assert seen.info == await store.stat(key)
    with pytest.raises(ObjectNotFound):
        await store.look(check_key(f"{prefix}none"), 10)


async def test_empty_object(store: ObjectStore, prefix: str) -> None:
    """Zero bytes are an object like others, without any range in it."""
    key = check_key(f"{prefix}empty")
    info = await store.put(key, chunks(), content_type="text/plain")
    assert info.size_bytes == 0
    assert await collect(store.read(key)) == b""
    assert await walked(store, prefix) == [key]
    with pytest.raises(InvalidRange):
        await collect(store.read(key, start=0, length=1))


async def test_large_body_in_odd_chunks(case: Case, prefix: str) -> None:
    """20 MB in chunks of odd sizes come back as the same bytes, and nothing unfinished stays behind."""
    source = random.Random(7).randbytes(20_000_001)

    async def odd() -> AsyncIterator[bytes]:
        sizes, position = random.Random(8), 0
        while position < len(source):
            size = sizes.randint(1, 900_000)
            yield source[position : position + size]
            position += size

    key = check_key(f"{prefix}large.bin")
    info = await case.store.put(key, odd(), content_type="video/mp4")
    assert info.size_bytes == len(source)
    read = await collect(case.store.read(key))
    assert hashlib.sha256(read).digest() == hashlib.sha256(source).digest()
    assert (
        await collect(case.store.read(key, start=PART_BYTES - 3, length=7)) == source[PART_BYTES - 3 : PART_BYTES + 4]
    )
    assert case.content_type(key) in ("video/mp4", None)
    assert case.leftovers() == []


@pytest.mark.parametrize("size_bytes", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1])
async def test_body_around_the_size_of_a_part(case: Case, prefix: str, size_bytes: int) -> None:
    """Where one request becomes a multipart upload, no byte is lost or doubled."""
    source = random.Random(size_bytes).randbytes(size_bytes)
    key = check_key(f"{prefix}part.bin")
    await case.store.put(key, chunks(source[:100], source[100:]), content_type="video/mp4")
    assert await collect(case.store.read(key)) == source


async def test_content_type_is_kept(case: Case, prefix: str) -> None:
    """The content type is stored where the store keeps one."""
    key = check_key(f"{prefix}list.m3u8")
    await case.store.put(key, chunks(b"#EXTM3U"), content_type="application/vnd.apple.mpegurl")
    assert case.content_type(key) in ("application/vnd.apple.mpegurl", None)


@pytest.mark.parametrize("name", ODD_KEYS)
async def test_odd_keys(store: ObjectStore, prefix: str, name: str) -> None:
    """Every method takes any key that `check_key` passes."""
    key = await put(store, prefix + name, name.encode())
    assert await collect(store.read(key)) == name.encode()
    assert (await store.stat(key)).key == key
    assert await walked(store, prefix) == [key]
    await store.delete([key])
    assert await walked(store, prefix) == []


async def test_missing_object(store: ObjectStore, prefix: str) -> None:
    """What is not there is told apart from other failures, also below an object and for a folder."""
    await put(store, f"{prefix}folder/a")
    for name in ("nothing", "nothing/below", "folder", "folder/a/below"):
        key = check_key(prefix + name)
        with pytest.raises(ObjectNotFound) as told:
            await store.stat(key)
        assert key in told.value.message
        with pytest.raises(ObjectNotFound):
            await collect(store.read(key))
        await store.delete([key])
    assert await walked(store, prefix) == [f"{prefix}folder/a"]


async def test_delete_of_many_keys(store: ObjectStore, prefix: str) -> None:
    """1,500 keys go in one call, whether something is stored there or not; others stay."""
    keys = [check_key(f"{prefix}many/{index:05}.jpg") for index in range(1500)]
    stored = [*keys[:20], *keys[990:1010], *keys[-20:]]
    await asyncio.gather(*(put(store, key) for key in [*stored, check_key(f"{prefix}other")]))
    await store.delete(keys)
    assert await walked(store, prefix) == [f"{prefix}other"]
    await store.delete([])


TREE = [
    *("a!/z", "a-b", "a-c/x", "a.b", "a/b", "a/c", "a/d/e", "a/d-e", "a/d0", "a0", "b/B", "b/a", "b/é", "c"),
    *("\uff5e/x", "\U0001f600", "é"),  # above and below the surrogates: UTF-16 would sort them the other way
]


async def test_walk_goes_in_byte_order(store: ObjectStore, prefix: str) -> None:
    """Keys come in the order of their UTF-8 bytes as a whole, not directory by directory."""
    await asyncio.gather(*(put(store, prefix + name) for name in TREE))
    ordered = sorted((prefix + name for name in TREE), key=str.encode)
    assert await walked(store, prefix) == ordered
    for after in [*ordered, f"{prefix}a", f"{prefix}a/", f"{prefix}a/d", f"{prefix}aa", f"{prefix}zzz", prefix]:
        assert await walked(store, prefix, after) == [key for key in ordered if key.encode() > after.encode()]


async def test_walk_of_a_prefix(store: ObjectStore, prefix: str) -> None:
    """A prefix is a beginning of the key, also in the middle of a name; nothing else is listed."""
    await asyncio.gather(*(put(store, prefix + name) for name in TREE))
    for part in ("a", "a/", "a/d", "a/d/", "a-", "a/b", "b/", "nothing", "a/b/"):
        expected = sorted((prefix + name for name in TREE if name.startswith(part)), key=str.encode)
        assert await walked(store, prefix + part) == expected
    assert await walked(store, f"{prefix}a", f"{prefix}a/c") == [
        f"{prefix}{name}" for name in ("a/d-e", "a/d/e", "a/d0", "a0")
    ]


async def test_walk_while_objects_go(store: ObjectStore, prefix: str) -> None:
    """A walk outlives the deletion of what it has not come to yet."""
    keys = [await put(store, f"{prefix}w/{index}") for index in range(5)]
    walk = store.walk(prefix)
    assert (await anext(walk)).key == keys[0]
    await store.delete(keys)
    assert {info.key async for info in walk} <= set(keys[1:])


@pytest.mark.parametrize("size_bytes", [1000, 2 * PART_BYTES + 1000])
async def test_body_that_fails_leaves_nothing(case: Case, prefix: str, size_bytes: int) -> None:
    """When the body raises, that error comes out, and the key holds what it held before."""

    async def failing() -> AsyncIterator[bytes]:
        for _ in range(size_bytes // 1000):
            yield b"x" * 1000
        raise FileNotFoundError("the body's own trouble")

    fresh, taken = check_key(f"{prefix}fresh"), await put(case.store, f"{prefix}taken", b"before")
    for key in (fresh, taken):
        with pytest.raises(FileNotFoundError, match="own trouble"):
            await case.store.put(key, failing(), content_type="text/plain")
    assert await walked(case.store, prefix) == [taken]
    assert await collect(case.store.read(taken)) == b"before"
    assert case.leftovers() == []


async def test_put_that_is_cancelled_leaves_nothing(case: Case, prefix: str) -> None:
    """A cancelled put is aborted in the store before the caller goes on."""
    waits = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * PART_BYTES
        waits.set()
        await asyncio.sleep(60)

    key = check_key(f"{prefix}cancelled")
    putting = asyncio.create_task(case.store.put(key, endless(), content_type="text/plain"))
    await asyncio.wait_for(waits.wait(), 30)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await walked(case.store, prefix) == []
    assert case.leftovers() == []


async def test_read_that_is_left_early(store: ObjectStore, prefix: str) -> None:
    """A reader may stop in the middle and the store serves the next one."""
    key = await put(store, f"{prefix}big", b"x" * (3 << 20))
    async for chunk in store.read(key):
        assert chunk
        break
    assert len(await collect(store.read(key, start=1))) == (3 << 20) - 1


async def test_puts_that_read_the_same_store(store: ObjectStore, prefix: str) -> None:
    """The body of a put may be a read of the same store, in more uploads at once than there are threads for them."""
    source = await put(store, f"{prefix}source", b"source")
    copies = [check_key(f"{prefix}copy/{index}") for index in range(9)]
    begun, all_begun = 0, asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        nonlocal begun
        yield b"x" * PART_BYTES  # from here on an upload has begun
        begun += 1
        if begun == len(copies):
            all_begun.set()
        await all_begun.wait()
        async for chunk in store.read(source):
            yield chunk

    puts = [store.put(key, body(), content_type="video/mp4") for key in copies]
    infos = await asyncio.wait_for(asyncio.gather(*puts), 60)
    assert {info.size_bytes for info in infos} == {PART_BYTES + len(b"source")}
    assert await collect(store.read(copies[0], start=PART_BYTES - 1)) == b"xsource"
    await store.delete(copies)


async def test_concurrent_writers_of_one_key(store: ObjectStore, prefix: str) -> None:
    """Of many writers at once one wins wholly."""
    key = check_key(f"{prefix}contested")
    bodies = [bytes([letter]) * 70_000 for letter in b"abcdefgh"]
    await asyncio.gather(*(store.put(key, chunks(body), content_type="text/plain") for body in bodies))
    assert await collect(store.read(key)) in bodies


def endpoint_of(server: S3Server, **changes: str) -> S3Endpoint:
    """The endpoint of a server, with something wrong."""
    known = S3Endpoint(server.http_endpoint, f"t{uuid.uuid4().hex[:12]}", server.access_key, server.secret_key)
    return replace(known, **changes)  # type: ignore[arg-type]  # only text fields are changed


@pytest.mark.parametrize(
    ("field", "setting"),
    [("access_key_id", "S3_ACCESS_KEY_ID"), ("secret_access_key", "S3_SECRET_ACCESS_KEY")],
)
async def test_wrong_keys(
    s3_server: S3Server, fresh_bucket: Callable[[S3Server], str], field: str, setting: str
) -> None:
    """Wrong keys are refused with a sentence that names the setting, in every method."""
    store = S3Store(endpoint_of(s3_server, bucket=fresh_bucket(s3_server), **{field: "wrong"}))
    key = check_key("a")
    for attempt in (
        store.put(key, chunks(b"1"), content_type="text/plain"),
        collect(store.read(key)),
        store.delete([key]),
        walked(store, ""),
    ):
        with pytest.raises(AccessDenied) as told:
            await attempt
        assert setting in told.value.message
        assert "wrong" not in told.value.message.replace("signature is wrong", "")
    with pytest.raises(AccessDenied):  # HEAD has no body, so S3 cannot say why
        await store.stat(key)


async def test_keys_without_permission(s3_server: S3Server, fresh_bucket: Callable[[S3Server], str]) -> None:
    """A user who may not write is refused, and nothing changes."""
    bucket = fresh_bucket(s3_server)
    owner = S3Store(endpoint_of(s3_server, bucket=bucket))
    kept = await put(owner, "kept", b"1")
    guest = S3Store(
        endpoint_of(
            s3_server,
            bucket=bucket,
            access_key_id=s3_server.guest_access_key,
            secret_access_key=s3_server.guest_secret_key,
        )
    )
    with pytest.raises(AccessDenied, match="permission"):
        await put(guest, "new", b"2")
    with pytest.raises(AccessDenied, match="permission"):
        await put(guest, "new", b"2" * (PART_BYTES * 4))
    with pytest.raises(AccessDenied, match="permission"):
        await guest.delete([kept])
    assert await walked(owner, "") == ["kept"]


async def test_dead_endpoint() -> None:
    """A server that is not there is an error that may pass, and its sentence names the setting."""
    endpoint = S3Endpoint(f"http://127.0.0.1:{free_port()}", "bucket", "access", "secret")
    store = S3Store(endpoint, retry_for=timedelta(seconds=1))
    key = check_key("a")
    for attempt in (
        store.put(key, chunks(b"1" * (40 << 20)), content_type="text/plain"),
        collect(store.read(key)),
        store.delete([key]),
        walked(store, ""),
    ):
        with pytest.raises(StorageError, match=r"connection refused.*S3_ENDPOINT") as told:
            await attempt
        assert told.value.retryable


async def test_certificate_that_is_not_trusted(s3_server: S3Server) -> None:
    """Without the authority of its certificate a server is not talked to, and the sentence says what to set."""
    store = S3Store(endpoint_of(s3_server, url=s3_server.https_endpoint), retry_for=timedelta(seconds=1))
    for attempt in (store.stat(check_key("a")), walked(store, "")):
        with pytest.raises(StorageError, match="S3_CA_FILE") as told:
            await attempt
        assert not told.value.retryable


async def test_missing_bucket(rgw: S3Server) -> None:
    """A missing bucket is named as such (SeaweedFS makes one on the first put)."""
    store = S3Store(endpoint_of(rgw))
    for attempt in (put(store, "a"), walked(store, ""), store.delete([check_key("a")])):
        with pytest.raises(StorageError, match="S3_BUCKET"):
            await attempt
