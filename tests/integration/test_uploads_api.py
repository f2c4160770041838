"""Uploads by clients over real HTTP: straight to SeaweedFS, to Ceph RGW, and to a directory through the gateway."""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mediaplane.access import claims, completion
from mediaplane.catalog import assets, direct_uploads, objects, outbox
from mediaplane.gateway import once
from mediaplane.media.ids import new_id
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import sweep_abandoned
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PART = 16 << 20
BIG = PART + (1 << 20) + 7  # two parts, the last one odd


@dataclass(frozen=True)
class Uploading:
    """A gateway over one kind of store, and a client of it."""

    gateway: Gateway
    client: httpx.AsyncClient
    kind: str

    async def begin(self, body: bytes, **wish: Any) -> dict[str, Any]:
        answer = await self.post("", {"name": "clip.mp4", "size_bytes": len(body), **wish})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def post(self, path: str, document: Any = None, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"{self.gateway.url}/v1/uploads{path}", json=document, headers=sent)

    async def get(self, path: str = "") -> httpx.Response:
        return await self.client.get(f"{self.gateway.url}/v1/uploads{path}")

    async def put(self, upload: dict[str, Any], body: bytes) -> httpx.Response:
        sent = upload["put"]
        return await self.client.put(sent["url"], content=body, headers=sent["headers"])

    async def send(self, part: dict[str, Any], body: bytes) -> httpx.Response:
        """Send one part of a file whose parts have `PART` bytes."""
        start = (part["number"] - 1) * PART
        return await self.client.put(part["url"], content=body[start : start + PART])

    async def complete(self, upload: dict[str, Any], document: Any = None) -> httpx.Response:
        return await self.post(f"/{upload['upload_id']}/complete", document)

    async def stored(self, asset_id: str) -> bytes:
        """What the catalog says and the store has of the asset's original."""
        async with self.gateway.plane.pool.connection() as conn:
            row = await objects.original(conn, asset_id)
        store = self.gateway.plane.stores[row.store].store
        body = b"".join([chunk async for chunk in store.read(row.key)])
        assert row.size_bytes == len(body)
        return body

    async def keys(self) -> list[str]:
        """All keys of the stores, once the outbox is drained."""
        stores = {name: opened.store for name, opened in self.gateway.plane.stores.items()}
        await drain_outbox(self.gateway.plane.pool, stores)
        return [info.key for store in stores.values() async for info in store.walk("")]

    async def row(self, upload: dict[str, Any]) -> direct_uploads.DirectUpload:
        async with self.gateway.plane.pool.connection() as conn:
            return await direct_uploads.get(conn, upload["upload_id"], owner=None, team=None)

    async def asset(self, asset_id: str) -> assets.Asset:
        async with self.gateway.plane.pool.connection() as conn:
            return await assets.get(conn, asset_id)

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.gateway.plane.pool.connection() as conn:
            await conn.execute(statement, values)

    async def sweep(self) -> None:
        plane = self.gateway.plane
        intakes = {name: opened.intake for name, opened in plane.stores.items()}
        await sweep_abandoned(plane.pool.connection, intakes, silence=timedelta(hours=24))


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["seaweed", "rgw", "local"])
async def uploading(request, module_dsn, tmp_path_factory, fresh_bucket) -> AsyncIterator[Uploading]:
    environ = {"STORAGE_MODE": "local"}
    if request.param != "local":
        server = request.getfixturevalue(request.param)
        environ = {
            "STORAGE_MODE": "s3",
            "S3_ENDPOINT": server.http_endpoint,
            "S3_BUCKET": fresh_bucket(server),
            "S3_ACCESS_KEY_ID": server.access_key,
            "S3_SECRET_ACCESS_KEY": server.secret_key,
            "S3_PROVIDER": {"seaweed": "seaweedfs", "rgw": "ceph"}[request.param],
        }
    state = tmp_path_factory.mktemp("state")
    async with running_gateway(module_dsn, state, environ) as gateway, httpx.AsyncClient(timeout=60) as client:
        yield Uploading(gateway, client, request.param)


