"""What buckets tell the gateway: Ceph's real webhook, and notices that are forged, repeated, old or out of order."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mediaplane.access import sns
from mediaplane.access.notices import Notices, Place
from mediaplane.catalog import assets, objects
from mediaplane.errors import DatabaseUnavailable, StorageError
from mediaplane.gateway.access_log import shown_path
from mediaplane.gateway.context import Context
from mediaplane.jobs.originals import Originals, Upshot
from mediaplane.media import webhooks
from mediaplane.media.ids import new_id
from mediaplane.media.notices import Kind, Notice
from mediaplane.settings import load_settings
from mediaplane.storage.bucket.apply import apply, plan
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.bucket.targets import read_targets
from mediaplane.storage.memory import MemoryStore
from mediaplane.storage.s3 import S3Store
from mediaplane.upkeep.deletion import drain_outbox
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway
from tests.unit.access.test_sns import CERTIFICATE_URL, TOPIC, certificate, confirmation, message

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "a secret of sixteen and more".replace(" ", "-")
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
LAYOUT = load_settings({}).layout


@dataclass(frozen=True)
class Bucket:
    """A gateway, a bucket that tells it of new originals, and a client of both."""

    gateway: Gateway
    client: httpx.AsyncClient
    s3: Any
    name: str

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/v1/events/s3"

    async def put(self, key: str, body: bytes) -> None:
        await asyncio.to_thread(self.s3.put_object, Bucket=self.name, Key=key, Body=body)

    async def tell(self, *records: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        sent = {"authorization": f"Bearer {SECRET}"} if headers is None else headers
        return await self.client.post(self.url, json={"Records": list(records)}, headers=sent)

    async def told(self, *records: dict[str, Any]) -> dict[str, int]:
        answer = await self.tell(*records)
        assert answer.status_code == 200, answer.text
        return answer.json()["outcomes"]

    def record(self, key: str, name: str = "ObjectCreated:Put", bucket: str = "") -> dict[str, Any]:
        about = {"bucket": {"name": bucket or self.name}, "object": {"key": key, "size": 1, "eTag": "e"}}
        return {"eventSource": "ceph:s3", "eventName": name, "s3": about}

    async def asset(self, asset_id: str) -> assets.Asset:
        async with self.gateway.plane.pool.connection() as conn:
            return await assets.get(conn, asset_id)

    async def count(self, table: str, asset_id: str) -> int:
        async with self.gateway.plane.pool.connection() as conn:
            query = f"SELECT count(*) FROM {table} WHERE asset_id = %s"
            row = await (await conn.execute(query, [asset_id])).fetchone()
        assert row is not None
        return int(row[0])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bucket(module_dsn, tmp_path_factory, rgw, fresh_bucket) -> AsyncIterator[Bucket]:
    name = fresh_bucket(rgw)
    environ = {
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": rgw.http_endpoint,
        "S3_BUCKET": name,
        "S3_ACCESS_KEY_ID": rgw.access_key,
        "S3_SECRET_ACCESS_KEY": rgw.secret_key,
        "S3_PROVIDER": "ceph",
        "MEDIAPLANE_NOTICE_SECRET": SECRET,
    }
    state = tmp_path_factory.mktemp("state")
    async with running_gateway(module_dsn, state, environ) as gateway, httpx.AsyncClient(timeout=60) as client:
        rules = BucketRules(events=f"{gateway.url}/v1/events/s3/{SECRET}")
        (target,) = read_targets(gateway.plane.settings)
        target = replace(target, rules=rules)
        await asyncio.to_thread(lambda: apply(target.endpoint, target.wanted, plan(target.endpoint, target.wanted)))
        yield Bucket(gateway, client, rgw.client(), name)


async def test_ceph_tells_of_an_original(bucket):
    """Put into the bucket by hand, an original is an asset a moment later; odd characters are no hindrance."""
    for asset_id, key in (("by-hand", "videos/original/by-hand/master.mp4"), ("b", "videos/original/b/master.mov")):
        await bucket.put(key, MP4 + asset_id.encode())
        asset = await bucket.asset(asset_id)
        assert (asset.status, asset.owner) == ("processing", "local")
        assert await bucket.count("stage_runs", asset_id) == 1
        async with bucket.gateway.plane.pool.connection() as conn:
            row = await objects.original(conn, asset_id)
        head = await asyncio.to_thread(bucket.s3.head_object, Bucket=bucket.name, Key=key)
        assert (row.key, row.etag, row.size_bytes) == (key, head["ETag"], head["ContentLength"])
    await bucket.put("videos/original/by-hand/master.mp4", MP4 + b"other bytes")
    async with bucket.gateway.plane.pool.connection() as conn:
        assert (await objects.original(conn, "by-hand")).size_bytes == len(MP4) + 11
    figures = (await bucket.client.get(f"{bucket.gateway.url}/metrics")).text
    assert 'mediaplane_bucket_notices_total{outcome="registered"}' in figures


async def test_ceph_completes_an_upload(bucket):
    """Ceph's word completes the upload of a client that never comes back; its own word later does no harm."""
    body = MP4 + b"x" * 1000
    uploads = f"{bucket.gateway.url}/v1/uploads"
    begun = (await bucket.client.post(uploads, json={"name": "a.mp4", "size_bytes": len(body)})).json()
    sent = await bucket.client.put(begun["put"]["url"], content=body, headers=begun["put"]["headers"])
    assert sent.status_code == 200
    upload = (await bucket.client.get(f"{uploads}/{begun['upload_id']}")).json()
    assert (upload["state"], upload["asset_id"]) == ("completed", begun["asset_id"])
    assert (await bucket.client.post(f"{uploads}/{begun['upload_id']}/complete")).status_code == 200
    assert await bucket.count("stage_runs", begun["asset_id"]) == 1


