"""The byte server of local stores, over real HTTP against a slice of the same bytes."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from mediaplane.catalog import assets, objects
from mediaplane.media.ids import new_id
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.links import LinkSigner
from tests.services.gateway import SIGNING_KEY, Gateway, running_gateway

SIZE = 1_300_007  # several pieces, and an odd rest
BODY = random.Random(7).randbytes(SIZE)
KEY = "videos/clips/a1/späte clip+1 100%.mp4"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    """One gateway for all: every test has an asset of its own."""
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), {"STORAGE_MODE": "local"}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def link(gateway: Gateway) -> str:
    """A link to an object that no test changes."""
    await gateway.add_asset("a1")
    key = await gateway.put("a1", KEY, BODY, role="clip", content_type="video/mp4")
    return gateway.opened.signer.sign_get(key)


async def test_object_whole(client, link):
    """The whole object comes with its size, type and entity tag."""
    answer = await client.get(link)
    assert answer.status_code == 200
    assert answer.content == BODY
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_object_ranges(client, link):
    """Every range gives what a slice gives, at the ends and across the server's pieces."""
    seeded = random.Random(11)
    edges = [0, 1, 262_143, 262_144, 262_145, SIZE - 2, SIZE - 1]
    pairs = [(first, last) for first in edges for last in edges if first <= last]
    pairs += [tuple(sorted((seeded.randrange(SIZE), seeded.randrange(SIZE)))) for _ in range(60)]
    for first, last in pairs:
        answer = await client.get(link, headers={"range": f"bytes={first}-{last}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
        assert answer.content == BODY[first : last + 1]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"bytes={SIZE - 5}-", BODY[-5:]),
        ("bytes=-7", BODY[-7:]),
        (f"bytes=-{SIZE * 2}", BODY),
        (f"bytes=9-{SIZE * 2}", BODY[9:]),
    ],
)
async def test_object_open_ranges(client, link, header, expected):
    """Ranges without an end, of the last bytes, and beyond the end."""
    answer = await client.get(link, headers={"range": header})
    assert answer.status_code == 206
    assert answer.content == expected


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", "bytes=-0"])
async def test_object_range_outside(client, link, header):
    """Where no byte exists the answer is 416 with the size, and a problem document."""
    answer = await client.get(link, headers={"range": header})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_range"


async def test_object_several_ranges(client, link):
    """Several ranges are answered with the whole, as the standard allows."""
    answer = await client.get(link, headers={"range": "bytes=0-1,5-6"})
    assert answer.status_code == 200
    assert answer.content == BODY


async def test_object_head(client, link):
    """HEAD says the same as GET of the whole, without the bytes: a range is defined for GET alone (RFC 9110, 14.2)."""
    whole = await client.head(link)
    assert (whole.status_code, whole.content, whole.headers["content-length"]) == (200, b"", str(SIZE))
    for asked in ("bytes=10-19", f"bytes={SIZE}-"):
        part = await client.head(link, headers={"range": asked})
        assert (part.status_code, part.headers["content-length"]) == (200, str(SIZE)), asked
        assert "content-range" not in part.headers


async def test_object_not_modified(client, link):
    """Who has it already gets 304 without bytes, by tag and by date."""
    first = await client.head(link)
    for name, value in (
        ("if-none-match", first.headers["etag"]),
        ("if-modified-since", first.headers["last-modified"]),
    ):
        again = await client.get(link, headers={name: value})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