def mp4(size_bytes: int = 2000) -> bytes:
    """Bytes that begin as an MP4 does and are like no others."""
    return MP4 + random.randbytes(size_bytes - len(MP4))


async def test_upload_in_one_put(uploading):
    """A file goes in one signed PUT, and becomes an asset in processing once it was verified."""
    body = mp4()
    upload = await uploading.begin(body, title="Talk")
    assert (upload["state"], upload["way"], upload["received_bytes"]) == ("open", "put", 0)
    assert (await uploading.asset(upload["asset_id"])).status == "uploading"
    assert (await uploading.put(upload, body)).status_code == 200
    answer = await uploading.complete(upload)
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["state"], done["asset_id"], done["reused"]) == ("completed", upload["asset_id"], False)
    assert await uploading.stored(upload["asset_id"]) == body
    asset = await uploading.asset(upload["asset_id"])
    assert (asset.status, asset.title) == ("processing", "Talk")
    assert asset.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"


async def test_put_is_bound(uploading):
    """The URL takes exactly the size and type that were announced, at its key, for PUT only."""
    body = mp4()
    upload = await uploading.begin(body)
    put = upload["put"]
    for content, headers in (
        (body + b"x", put["headers"]),
        (body[:-1], put["headers"]),
        (body, {**put["headers"], "content-type": "text/html"}),
    ):
        assert (await uploading.client.put(put["url"], content=content, headers=headers)).status_code == 403
    other = put["url"].replace(upload["asset_id"], new_id())
    assert (await uploading.client.put(other, content=body, headers=put["headers"])).status_code == 403
    assert (await uploading.client.get(put["url"])).status_code == 403
    assert (await uploading.complete(upload)).json()["code"] == "upload_incomplete"
    assert (await uploading.put(upload, body)).status_code == 200
    assert (await uploading.complete(upload)).status_code == 200


async def test_put_url_lives_fifteen_minutes(uploading):
    """A URL to upload with ends after a quarter of an hour at most."""
    upload = await uploading.begin(mp4())
    url = httpx.URL(upload["put"]["url"])
    if uploading.kind == "local":
        assert 14 * 60 - 5 < int(url.params["expires"]) - time.time() <= 15 * 60
    else:
        assert int(url.params["X-Amz-Expires"]) == 15 * 60


