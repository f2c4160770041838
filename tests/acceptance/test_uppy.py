"""Uppy's own client, from npm and unchanged, uploads from a browser to the running gateway.

The page is of another origin than the gateway and the store, as a product's own web page would be. Its tab is closed
in the middle of an upload; opened again it goes on with what the store has, and the bytes are those of the file.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from mediaplane.access.direct import DirectUploads
from mediaplane.catalog import assets, direct_uploads, objects
from mediaplane.catalog.direct_uploads import DirectUpload
from mediaplane.servers import prepare_buckets
from tests.services.browser import DIRECTORY, MODULES, Page, require_modules, running_browser, served_page
from tests.services.gateway import Gateway, running_gateway
from tests.services.postgres import create_database, drop_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
SIZE = 22 * MIB + 7  # five parts
PARTS = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page with Uppy's packages bundled as a product's build would."""
    require_modules("@uppy/core", "@uppy/aws-s3", "@uppy/golden-retriever", "esbuild")
    bundle = tmp_path_factory.mktemp("bundle") / "upload.js"
    command = [MODULES / ".bin" / "esbuild", "upload.js", "--bundle", f"--outfile={bundle}", "--log-level=error"]
    subprocess.run(command, cwd=DIRECTORY, check=True, timeout=60)
    files = {"/": (DIRECTORY / "upload.html", "text/html"), "/upload.js": (bundle, "text/javascript")}
    with served_page(files) as served:
        yield served