async def test_object_if_range(client, link):
    """A part is given of the same object only; of another one the whole."""
    etag = (await client.head(link)).headers["etag"]
    same = await client.get(link, headers={"range": "bytes=0-4", "if-range": etag})
    other = await client.get(link, headers={"range": "bytes=0-4", "if-range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


async def test_object_empty(client, gateway, link):
    """An object without bytes is served as one."""
    key = await gateway.put("a1", "videos/clips/a1/empty.mp4", b"", role="clip", content_type="video/mp4")
    answer = await client.get(gateway.opened.signer.sign_get(key))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_object_link_changed(client, link):
    """A link is for one object, one method and one time; any change of it is refused and says why."""
    later = link.replace("expires=", "expires=9")
    other_key = link.replace("a1", "a2")
    for method, url in (
        ("GET", later),
        ("GET", other_key),
        ("GET", link[:-1]),
        ("GET", link.split("?")[0]),
        ("PUT", link),
    ):
        answer = await client.request(method, url, content=b"" if method == "PUT" else None)
        assert answer.status_code == 403
        assert answer.json()["code"] == "link_invalid"


async def test_object_link_expired(client, gateway, link):
    """A link that was good is refused after its time, and the sentence says so."""
    yesterday = time.time() - 24 * 3600
    past = LinkSigner(gateway.url, "local", SIGNING_KEY, lifetime=timedelta(hours=1), now=lambda: yesterday)
    answer = await client.get(past.sign_get(ObjectKey(KEY)))
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]


async def test_object_of_a_deleted_asset(client, gateway):
    """Once the row is gone no link opens the object, even before a worker has removed the bytes."""
    asset = await gateway.add_asset(new_id())
    key = await gateway.put(asset.asset_id, f"thumbs/{new_id()}.jpg", b"x", role="poster", content_type="image/jpeg")
    link = gateway.opened.signer.sign_get(key)
    assert (await client.get(link)).status_code == 200
    async with gateway.plane.pool.connection() as conn:
        await assets.delete(conn, asset.asset_id, owner="local")
    answer = await client.get(link)
    assert answer.status_code == 404
    assert answer.json()["code"] == "object_not_found"


async def test_object_of_another_store(client, gateway, link):
    """A store that is not served here is no oracle for what exists."""
    answer = await client.get(link.replace("/objects/local/", "/objects/elsewhere/"))
    assert answer.status_code == 403


async def test_object_cors(client, link):
    """A player on another site may ask for ranges and see what it got."""
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "range",
    }
    assert (await client.options(link, headers=asked)).status_code == 204
    answer = await client.get(link, headers={"origin": "https://app.example", "range": "bytes=0-1"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-range" in answer.headers["access-control-expose-headers"]


async def test_object_client_that_leaves(gateway, link):
    """Clients that stop reading halfway leave no open file and no stuck request behind."""
    target = urlsplit(link)
    for _ in range(20):
        with socket.create_connection((target.hostname, target.port)) as plain:
            plain.sendall(f"GET {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\n\r\n".encode())
            assert await asyncio.to_thread(plain.recv, 1000)
    async with httpx.AsyncClient() as client:
        assert (await client.get(link)).content == BODY


async def put_intent(gateway: Gateway) -> ObjectKey:
    asset = await gateway.add_asset(new_id())
    key = ObjectKey(f"videos/original/{asset.asset_id}/master.mp4")
    async with gateway.plane.pool.connection() as conn:
        where = {"store": gateway.opened.name, "asset_id": asset.asset_id, "role": "original"}
        await objects.intend(conn, **where, keys=[key], content_type="video/mp4")
    return key


async def stored_under(gateway: Gateway, key: ObjectKey) -> list[ObjectKey]:
    unfinished = gateway.opened.store.root / ".mediaplane-unfinished"
    assert not list(unfinished.iterdir()) if unfinished.exists() else True
    return [found.key async for found in gateway.opened.store.walk(key)]


async def test_upload_of_size_and_type(client, gateway):
    """A signed PUT of exactly the size and type it was signed for stores the bytes."""
    key = await put_intent(gateway)
    link = gateway.opened.signer.sign_put(key, size_bytes=SIZE, content_type="video/mp4")
    answer = await client.put(link, content=BODY, headers={"content-type": "video/mp4", "expect": "100-continue"})
    assert answer.status_code == 200
    assert b"".join([piece async for piece in gateway.opened.store.read(key)]) == BODY
    assert answer.headers["etag"] == f'"{(await gateway.opened.store.stat(key)).etag.strip(chr(34))}"'


async def test_upload_of_other_size_or_type(client, gateway):
    """Another size or type than signed is refused, and nothing is stored."""
    key = await put_intent(gateway)
    link = gateway.opened.signer.sign_put(key, size_bytes=SIZE, content_type="video/mp4")
    for content, content_type in ((BODY + b"x", "video/mp4"), (BODY[:-1], "video/mp4"), (BODY, "text/html")):
        answer = await client.put(link, content=content, headers={"content-type": content_type})
        assert answer.status_code == 403
        assert answer.json()["code"] == "link_invalid"
    assert await stored_under(gateway, key) == []


async def test_upload_without_a_size(client, gateway):
    """A body whose size is not said beforehand is refused: it could be endless."""
    key = await put_intent(gateway)
    link = gateway.opened.signer.sign_put(key, size_bytes=3, content_type="video/mp4")

    async def endless():
        yield b"abc"

    answer = await client.put(link, content=endless(), headers={"content-type": "video/mp4"})
    assert answer.status_code == 411


async def test_upload_link_used_twice(client, gateway):
    """Once the upload is complete its link cannot replace the bytes that the catalog knows."""
    key = await put_intent(gateway)
    link = gateway.opened.signer.sign_put(key, size_bytes=3, content_type="video/mp4")
    headers = {"content-type": "video/mp4"}
    assert (await client.put(link, content=b"abc", headers=headers)).status_code == 200
    info = await gateway.opened.store.stat(key)
    async with gateway.plane.pool.connection() as conn:
        await objects.settle(conn, store=gateway.opened.name, asset_id=key.split("/")[2], infos=[info])
    assert (await client.put(link, content=b"xyz", headers=headers)).status_code == 412
    assert b"".join([piece async for piece in gateway.opened.store.read(key)]) == b"abc"


async def test_upload_cut_off(gateway):
    """A client that dies in the middle of its PUT leaves nothing in the store."""
    key = await put_intent(gateway)
    target = urlsplit(gateway.opened.signer.sign_put(key, size_bytes=SIZE, content_type="video/mp4"))
    head = (
        f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\n"
        f"Content-Type: video/mp4\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection((target.hostname, target.port)) as plain:
        await asyncio.to_thread(plain.sendall, head.encode() + BODY[:500_000])
    await asyncio.sleep(0.3)
    assert await stored_under(gateway, key) == []