async def test_completed_object_is_replaced(uploading):
    """Once complete, the URL that is still alive replaces nothing, or is found out where a store lets it."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    assert (await uploading.complete(upload)).status_code == 200
    again = await uploading.put(upload, mp4(len(body)))
    if (await uploading.row(upload)).write_once:
        assert again.status_code in (403, 412)
        assert await uploading.stored(upload["asset_id"]) == body
        assert (await uploading.row(upload)).recheck_at is None
    else:
        assert again.status_code == 200
        await look_again(uploading, upload)
        assert (await uploading.asset(upload["asset_id"])).error_code == "upload_changed"


async def test_put_that_began_before_completion(uploading):
    """Of two PUTs at once the first that is whole counts: the other replaces nothing, however late it ends."""
    body = mp4()
    upload = await uploading.begin(body)
    if not (await uploading.row(upload)).write_once:
        return  # `test_completed_object_is_replaced` has what happens then
    done = asyncio.Event()

    async def slow():
        yield body[:1000]
        await done.wait()
        yield os.urandom(1000)

    sent = upload["put"]
    headers = {**sent["headers"], "content-length": str(len(body))}
    late = asyncio.create_task(uploading.client.put(sent["url"], content=slow(), headers=headers))
    await asyncio.sleep(0.2)
    assert (await uploading.put(upload, body)).status_code == 200
    assert (await uploading.put(upload, body)).status_code == 412
    assert (await uploading.complete(upload)).status_code == 200
    done.set()
    assert (await late).status_code == 412
    assert await uploading.stored(upload["asset_id"]) == body


async def look_again(uploading: Uploading, upload: dict[str, Any]) -> None:
    """Do what a worker does when the URL has ended."""
    await uploading.execute("UPDATE uploads SET recheck_at = now() WHERE upload_id = %s", upload["upload_id"])
    await uploading.gateway.plane.completion(uploading.gateway.plane.pool.connection).look_again()


async def test_upload_in_parts_out_of_order(uploading):
    """Parts come in any order, again, and bound to their size; the bytes are those of the file."""
    body = mp4(BIG)
    upload = await uploading.begin(body, multipart=True)
    parts = upload["parts"]
    assert (parts["part_bytes"], parts["count"]) == (PART, 2)
    first, last = parts["urls"]
    assert (first["size_bytes"], last["size_bytes"]) == (PART, BIG - PART)
    assert (await uploading.client.put(last["url"], content=b"too short")).status_code == 403
    assert (await uploading.send(last, random.randbytes(BIG))).status_code == 200  # wrong bytes, sent again below
    await asyncio.sleep(1.1)  # S3 tells times of parts to the second
    assert (await uploading.send(last, body)).status_code == 200
    assert (await uploading.send(first, body)).status_code == 200
    answer = await uploading.complete(upload)
    assert answer.status_code == 200, answer.text
    assert await uploading.stored(upload["asset_id"]) == body


async def test_upload_resumes(uploading):
    """Asked again (a closed tab, a new device), the session tells which parts are there and signs the rest."""
    body = mp4(BIG)
    upload = await uploading.begin(body, multipart=True)
    etag = (await uploading.send(upload["parts"]["urls"][0], body)).headers["etag"]
    listed = (await uploading.get()).json()["uploads"]
    assert listed[0]["upload_id"] == upload["upload_id"]
    resumed = (await uploading.get(f"/{upload['upload_id']}")).json()
    assert resumed["received_bytes"] == PART
    (received,) = resumed["parts"]["received"]
    assert (received["number"], received["etag"].strip('"')) == (1, etag.strip('"'))
    (missing,) = resumed["parts"]["urls"]
    assert missing["number"] == 2
    assert (await uploading.complete(upload)).json()["code"] == "upload_incomplete"
    second = (await uploading.send(missing, body)).headers["etag"]
    said = {"parts": [{"number": 2, "etag": second}, {"number": 1, "etag": etag}]}
    assert (await uploading.complete(upload, said)).status_code == 200
    assert await uploading.stored(upload["asset_id"]) == body
    assert (await uploading.get(f"/{upload['upload_id']}")).json()["state"] == "completed"


async def test_more_part_urls(uploading):
    """Any existing part can be signed again; part 10,001, part 0 and a third of two are refused."""
    upload = await uploading.begin(mp4(BIG), multipart=True)
    answer = await uploading.post(f"/{upload['upload_id']}/parts", {"numbers": [2, 1]})
    assert [part["number"] for part in answer.json()["urls"]] == [2, 1]
    for number in (0, 3, 10_001, -1):
        refused = await uploading.post(f"/{upload['upload_id']}/parts", {"numbers": [number]})
        assert (refused.status_code, refused.json()["code"]) == (422, "parts_invalid")


async def test_lists_of_parts_that_cannot_be(uploading):
    """Wrong etags, numbers twice, and 10,001 parts are refused; the upload goes on."""
    body = mp4(BIG)
    upload = await uploading.begin(body, multipart=True)
    etags = [(await uploading.send(part, body)).headers["etag"] for part in upload["parts"]["urls"]]
    right = [{"number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    many = [{"number": number, "etag": "x"} for number in range(1, 10_002)]
    wrong = [
        [right[0], {"number": 2, "etag": etags[0]}],
        [right[0], right[0], right[1]],
        [*right, {"number": 3, "etag": "x"}],
        [{"number": 0, "etag": "x"}],
        many,
    ]
    for parts in wrong:
        answer = await uploading.complete(upload, {"parts": parts})
        assert (answer.status_code, answer.json()["code"]) == (422, "parts_invalid"), parts[:3]
    short = await uploading.complete(upload, {"parts": right[:1]})
    assert (short.status_code, short.json()["code"]) == (409, "upload_incomplete")
    assert (await uploading.complete(upload, {"parts": right})).status_code == 200
    assert await uploading.stored(upload["asset_id"]) == body


async def test_complete_without_upload(uploading):
    """Nothing that did not arrive is ever shown as done."""
    upload = await uploading.begin(mp4())
    answer = await uploading.complete(upload)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
    assert (await uploading.asset(upload["asset_id"])).status == "uploading"
    in_parts = await uploading.begin(mp4(BIG), multipart=True)
    answer = await uploading.complete(in_parts)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")


@pytest.mark.parametrize("size_bytes", [0, 1999])
async def test_object_that_is_short(uploading, size_bytes):
    """An empty or short object, however it came to the key, is not taken as the file."""
    body = mp4()
    upload = await uploading.begin(body)
    row = await uploading.row(upload)

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:size_bytes]

    store = uploading.gateway.plane.stores[row.store].store
    await store.put(row.object_key, chunks(), content_type="video/mp4")
    answer = await uploading.complete(upload)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
    assert f"{size_bytes} of 2000 bytes" in answer.json()["detail"]
    await store.delete([row.object_key])
    assert (await uploading.put(upload, body)).status_code == 200
    assert (await uploading.complete(upload)).status_code == 200


async def test_replayed_complete(uploading):
    """Asked again, and by many at once, it is registered once and answered the same."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    answers = await asyncio.gather(*(uploading.complete(upload) for _ in range(5)))
    answers.append(await uploading.complete(upload))
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    async with uploading.gateway.plane.pool.connection() as conn:
        query = "SELECT count(*) FROM stage_runs WHERE asset_id = %s"
        assert await (await conn.execute(query, [upload["asset_id"]])).fetchone() == (1,)