async def test_ceph_tells_while_parts_are_joined(bucket):
    """The gateway joins the parts, and Ceph tells it of that before it answers: nobody waits for the other."""
    part = 16 << 20
    body = MP4 + bytes(part)
    uploads = f"{bucket.gateway.url}/v1/uploads"
    wish = {"name": "a.mp4", "size_bytes": len(body), "multipart": True}
    begun = (await bucket.client.post(uploads, json=wish)).json()
    key = (await _upload_key(bucket, begun["upload_id"]))[0]
    first, second = begun["parts"]["urls"]
    await bucket.client.put(first["url"], content=body[:part])
    assert await bucket.told(bucket.record(key)) == {"under_way": 1}, "a notice never joins parts"
    await bucket.client.put(second["url"], content=body[part:])
    done = await bucket.client.post(f"{uploads}/{begun['upload_id']}/complete")
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert await bucket.count("stage_runs", begun["asset_id"]) == 1


async def _upload_key(bucket: Bucket, upload_id: str) -> tuple[Any, ...]:
    async with bucket.gateway.plane.pool.connection() as conn:
        found = await conn.execute("SELECT key, state FROM uploads WHERE upload_id = %s", [upload_id])
        row = await found.fetchone()
    assert row is not None
    return row


async def test_notices_repeated_old_and_out_of_order(bucket):
    """Each is a hint: what the store has is what counts, whatever is said of it and however often."""
    key = "videos/original/twice/master.mp4"
    created, removed = bucket.record(key), bucket.record(key, "ObjectRemoved:Delete")
    assert await bucket.told(created) == {"gone": 1}, "it tells of what is not there any more"
    await bucket.put(key, MP4)
    assert await bucket.told(created, created, removed) == {"known": 2}, "the same said twice is asked once"
    assert await bucket.told(removed, created) == {"known": 2}
    assert await bucket.count("stage_runs", "twice") == 1
    await asyncio.to_thread(bucket.s3.delete_object, Bucket=bucket.name, Key=key)
    assert await bucket.told(removed) == {"missing": 1}
    assert (await bucket.asset("twice")).status == "processing", "nobody's word deletes an asset"