@pytest.fixture(scope="module", params=["seaweed", "rgw", "local"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def own_dsn(kind: str, postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A database for each gateway: in another's, the same bytes would be known."""
    name = create_database(postgres_server, template=migrated_template)
    yield make_conninfo(postgres_server, dbname=name)
    drop_database(postgres_server, name)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(request, kind, own_dsn, tmp_path_factory, fresh_bucket) -> AsyncIterator[Gateway]:
    """A gateway that pages on loopback may use, over each kind of store."""
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_ORIGINS": "http://127.0.0.1:*"}
    if kind != "local":
        server = request.getfixturevalue(kind)
        environ |= {
            "STORAGE_MODE": "s3",
            "S3_ENDPOINT": server.http_endpoint,
            "S3_BUCKET": fresh_bucket(server),
            "S3_ACCESS_KEY_ID": server.access_key,
            "S3_SECRET_ACCESS_KEY": server.secret_key,
            "S3_PROVIDER": {"seaweed": "seaweedfs", "rgw": "ceph"}[kind],
        }
    async with running_gateway(own_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        if kind != "local":
            assert await asyncio.to_thread(prepare_buckets, running.plane.settings) == []
        yield running


@dataclass
class Stall:
    """Holds the answer to a client that asks for a part's URL, as a network does that goes away."""

    number: int
    reached: asyncio.Event
    ended: asyncio.Event


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Stall:
    """The third part is not signed before the test lets it be."""
    held = Stall(3, asyncio.Event(), asyncio.Event())
    watch_size = DirectUploads.watch_size

    async def watch_slowly(self: DirectUploads, upload: DirectUpload, number: int) -> None:
        if number == held.number and not held.ended.is_set():
            held.reached.set()
            await held.ended.wait()
        await watch_size(self, upload, number)

    monkeypatch.setattr(DirectUploads, "watch_size", watch_slowly)
    return held


def file_bytes(size: int) -> bytes:
    """The same bytes as the page makes."""
    i = numpy.arange(size, dtype=numpy.int64)
    body = ((i * 31 + (i >> 8) * 7 + (i >> 16) * 13) & 255).astype(numpy.uint8).tobytes()
    return b"\0\0\0\x20ftypisom" + body[12:]


def address(page: Page, endpoint: str, *, size: int, parts: bool, name: str) -> str:
    wanted = {"endpoint": endpoint, "size": size, "parts": str(parts).lower(), "name": name, "type": "video/mp4"}
    return f"{page.url}/?{urlencode(wanted)}"


async def reports_until(page: Page, *ends: str) -> list[dict[str, Any]]:
    """All that the page says up to one of these, or to an error."""
    seen = [await page.next_report()]
    while seen[-1]["what"] not in ends:
        assert seen[-1]["what"] != "error", seen
        seen.append(await page.next_report())
    return seen


async def own_address(gateway: Gateway) -> str:
    """The address that a product's server asks for, to hand it to its page."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{gateway.url}/v1/companion")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["companion_endpoint"])


async def original(gateway: Gateway, asset_id: str) -> bytes:
    async with gateway.plane.pool.connection() as conn:
        row = await objects.original(conn, asset_id)
    store = gateway.plane.stores[row.store].store
    return b"".join([chunk async for chunk in store.read(row.key)])


async def test_tab_closed_in_the_middle(gateway: Gateway, page: Page, stall: Stall, tmp_path: Path) -> None:
    """A tab is closed in the middle of an upload; opened again, Uppy sends what is missing and no more."""
    url = address(page, await own_address(gateway), size=SIZE, parts=True, name="größer & besser.mp4")
    async with running_browser(tmp_path) as browser:
        tab = await browser.open_tab(url)
        await asyncio.wait_for(stall.reached.wait(), 60)
        before = [report["number"] for report in await reports_until_part(page, 2)]
        await asyncio.sleep(1.5)  # Golden Retriever writes down what it knows twice a second
        await browser.close_tab(tab)
        stall.ended.set()
        await browser.open_tab(url)
        after = await reports_until(page, "success")
    assert before == [1, 2]
    assert next(report for report in after if report["what"] == "restored")["size"] == SIZE
    assert [report["number"] for report in after if report["what"] == "part"] == [3, 4, 5]
    uploads = await completed(gateway, "größer & besser.mp4")
    assert [upload.size_bytes for upload in uploads] == [SIZE]
    assert await original(gateway, uploads[0].asset_id) == file_bytes(SIZE)


async def reports_until_part(page: Page, number: int) -> list[dict[str, Any]]:
    seen = [await page.next_report()]
    while seen[-1].get("number") != number:
        seen.append(await page.next_report())
    return seen


async def test_in_parts_by_the_page_itself(gateway: Gateway, page: Page, tmp_path: Path) -> None:
    """A page of a configured origin uses the gateway's own address; where nobody has accounts it needs no other."""
    url = address(page, gateway.url, size=6 * MIB, parts=True, name="direct.mp4")
    async with running_browser(tmp_path) as browser:
        await browser.open_tab(url)
        seen = await reports_until(page, "success")
    body = seen[-1]["body"]
    (upload,) = await completed(gateway, "direct.mp4")
    assert body["key"] == upload.key
    assert body["location"] == f"{gateway.url}/v1/assets/{upload.asset_id}"
    assert await original(gateway, upload.asset_id) == file_bytes(6 * MIB)


async def test_small_file_in_one_form(gateway: Gateway, page: Page, tmp_path: Path) -> None:
    """A small file goes as one form, after which the client says nothing: what arrived is found and processed."""
    size = 300_001
    url = address(page, await own_address(gateway), size=size, parts=False, name="small.mp4")
    async with running_browser(tmp_path) as browser:
        await browser.open_tab(url)
        await reports_until(page, "success")
    async with gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE uploads SET created_at = now() - interval '1 minute' WHERE state = 'open'")
    await gateway.plane.completion(gateway.plane.pool.connection).complete_forgotten()
    (upload,) = await completed(gateway, "small.mp4")
    async with gateway.plane.pool.connection() as conn:
        assert (await assets.get(conn, upload.asset_id)).status == "processing"
    assert await original(gateway, upload.asset_id) == file_bytes(size)


async def completed(gateway: Gateway, name: str) -> list[DirectUpload]:
    """The completed uploads of this file."""
    async with gateway.plane.pool.connection() as conn:
        query = (
            "SELECT upload_id FROM uploads WHERE name = %s AND state = 'completed' AND NOT reused AND store = ANY(%s)"
        )
        found = await (await conn.execute(query, [name, list(gateway.plane.stores)])).fetchall()
        return [await direct_uploads.get(conn, row[0], owner=None, team=None) for row in found]


async def test_page_of_another_site(gateway: Gateway) -> None:
    """A page of an origin that is not configured may not begin uploads, and a changed address opens nothing."""
    headers = {"origin": "https://evil.example"}
    async with httpx.AsyncClient() as client:
        announced = {"filename": "a.mp4", "type": "video/mp4"}
        refused = await client.post(f"{gateway.url}/s3/multipart", json=announced, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
        changed = (await own_address(gateway))[:-1]
        for path in (changed, f"{gateway.url}/v1/companion/e30.x"):
            answer = await client.post(f"{path}/s3/multipart", json=announced)
            assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