async def test_lost_answer_of_the_store(uploading):
    """Parts that were joined by a request that died are found joined by the next one."""
    body = mp4(BIG)
    upload = await uploading.begin(body, multipart=True)
    for part in upload["parts"]["urls"]:
        await uploading.send(part, body)
    row = await uploading.row(upload)
    intake = uploading.gateway.plane.stores[row.store].intake
    await intake.join(row.object_key, row.store_ref, await intake.parts(row.object_key, row.store_ref))
    assert (await uploading.get(f"/{upload['upload_id']}")).status_code == 200
    assert (await uploading.complete(upload)).status_code == 200
    assert await uploading.stored(upload["asset_id"]) == body


async def test_same_bytes_by_digest(uploading):
    """Bytes that are there already are not uploaded again."""
    body = mp4()
    sha256 = hashlib.sha256(body).hexdigest()
    first = await uploading.begin(body, sha256=sha256)
    await uploading.put(first, body)
    assert (await uploading.complete(first)).status_code == 200
    wish = {"name": "again.mp4", "size_bytes": len(body), "sha256": sha256.upper()}
    again = await uploading.post("", wish)
    assert again.status_code == 200
    assert (again.json()["asset_id"], again.json()["reused"]) == (first["asset_id"], True)
    assert (again.json()["upload_id"], again.json()["put"]) == (None, None)


@pytest.mark.parametrize("size_bytes", [2000, BIG])
async def test_same_bytes_found_after_completion(uploading, size_bytes):
    """Without a digest the same bytes are known once they have arrived, and are not kept twice."""
    body = mp4(size_bytes)
    upload_ids = []
    for _ in range(2):
        upload = await uploading.begin(body, multipart=size_bytes == BIG)
        if size_bytes == BIG:
            for part in upload["parts"]["urls"]:
                await uploading.send(part, body)
        else:
            await uploading.put(upload, body)
        upload_ids.append(upload)
    first, second = [(await uploading.complete(upload)).json() for upload in upload_ids]
    assert (second["asset_id"], second["reused"]) == (first["asset_id"], True)
    assert (await uploading.complete(upload_ids[1])).json() == second
    async with uploading.gateway.plane.pool.connection() as conn:
        with pytest.raises(assets.AssetNotFound):
            await assets.get(conn, upload_ids[1]["asset_id"])
    assert not [key for key in await uploading.keys() if upload_ids[1]["asset_id"] in key]