async def test_notices_of_what_was_deleted_here(bucket):
    """An asset that its owner deleted does not come back because its bucket is slow to tell."""
    key = "videos/original/deleted/master.mp4"
    await bucket.put(key, MP4)
    assert (await bucket.client.delete(f"{bucket.gateway.url}/v1/assets/deleted")).status_code == 204
    assert await bucket.told(bucket.record(key)) == {"leaving": 1}
    plane = bucket.gateway.plane
    await drain_outbox(plane.pool, {name: opened.store for name, opened in plane.stores.items()})
    assert await bucket.told(bucket.record(key), bucket.record(key, "ObjectRemoved:Delete")) == {"gone": 2}
    assert await bucket.count("assets", "deleted") == 0


async def test_notices_of_what_is_no_original(bucket):
    """Other keys, other buckets, other events: acknowledged, so that nobody repeats them, and nothing comes of them."""
    for key in ("videos/clips/a/c.mp4", "videos/original/notes.txt"):
        await bucket.put(key, b"x")
    assert await bucket.told(
        bucket.record("videos/clips/a/c.mp4"),
        bucket.record("videos/original/notes.txt"),
        bucket.record("../../etc/passwd"),
        bucket.record("videos/original/a/master.mp4", bucket="somebody-else"),
        bucket.record("videos/original/a/master.mp4", "ObjectTagging:Put"),
    ) == {"no_original": 3, "unknown_bucket": 1, "ignored": 1}


