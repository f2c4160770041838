"""Companion's routes as older Uppy clients ask them, and what the protocol leaves to us: sizes."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mediaplane.access import direct
from mediaplane.access.principals import Role
from mediaplane.catalog import objects
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
HEAD = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
FILE = {"filename": "talk.mp4", "type": "video/mp4"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_UPLOAD_MAX_MB": "100"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{gateway.url}/s3", timeout=30) as opened:
        yield opened


async def begin(client: httpx.AsyncClient, **metadata: Any) -> tuple[str, dict[str, str]]:
    made = (await client.post("/multipart", json={**FILE, "metadata": metadata})).json()
    return f"/multipart/{made['uploadId']}", {"key": made["key"]}


async def send(client: httpx.AsyncClient, path: str, key: dict[str, str], *bodies: bytes) -> list[dict[str, Any]]:
    numbers = ",".join(str(number) for number in range(1, len(bodies) + 1))
    urls = (await client.get(f"{path}/batch", params={**key, "partNumbers": numbers})).json()["presignedUrls"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = await client.put(urls[str(number)], content=body)
        parts.append({"PartNumber": number, "ETag": sent.headers["etag"]})
    return parts


async def test_batch_of_parts(gateway, client):
    """Several URLs at once, parts listed as S3 does, joined in the order of their numbers."""
    path, key = await begin(client, title="A talk")
    bodies = (HEAD.ljust(5 * MIB, b"a"), b"b" * 1000)
    parts = await send(client, path, key, *bodies)
    listed = (await client.get(path, params=key)).json()
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 5 * MIB), (2, 1000)]
    done = await client.post(f"{path}/complete", params=key, json={"parts": parts[::-1]})
    assert done.status_code == 200, done.text
    async with gateway.plane.pool.connection() as conn:
        row = await objects.original(conn, done.json()["asset_id"])
    assert row.size_bytes == 5 * MIB + 1000


async def test_size_that_the_page_said(client):
    """With `file.meta.size` the upload is complete when so many bytes are there, however they are cut."""
    path, key = await begin(client, size=5 * MIB + 10)
    parts = await send(client, path, key, HEAD.ljust(5 * MIB, b"c"), b"short")
    refused = await client.post(f"{path}/complete", params=key, json={"parts": parts})
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_incomplete")
    parts = await send(client, path, key, HEAD.ljust(5 * MIB, b"c"), b"all of it!")
    assert (await client.post(f"{path}/complete", params=key, json={"parts": parts})).status_code == 200


async def test_more_than_is_taken(client, monkeypatch):
    """Where no size was said, more than may be uploaded is noticed on the way and refused at the end."""
    monkeypatch.setattr(direct, "_WATCH_EVERY", 3)
    path, key = await begin(client)
    parts = await send(client, path, key, HEAD.ljust(60 * MIB), b"x" * (41 * MIB))
    late = await client.get(f"{path}/3", params=key)
    assert (late.status_code, late.json()["code"]) == (413, "upload_too_large")
    done = await client.post(f"{path}/complete", params=key, json={"parts": parts})
    assert (done.status_code, done.json()["code"]) == (413, "upload_too_large")
    assert (await client.get(f"{path}/1", params=key)).json()["code"] == "upload_closed"


async def test_key_of_another_upload(client):
    """An id is good with its own key only; parts beyond 10,000 and etags that are not there are refused."""
    path, key = await begin(client)
    other = await begin(client)
    for query in (other[1], {"key": "../../etc/passwd"}, {"key": "a\0b"}):
        assert (await client.get(path, params=query)).json()["code"] == "upload_not_found"
    assert (await client.get(f"{path}/10001", params=key)).json()["code"] == "parts_invalid"
    assert (await client.get(f"{path}/batch", params={**key, "partNumbers": "1,x"})).status_code == 422
    await send(client, path, key, HEAD)
    wrong = {"parts": [{"PartNumber": 1, "ETag": "wrong"}]}
    assert (await client.post(f"{path}/complete", params=key, json=wrong)).json()["code"] == "parts_invalid"


async def test_abort(client):
    """An upload that is cancelled is gone."""
    path, key = await begin(client)
    assert (await client.delete(path, params=key)).json() == {}
    assert (await client.get(path, params=key)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_form(gateway, client, method):
    """One form for one file: of no other key, not larger, not twice, and never of a type that is not taken."""
    asked = {"params": FILE} if method == "GET" else {"json": FILE}
    made = (await client.request(method, "/params", **asked)).json()
    assert made["method"] == "POST"
    file = {"file": ("blob", HEAD, "text/html")}
    for name, value in (("key", "videos/original/x/master.mp4"), ("largest", "9" * 15), ("content-type", "text/html")):
        changed = {**made["fields"], name: value}
        assert (await client.post(made["url"], data=changed, files=file)).status_code == 403
    sent = await client.post(made["url"], data=made["fields"], files=file)
    assert sent.status_code == 201, sent.text
    assert sent.headers["etag"]
    refused = await client.get("/params", params={"filename": "page.html", "type": "text/html"})
    assert (refused.status_code, refused.json()["code"]) == (415, "upload_type_refused")


async def test_store_without_forms(module_dsn, tmp_path):
    """On R2, which has no POST policy, a form is refused with what to do, and nothing is begun."""
    environ = {
        "STORAGE_MODE": "s3", "S3_ENDPOINT": "http://127.0.0.1:1", "S3_PROVIDER": "r2", "S3_ACCESS_KEY_ID": "a",
        "S3_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip
    async with running_gateway(module_dsn, tmp_path, environ) as gateway, httpx.AsyncClient() as client:
        before = (await client.get(f"{gateway.url}/v1/uploads")).json()["uploads"]
        refused = await client.get(f"{gateway.url}/s3/params", params=FILE)
        assert (refused.status_code, refused.json()["code"]) == (422, "upload_error")
        assert "shouldUseMultipart" in refused.json()["detail"]
        assert (await client.get(f"{gateway.url}/v1/uploads")).json()["uploads"] == before


async def test_address_of_ones_own(module_dsn, tmp_path):
    """With accounts the address uploads as the one who asked for it, and opens nothing else; not everybody gets one."""
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on"}
    async with running_gateway(module_dsn, tmp_path, environ) as gateway, httpx.AsyncClient() as client:
        pool = gateway.plane.pool
        contributor = await make_header(pool, Role.CONTRIBUTOR, owner="anna", team="blue")
        other = await make_header(pool, Role.CONTRIBUTOR, owner="bert", team="blue")
        for role in (Role.VALIDATOR, Role.COMPANY):
            header = await make_header(pool, role, owner="carl", team="blue")
            refused = await client.post(f"{gateway.url}/v1/companion", headers=header)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
        made = (await client.post(f"{gateway.url}/v1/companion", headers=contributor)).json()
        address = made["companion_endpoint"]
        upload = (await client.post(f"{address}/s3/multipart", json=FILE)).json()
        assert (await client.post(f"{gateway.url}/s3/multipart", json=FILE)).status_code == 401
        assert (await client.get(f"{address}/v1/uploads")).status_code == 404
        place = {"params": {"key": upload["key"]}}
        bert = (await client.post(f"{gateway.url}/v1/companion", headers=other)).json()["companion_endpoint"]
        foreign = await client.get(f"{bert}/s3/multipart/{upload['uploadId']}", **place)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "upload_not_found")
        assert (await client.get(f"{address}/s3/multipart/{upload['uploadId']}", **place)).json() == []
        shown = await client.get(f"{gateway.url}/v1/uploads/{upload['uploadId']}", headers=contributor)
        assert shown.json()["state"] == "open"