async def test_same_bytes_that_came_another_way(uploading):
    """In one PUT or in parts, with a digest or without: the same bytes are the same asset."""
    body = mp4(2 << 20)
    sha256 = hashlib.sha256(body).hexdigest()
    answers = []
    for wish in ({}, {"multipart": True}, {"multipart": True, "md5": hashlib.md5(body).hexdigest()}):
        upload = await uploading.begin(body, **wish)
        sent = (
            await uploading.put(upload, body)
            if upload["put"]
            else await uploading.send(upload["parts"]["urls"][0], body)
        )
        assert sent.status_code == 200
        answers.append((await uploading.complete(upload)).json())
    assert [answer["reused"] for answer in answers] == [False, True, True]
    assert len({answer["asset_id"] for answer in answers}) == 1
    other = mp4(len(body))
    upload = await uploading.begin(other, sha256=hashlib.sha256(other).hexdigest())
    await uploading.put(upload, other)
    done = (await uploading.complete(upload)).json()
    assert done["reused"] is False
    assert (await uploading.asset(upload["asset_id"])).digest != f"sha256:{sha256}"


@pytest.mark.parametrize("checksum", ["sha256", "md5"])
async def test_checksum_that_is_wrong(uploading, checksum):
    """Other bytes than those whose checksum was given are refused, by the store itself or when they are verified."""
    body, meant = mp4(), mp4()
    given = hashlib.new(checksum, meant).hexdigest()
    upload = await uploading.begin(body, **{checksum: given})
    put = await uploading.put(upload, body)
    if put.status_code == 400:
        assert "BadDigest" in put.text
        assert (await uploading.put(upload, meant)).status_code == 200
        assert (await uploading.complete(upload)).status_code == 200
        return
    assert put.status_code == 200
    for _ in range(2):
        answer = await uploading.complete(upload)
        assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
    asset = await uploading.asset(upload["asset_id"])
    assert (asset.status, asset.error_code) == ("failed", "checksum_mismatch")
    assert not [key for key in await uploading.keys() if upload["asset_id"] in key]


async def test_checksum_of_parts(uploading):
    """A checksum of a file in parts is compared by reading it."""
    body = mp4(BIG)
    for given, status in ((body, 200), (mp4(), 422)):
        upload = await uploading.begin(body, multipart=True, md5=hashlib.md5(given).hexdigest())
        for part in upload["parts"]["urls"]:
            await uploading.send(part, body)
        assert (await uploading.complete(upload)).status_code == status


async def test_type_that_lies(uploading):
    """HTML that says it is a JPEG is refused, its bytes go, and asked again it is refused the same."""
    page = b"<!DOCTYPE html><script>alert(1)</script>".ljust(500)
    upload = await uploading.begin(page, name="photo.jpg", content_type="image/jpeg")
    assert (await uploading.put(upload, page)).status_code == 200
    for _ in range(2):
        answer = await uploading.complete(upload)
        assert (answer.status_code, answer.json()["code"]) == (415, "upload_type_refused")
        assert "text/html" in answer.json()["detail"]
    shown = (await uploading.get(f"/{upload['upload_id']}")).json()
    assert (shown["state"], shown["error_code"]) == ("refused", "upload_type_refused")
    assert (await uploading.asset(upload["asset_id"])).error_code == "upload_type_refused"
    assert not [key for key in await uploading.keys() if upload["asset_id"] in key]