def signed(body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Headers of Standard Webhooks."""
    stamp = int(time.time() if at is None else at)
    signature = webhooks.sign("msg_1", stamp, body, [secret.encode()])
    return {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


async def test_senders_prove_themselves(bucket):
    """By the secret as servers can send it, or by a signature over the body."""
    body = json.dumps({"Records": []}).encode()
    for headers in (
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": SECRET},
        basic("minio", SECRET),
        signed(body),
    ):
        answer = await bucket.client.post(bucket.url, content=body, headers=headers)
        assert answer.status_code == 200, headers
    assert (await bucket.client.post(f"{bucket.url}/{SECRET}", content=body)).status_code == 200


async def test_forged_notices(bucket):
    """Without the secret nothing is looked at, whatever the body says and wherever it comes from."""
    await asyncio.to_thread(bucket.s3.put_object, Bucket=bucket.name, Key="videos/original/forged/x.txt", Body=b"x")
    body = json.dumps({"Records": [bucket.record("videos/original/forged/master.mp4")]}).encode()
    for headers in (
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {SECRET[:-1]}"},
        {"authorization": f"Bearer {SECRET}é".encode()},
        {"authorization": "Basic !!"},
        basic(SECRET, ""),
        signed(body, secret="another"),
        signed(body + b" "),
        signed(body, at=time.time() - 3600),
        {**signed(body), "webhook-timestamp": "now"},
    ):
        answer = await bucket.client.post(bucket.url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "credentials_invalid"), headers
    for token in ("no", SECRET[:-1], "%C3%A9", "x" * 400):
        answer = await bucket.client.post(f"{bucket.url}/{token}", content=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
    assert SECRET not in answer.text
    assert SECRET not in shown_path({"path": f"/v1/events/s3/{SECRET}/mistyped"}), "nor in a log where no route matches"
    forged = await bucket.client.post(bucket.url, json=confirmation(SubscribeURL="http://169.254.169.254/"))
    assert forged.status_code == 401


async def test_bodies_that_are_none(bucket):
    """Rubbish from one who knows the secret is refused with a sentence, and is no fault of ours."""
    for body in (
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[" * 50_000,
        b'{"Records":[{}]}',
        b'{"Records":[{"s3":1}]}',
        b"[[[[[[]]]]]]",
    ):
        answer = await bucket.client.post(f"{bucket.url}/{SECRET}", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_notice"), body
    wrong = await bucket.client.post(
        bucket.url, json=confirmation(SubscribeURL="http://169.254.169.254/"), headers={"authorization": SECRET}
    )
    assert wrong.status_code == 401, "even with the secret no URL but one of SNS is visited"


async def test_store_or_database_away(bucket, monkeypatch):
    """503 with Retry-After, so that the sender says it again; then all is well."""
    key = "videos/original/later/master.mp4"
    hidden = "videos/original-later"
    await bucket.put(hidden, MP4)
    source = {"Bucket": bucket.name, "Key": hidden}
    records = bucket.record(key), bucket.record("videos/clips/a/c.mp4")
    with monkeypatch.context() as patch:

        async def away(*_: object) -> None:
            raise StorageError("the store does not answer", retryable=True)

        patch.setattr(S3Store, "stat", away)
        copied = asyncio.to_thread(bucket.s3.copy_object, Bucket=bucket.name, Key=key, CopySource=source)
        await copied  # Ceph tells of it, and is told to come again, which it does not
        answer = await bucket.tell(*records)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_error")
        assert int(answer.headers["retry-after"]) > 0
    with monkeypatch.context() as patch:

        def gone(*_: object) -> None:
            raise DatabaseUnavailable("the database does not answer")

        patch.setattr(Context, "connection", gone)
        answer = await bucket.tell(*records)
        assert answer.status_code == 503 and "retry-after" in answer.headers
    assert await bucket.count("assets", "later") == 0
    assert await bucket.told(*records) == {"registered": 1, "no_original": 1}


async def test_scan_notice_and_complete_at_once(bucket):
    """Whoever comes first registers it, once: by hand and as a client's upload, a scan, notices and a complete race."""
    gateway = bucket.gateway
    (scanner,) = [one for one in gateway.plane.scanners() if one.store_name == "s3"]
    uploads = f"{gateway.url}/v1/uploads"
    for _ in range(3):
        by_hand = new_id()
        key = f"videos/original/{by_hand}/master.mp4"
        body = MP4 + by_hand.encode()
        begun = (await bucket.client.post(uploads, json={"name": "a.mp4", "size_bytes": len(body)})).json()
        upload_key = (await _upload_key(bucket, begun["upload_id"]))[0]
        put = begun["put"]
        raced = await asyncio.gather(
            bucket.put(key, body),  # Ceph tells
            bucket.client.put(put["url"], content=body, headers=put["headers"]),  # and of this one too
            *(bucket.told(bucket.record(key), bucket.record(upload_key)) for _ in range(4)),
            scanner.scan(),
            bucket.client.post(f"{uploads}/{begun['upload_id']}/complete"),
        )
        last = await asyncio.gather(
            bucket.told(bucket.record(key), bucket.record(upload_key)),
            scanner.scan(),
            bucket.client.post(f"{uploads}/{begun['upload_id']}/complete"),
        )
        assert (await _upload_key(bucket, begun["upload_id"]))[1] == "completed", (raced, last)
        for asset_id in (by_hand, begun["asset_id"]):
            if await bucket.count("assets", asset_id):  # the upload may be known to have the other's bytes
                assert await bucket.count("objects", asset_id) == 1
                assert await bucket.count("stage_runs", asset_id) == 1
        assert await bucket.count("assets", by_hand) == 1


class Swapped(MemoryStore):
    """Somebody writes other bytes to the key right after it was asked about, a few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    async def stat(self, key: Any) -> Any:
        info = await super().stat(key)
        if self._left:
            self._left -= 1
            await self.put(key, _body(b"other bytes" * (1 + self._left)), content_type="video/mp4")
        return info


async def _body(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _advance(_conn: object, _asset_id: str) -> None:
    return


async def test_object_swapped_between_head_and_register(bucket):
    """What is registered is what the store has afterwards, never the etag of bytes that are gone."""
    pool = bucket.gateway.plane.pool
    for times, expected in ((1, Upshot.REGISTERED), (3, Upshot.REGISTERED), (100, None)):
        store, name = Swapped(times), f"memory-{times}"
        key = f"videos/original/swapped-{times}/master.mp4"
        await store.put(key, _body(b"first"), content_type="video/mp4")
        originals = Originals(name, store, LAYOUT, "local", "local", _advance)
        if expected is None:
            with pytest.raises(StorageError) as raised:
                await originals.receive(pool.connection, key)
            assert raised.value.retryable
            continue
        assert (await originals.receive(pool.connection, key)).upshot is expected
        async with pool.connection() as conn:
            row = (await objects.known(conn, name, [key]))[key]
        info = await MemoryStore.stat(store, key)
        assert (row.etag, row.size_bytes) == (info.etag, info.size_bytes)


async def test_bytes_written_anew_while_the_old_ones_leave(bucket):
    """Somebody who puts a file where a deleted one was gets it registered, and it is not removed with the old one."""
    pool, store, key = bucket.gateway.plane.pool, MemoryStore(), "videos/original/anew/master.mp4"
    originals = Originals("memory-anew", store, LAYOUT, "local", "local", _advance)
    await store.put(key, _body(b"first"), content_type="video/mp4")
    assert (await originals.receive(pool.connection, key)).upshot is Upshot.REGISTERED
    async with pool.connection() as conn:
        await assets.delete(conn, "anew", owner="local")
    assert (await originals.receive(pool.connection, key)).upshot is Upshot.LEAVING
    while (await store.put(key, _body(b"anew"), content_type="video/mp4")).modified_at <= datetime.now(UTC):
        if (received := await originals.receive(pool.connection, key)).upshot is Upshot.REGISTERED:
            break
    assert received.detail == "anew"
    async with pool.connection() as conn:
        row = await conn.execute("SELECT FROM outbox WHERE store = 'memory-anew'")
        assert await row.fetchone() is None


async def test_one_bucket_name_in_two_stores(bucket):
    """Buckets of two providers may have one name: the one that has the object is found."""
    pool, here, there = bucket.gateway.plane.pool, MemoryStore(), MemoryStore()
    key = "videos/original/there/master.mp4"
    await there.put(key, _body(b"x"), content_type="video/mp4")
    places = [
        Place("media", Originals(name, store, LAYOUT, "local", "local", _advance))
        for name, store in (("here", here), ("there", there))
    ]
    notices = Notices(pool.connection, places, bucket.gateway.plane.completion(pool.connection))
    assert await notices.take([Notice(Kind.CAME, "media", (key,))]) == {Upshot.REGISTERED: 1}


async def test_sns_messages(dsn, tmp_path, monkeypatch):
    """SNS subscribes itself and tells, signed; other topics, changed messages and other URLs are refused."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return certificate()

    monkeypatch.setattr(sns, "fetch", fetch)
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_NOTICE_TOPICS": TOPIC}
    async with running_gateway(dsn, tmp_path, environ) as gateway, httpx.AsyncClient(timeout=20) as client:
        url = f"{gateway.url}/v1/events/s3"

        async def post(document: object, **headers: str) -> httpx.Response:
            sent = {"content-type": "text/plain; charset=UTF-8", **headers}
            return await client.post(url, content=json.dumps(document), headers=sent)

        assert (await post(confirmation())).json() == {"outcomes": {}}
        assert asked == [CERTIFICATE_URL, confirmation()["SubscribeURL"]]
        about = {"bucket": {"name": "elsewhere"}, "object": {"key": "k"}}
        event = json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": about}]})
        assert (await post(message(Message=event))).json() == {"outcomes": {"unknown_bucket": 1}}
        for forged in (
            {**message(), "Message": event},
            message(TopicArn=TOPIC.replace("media", "other")),
            json.loads(event),
            [],
            "text",
        ):
            assert (await post(forged)).status_code == 401
        operator = await make_header(gateway.plane.pool, "admin")
        assert (await post(json.loads(event), **operator)).json() == {"outcomes": {"unknown_bucket": 1}}
        nobody = await make_header(gateway.plane.pool, "contributor")
        assert (await post(json.loads(event), **nobody)).status_code == 403
        assert len(asked) == 2