async def test_type_that_is_another_picture(uploading):
    """A PNG that was called a JPEG is taken and served as what it is."""
    body = PNG + random.randbytes(500)
    upload = await uploading.begin(body, name="photo.jpg", content_type="image/jpeg")
    await uploading.put(upload, body)
    assert (await uploading.complete(upload)).status_code == 200
    async with uploading.gateway.plane.pool.connection() as conn:
        assert (await objects.original(conn, upload["asset_id"])).content_type == "image/png"


async def test_object_swapped_while_it_is_verified(uploading, monkeypatch):
    """Bytes replaced between the first look and the registration are not taken."""
    body, other = mp4(), mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    row = await uploading.row(upload)
    store = uploading.gateway.plane.stores[row.store].store
    look = type(store).look

    async def swapped(self, key, most_bytes):
        seen = await look(self, key, most_bytes)

        async def chunks():
            yield other

        await asyncio.sleep(1.1)  # S3 tells times to the second
        await self.put(key, chunks(), content_type="video/mp4")
        return seen

    monkeypatch.setattr(type(store), "look", swapped)
    answer = await uploading.complete(upload)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_changed")
    monkeypatch.undo()
    assert (await uploading.complete(upload)).status_code == 200
    assert await uploading.stored(upload["asset_id"]) == other


async def test_object_swapped_after_completion(uploading):
    """Where a store cannot refuse a second PUT, the bytes are looked at again once the URL has ended."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    await uploading.complete(upload)
    row = await uploading.row(upload)

    async def chunks():
        yield mp4()

    await uploading.gateway.plane.stores[row.store].store.put(row.object_key, chunks(), content_type="video/mp4")
    await look_again(uploading, upload)
    asset = await uploading.asset(upload["asset_id"])
    assert (asset.status, asset.error_code) == ("failed", "upload_changed")
    assert row.object_key not in await uploading.keys()
    assert (await uploading.row(upload)).recheck_at is None


async def test_upload_that_nobody_speaks_of(uploading):
    """A file that arrived whole is completed by itself, though its tab was closed before it said so."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    empty = await uploading.begin(body)
    completion = uploading.gateway.plane.completion(uploading.gateway.plane.pool.connection)
    await completion.complete_forgotten()
    assert (await uploading.row(upload)).state == "open"  # it is given time to say so itself
    old = "UPDATE uploads SET created_at = now() - interval '1 minute', checked_at = NULL WHERE state = 'open'"
    await uploading.execute(old)
    await completion.complete_forgotten()
    assert (await uploading.row(upload)).state == "completed"
    assert (await uploading.row(empty)).state == "open"
    assert await uploading.stored(upload["asset_id"]) == body


async def test_abort(uploading):
    """What is given up is gone, parts included, and its URLs write nothing any more."""
    body = mp4(BIG)
    upload = await uploading.begin(body, multipart=True)
    first, last = upload["parts"]["urls"]
    await uploading.send(first, body)
    row = await uploading.row(upload)
    gone = await uploading.client.delete(f"{uploading.gateway.url}/v1/uploads/{upload['upload_id']}")
    assert gone.status_code == 204
    assert (await uploading.get(f"/{upload['upload_id']}")).json()["code"] == "upload_not_found"
    assert (await uploading.send(last, body)).status_code == 404
    await expect_no_parts(uploading, row)
    whole = await uploading.begin(mp4())
    url = f"{uploading.gateway.url}/v1/uploads/{whole['upload_id']}"
    assert (await uploading.client.delete(url)).status_code == 204
    assert (await uploading.client.delete(url)).status_code == 404


async def test_abort_of_a_completed_upload(uploading):
    """What is complete is an asset: it is deleted as one."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    await uploading.complete(upload)
    answer = await uploading.client.delete(f"{uploading.gateway.url}/v1/uploads/{upload['upload_id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    assert (await uploading.post(f"/{upload['upload_id']}/parts", {"numbers": [1]})).json()["code"] == "upload_closed"


async def test_abandoned_uploads_are_swept(uploading):
    """An upload that nobody goes on with goes after a day, parts included; one in use stays."""
    body = mp4(BIG)
    silent, alive = [await uploading.begin(body, multipart=True) for _ in range(2)]
    for upload in (silent, alive):
        await uploading.send(upload["parts"]["urls"][0], body)
    old = "UPDATE uploads SET seen_at = now() - interval '25 hours' WHERE upload_id = %s"
    for upload in (silent, alive):
        await uploading.execute(old, upload["upload_id"])
    assert (await uploading.get(f"/{alive['upload_id']}")).status_code == 200  # its client is back
    row = await uploading.row(silent)
    await uploading.sweep()
    assert (await uploading.get(f"/{silent['upload_id']}")).status_code == 404
    await expect_no_parts(uploading, row)
    assert (await uploading.get(f"/{alive['upload_id']}")).json()["received_bytes"] == PART


async def expect_no_parts(uploading: Uploading, row: direct_uploads.DirectUpload) -> None:
    opened = uploading.gateway.plane.stores[row.store]
    with pytest.raises(objects.ObjectNotFound):
        await opened.intake.parts(row.object_key, row.store_ref)
    if opened.endpoint is None:
        parts = opened.store.root / ".mediaplane-unfinished" / "parts" / row.store_ref
        assert not parts.exists()


async def test_limits(uploading):
    """Too large, of no size, or of a type that is not taken: refused before a row is written."""
    before = len((await uploading.get("?limit=500")).json()["uploads"])
    refusals = {
        "upload_too_large": {"name": "a.mp4", "size_bytes": 10**12},
        "upload_type_refused": {"name": "a.html", "size_bytes": 10},
        "invalid_request": {"name": "a.mp4", "size_bytes": 0},
    }
    for code, wish in refusals.items():
        assert (await uploading.post("", wish)).json()["code"] == code
    one_put = {"name": "a.mp4", "size_bytes": 6 << 30, "multipart": False}
    assert (await uploading.post("", one_put)).json()["code"] == "upload_too_large"
    half_a_character = b'{"name": "\\ud800.mp4", "size_bytes": 10}'
    headers = {"content-type": "application/json"}
    url = f"{uploading.gateway.url}/v1/uploads"
    assert (await uploading.client.post(url, content=half_a_character, headers=headers)).status_code == 422
    for content_type in ("text/html", "image/jpeg\r\nx: y", "nonsense", "application/octet-stream"):
        wish = {"name": "a", "size_bytes": 10, "content_type": content_type}
        assert (await uploading.post("", wish)).json()["code"] == "upload_type_refused"
    assert len((await uploading.get("?limit=500")).json()["uploads"]) == before


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.mp4",
        "a\0b.mp4",
        "\u202egnp.mp4",
        "..",
        "日本/é\u0301.mp4",
        "a" * 1000,
        "\\\\host\\x.mp4",
        " ",
    ],
)
async def test_names_never_become_keys(uploading, name):
    """Whatever a file is called, its key is made of an id and a type, and its name is only shown."""
    body = mp4()
    upload = await uploading.begin(body, name=name, title=name[:400], content_type="video/mp4")
    assert upload["name"].isprintable() and len(upload["name"]) <= 255
    assert "/" not in upload["name"]
    row = await uploading.row(upload)
    assert row.key == f"videos/original/{upload['asset_id']}/master.mp4"
    await uploading.put(upload, body)
    assert (await uploading.complete(upload)).status_code == 200


async def test_another_owners_upload(uploading):
    """Another's upload is not there: not to be shown, completed, signed for or aborted."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    await uploading.execute("UPDATE uploads SET owner = 'somebody' WHERE upload_id = %s", upload["upload_id"])
    path = f"/{upload['upload_id']}"
    url = f"{uploading.gateway.url}/v1/uploads{path}"
    answers = [
        await uploading.get(path),
        await uploading.complete(upload),
        await uploading.post(f"{path}/parts", {"numbers": [1]}),
        await uploading.client.delete(url),
    ]
    nobody = await uploading.get(f"/{new_id()}")
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "upload_not_found")
        assert answer.json().keys() == nobody.json().keys()
    assert upload["upload_id"] not in [
        row["upload_id"] for row in (await uploading.get("?limit=500")).json()["uploads"]
    ]


async def test_pages(uploading):
    """Open uploads come newest first, each once, over as many pages as it takes."""
    begun = [(await uploading.begin(mp4()))["upload_id"] for _ in range(5)]
    seen, page = [], ""
    while True:
        found = (await uploading.get(f"?limit=2{page}")).json()
        seen += [row["upload_id"] for row in found["uploads"]]
        if found["next"] is None:
            break
        page = f"&page={found['next']}"
    assert seen[:5] == begun[::-1]
    assert len(set(seen)) == len(seen)


async def test_idempotency_key(uploading):
    """A repeated request is done once; its key with another request, or while the first is at work, is refused."""
    wish, key = {"name": "clip.mp4", "size_bytes": 2000}, new_id()
    first = await uploading.post("", wish, idempotency_key=key)
    again = await uploading.post("", wish, idempotency_key=key)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await uploading.post("", {**wish, "size_bytes": 2001}, idempotency_key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    path = f"/{first.json()['upload_id']}/complete"
    assert (await uploading.post(path, idempotency_key=key)).json()["code"] == "idempotency_key_reused"
    racing = await asyncio.gather(*(uploading.post("", wish, idempotency_key="racing") for _ in range(8)))
    assert {answer.status_code for answer in racing} <= {201, 409}
    assert len({answer.json()["upload_id"] for answer in racing if answer.status_code == 201}) == 1
    assert {answer.json()["code"] for answer in racing if answer.status_code == 409} <= {"idempotency_key_busy"}


async def test_idempotency_key_of_a_long_request(uploading, monkeypatch):
    """The key stays busy for as long as its request takes, however short the lease."""
    body = mp4()
    upload = await uploading.begin(body)
    await uploading.put(upload, body)
    verify, begun = completion.verify, asyncio.Event()

    async def slow(*what: object, **more: object) -> object:
        begun.set()
        await asyncio.sleep(3)
        return await verify(*what, **more)

    monkeypatch.setattr(completion, "verify", slow)
    monkeypatch.setattr(once, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(claims, "RENEW_SECONDS", 0.1)
    path, key = f"/{upload['upload_id']}/complete", new_id()
    first = asyncio.create_task(uploading.post(path, idempotency_key=key))
    await asyncio.wait_for(begun.wait(), 60)
    await asyncio.sleep(1.5)
    busy = await uploading.post(path, idempotency_key=key)
    assert (busy.status_code, busy.json()["code"]) == (409, "idempotency_key_busy")
    assert (await first).status_code == 200
    again = await uploading.post(path, idempotency_key=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == ((await first).json(), "true")


async def test_idempotency_key_of_a_refusal(uploading):
    """A request that came to nothing may be sent again with its key, when its reason has gone."""
    body, key = mp4(), new_id()
    upload = await uploading.begin(body)
    path = f"/{upload['upload_id']}/complete"
    assert (await uploading.post(path, idempotency_key=key)).status_code == 409
    await uploading.put(upload, body)
    done = await uploading.post(path, idempotency_key=key)
    assert done.status_code == 200
    assert (await uploading.post(path, idempotency_key=key)).json() == done.json()
    assert (await uploading.post("", {"name": "x"}, idempotency_key="with a space")).status_code == 422


async def test_asset_deleted_while_it_is_uploaded(uploading):
    """The upload goes with its asset, and what arrives later is removed."""
    body = mp4()
    upload = await uploading.begin(body)
    gone = await uploading.client.delete(f"{uploading.gateway.url}/v1/assets/{upload['asset_id']}")
    assert gone.status_code == 204
    await uploading.put(upload, body)
    assert (await uploading.complete(upload)).json()["code"] == "upload_not_found"
    async with uploading.gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE outbox SET due_at = now()")
        assert (await outbox.waiting(conn)).keys >= 0
    assert not [key for key in await uploading.keys() if upload["asset_id"] in key]
