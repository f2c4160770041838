"""The typed client against a running gateway: every method, uploads that break off, streams, problems by code."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from mediaplane.access import completion
from mediaplane.catalog import segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.client import (
    Client,
    ClientError,
    ConnectionFailed,
    Event,
    Invalid,
    NotFound,
    Unavailable,
    UploadFailed,
    sending,
    verify_webhook,
)
from mediaplane.client import transport as transport_module
from mediaplane.upkeep import webhooks as sending_webhooks
from tests.services.gateway import Gateway, running_gateway
from tests.services.hooks import hook_server
from tests.services.made_media import make_pattern

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory, seaweed, fresh_bucket) -> AsyncIterator[Gateway]:
    environ = {
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": fresh_bucket(seaweed),
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        "S3_PROVIDER": "seaweedfs",  # whose signed PUTs write once
        "MEDIAPLANE_WEBHOOK_PRIVATE": "yes",
    }
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest.fixture
def media(gateway) -> Iterator[Client]:
    with Client(gateway.url) as client:
        yield client


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("media") / "talk.mp4"
    make_pattern(path, seconds=2)
    return path


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory, recording) -> Path:
    """The same with a long tail that no decoder looks at: several parts."""
    path = tmp_path_factory.mktemp("media") / "long.mp4"
    path.write_bytes(recording.read_bytes() + os.urandom(20 << 20))
    return path


async def test_upload_in_one_put(gateway, media, recording):
    """A small file goes in one PUT, and is verified before it is said to be there."""
    seen: list[tuple[int, int]] = []
    done = await asyncio.to_thread(media.upload, recording, title="Talk", on_progress=lambda *at: seen.append(at))
    assert done.state == "completed"
    assert seen == [(recording.stat().st_size, recording.stat().st_size)]
    asset = await asyncio.to_thread(media.asset, done.asset_id)
    assert (asset.title, asset.status) == ("Talk", "processing")
    assert [one.asset_id for one in await asyncio.to_thread(lambda: list(media.assets(status="processing")))]


@pytest.mark.parametrize("resumed", [False, True])
async def test_lost_answer_of_a_put(media, recording, monkeypatch, resumed):
    """A PUT whose answer was lost has written: what is there is completed, by the next attempt or by a later call."""
    put = httpx.Client.put
    sent: list[int] = []

    def deaf(self: httpx.Client, url: str, **more: object) -> httpx.Response:
        sent.append(put(self, url, **more).status_code)
        if len(sent) == 1:
            raise httpx.ReadError("cut")
        return httpx.Response(sent[-1])

    monkeypatch.setattr(httpx.Client, "put", deaf)
    upload_id = None
    if resumed:
        with monkeypatch.context() as once:
            once.setattr(sending, "ATTEMPTS", 1)
            with pytest.raises(UploadFailed) as failed:
                await asyncio.to_thread(lambda: media.upload(recording))
        upload_id = failed.value.upload_id
    done = await asyncio.to_thread(lambda: media.upload(recording, resume=upload_id))
    assert done.state == "completed"
    assert sent == ([200] if resumed else [200, 412])


async def test_completion_that_is_still_at_work_is_waited_for(gateway, recording, monkeypatch):
    """A request whose answer was lost, and that goes on or left its claim behind, is asked for until it has ended."""
    verify = completion.verify

    async def slow(*what: object, **more: object) -> object:
        await asyncio.sleep(5)
        return await verify(*what, **more)

    monkeypatch.setattr(completion, "verify", slow)
    with httpx.Client(timeout=2) as impatient:
        media = Client(gateway.url, http=impatient)
        done = await asyncio.to_thread(lambda: media.upload(recording))
    assert done.state == "completed"


async def test_gateway_lost_before_the_upload_was_complete(media, recording, monkeypatch):
    """Whoever gives up says which upload to go on with."""
    request = httpx.Client.request

    def cut(self: httpx.Client, method: str, url: str, **more: object) -> httpx.Response:
        if url.endswith("/complete"):
            raise httpx.ConnectError("away")
        return request(self, method, url, **more)

    with monkeypatch.context() as away:
        away.setattr(transport_module, "FIRST_WAIT_SECONDS", 0.01)
        away.setattr(httpx.Client, "request", cut)
        with pytest.raises(UploadFailed, match="cannot be reached") as failed:
            await asyncio.to_thread(lambda: media.upload(recording))
    done = await asyncio.to_thread(lambda: media.upload(recording, resume=failed.value.upload_id))
    assert done.state == "completed"


async def test_same_bytes_are_not_sent_again(media, recording):
    """With a digest the gateway says that it has them."""
    first = await asyncio.to_thread(lambda: media.upload(recording, digest=True))
    again = await asyncio.to_thread(lambda: media.upload(recording, digest=True))
    assert again.reused and again.asset_id == first.asset_id


async def test_upload_in_parts_breaks_off_and_goes_on(gateway, media, long_recording, monkeypatch):
    """Parts go side by side; after a break only those that are missing are sent, and the whole is verified."""
    put = httpx.Client.put
    sent: list[str] = []

    def failing(self: httpx.Client, url: str, **more: object) -> httpx.Response:
        sent.append(url)
        if len(sent) > 1:
            raise httpx.ConnectError("cut")
        return put(self, url, **more)

    monkeypatch.setattr(sending, "ATTEMPTS", 1)
    with monkeypatch.context() as broken:
        broken.setattr(httpx.Client, "put", failing)
        with pytest.raises(UploadFailed) as failed:
            await asyncio.to_thread(lambda: media.upload(long_recording, in_parts=True, parallel=1))
    upload_id = failed.value.upload_id
    begun = await asyncio.to_thread(media.get_upload, upload_id)
    assert [part.number for part in begun.parts.received] == [1]
    assert upload_id in [one.upload_id for one in await asyncio.to_thread(lambda: list(media.uploads()))]
    done = await asyncio.to_thread(lambda: media.upload(long_recording, resume=upload_id))
    assert done.state == "completed"
    stored = await asyncio.to_thread(media.asset, done.asset_id)
    assert stored.objects[0].size_bytes == long_recording.stat().st_size


async def test_expired_url_is_replaced(media, long_recording, monkeypatch):
    """A part whose URL the store refuses is sent to a fresh one."""
    put = httpx.Client.put
    refused: list[str] = []

    def expiring(self: httpx.Client, url: str, **more: object) -> httpx.Response:
        if not refused:
            refused.append(url)
            return httpx.Response(403)
        return put(self, url, **more)

    monkeypatch.setattr(httpx.Client, "put", expiring)
    monkeypatch.setattr(transport_module, "FIRST_WAIT_SECONDS", 0.01)
    done = await asyncio.to_thread(lambda: media.upload(long_recording, in_parts=True))
    assert done.state == "completed" and refused


async def test_refused_upload_says_why(media, tmp_path):
    """A file that is not what its name says is refused with the reason; an empty one before anything is sent."""
    lie = tmp_path / "lie.mp4"
    lie.write_bytes(b"<html>" + b"x" * 1000)
    with pytest.raises(UploadFailed, match=r"lie\.mp4"):
        await asyncio.to_thread(media.upload, lie)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(Invalid) as refused:
        await asyncio.to_thread(media.upload, empty)
    assert refused.value.document["errors"][0]["field"] == "body.size_bytes"


async def test_search_segments_clip_delete(gateway, media):
    """Words in, moments out; a clip is asked for; what is deleted is gone."""
    await gateway.add_asset("c1")
    async with gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE assets SET duration_ms = 60000 WHERE asset_id = 'c1'")
        found = NewSegment(source="ocr", t_start_ms=1000, t_end_ms=2000, text="quarterly figures")
        async with conn.transaction():
            await segments.replace_chunk(conn, ("c1", "local", "local"), 0, [found])
    (hit,) = await asyncio.to_thread(lambda: list(media.search("quarterly")))
    assert (hit.asset_id, hit.t_start_ms, hit.snippet.marks[0]) == ("c1", 1000, (0, 9))
    (segment,) = await asyncio.to_thread(lambda: list(media.segments("c1")))
    assert segment.text == "quarterly figures"
    assert await asyncio.to_thread(media.playback_url, "c1") is None
    await asyncio.to_thread(media.delete_asset, "c1")
    with pytest.raises(NotFound) as gone:
        await asyncio.to_thread(media.asset, "c1")
    assert gone.value.code == "asset_not_found" and gone.value.request_id


async def test_events_through_a_break(gateway, media):
    """The iterator begins with a snapshot, goes on after a lost connection, and leaves nothing out."""
    await gateway.add_asset("v1", status="processing")
    stream = media.events("v1")
    assert (await asyncio.to_thread(next, stream)).name == "snapshot"
    async with gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE assets SET status = 'ready' WHERE asset_id = 'v1'")
    event = await asyncio.to_thread(next_of, stream, "asset.ready")
    assert event.asset_id == "v1"
    stream.close()
    async with gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE assets SET status = 'failed' WHERE asset_id = 'v1'")
    back = media.events("v1", after=event.id)
    assert (await asyncio.to_thread(next, back)).name == "asset", "what was missed comes instead of a snapshot"
    back.close()
    with pytest.raises(NotFound):
        await asyncio.to_thread(next, media.events("nobody"))


def next_of(stream: Iterator[Event], kind: str) -> Event:
    """Return the next event of a type; what happened just before may come first."""
    return next(event for event in stream if event.type == kind)


async def test_webhooks(gateway, media):
    """Registered, told, verified, listed, told again, removed."""
    async with hook_server() as hooks:
        made = await asyncio.to_thread(lambda: media.add_webhook(hooks.url, types=["asset.created"]))
        await gateway.add_asset("h1")
        assert await sending_webhooks.deliver_due(gateway.plane.pool, private=True) == 1
        _, headers, body = hooks.taken[0]
        assert verify_webhook(made.secret, headers, body, now=float(headers["webhook-timestamp"]))
        assert json.loads(body)["data"]["asset_id"] == "h1"
        (told,) = await asyncio.to_thread(lambda: list(media.deliveries(made.webhook_id)))
        queued = await asyncio.to_thread(lambda: media.replay_webhook(made.webhook_id, delivery_id=told.delivery_id))
        assert queued == 1
        assert [one.webhook_id for one in await asyncio.to_thread(media.webhooks)] == [made.webhook_id]
        await asyncio.to_thread(media.delete_webhook, made.webhook_id)
        assert await asyncio.to_thread(media.webhooks) == []


async def test_gateway_that_cannot_be_reached(monkeypatch):
    """After a few attempts the client says so, and names the gateway."""
    monkeypatch.setattr(transport_module, "FIRST_WAIT_SECONDS", 0.01)
    with Client("http://127.0.0.1:1") as media:
        assert not await asyncio.to_thread(media.is_ready)
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"):
            await asyncio.to_thread(media.asset, "a1")


async def test_passing_trouble_is_tried_again():
    """A 503 and a lost answer are tried again, a POST with the same idempotency key; a 4xx is not."""
    answers = [
        httpx.Response(503, headers={"retry-after": "0"}),
        httpx.ReadError("lost"),
        httpx.Response(200, json=_CLIP),
    ]
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        media = Client("http://gateway", key="mp_test", http=http)
        assert media.clip("a/../b", start_ms=0, end_ms=1).clip_id == "c"
        assert len({request.headers["idempotency-key"] for request in asked}) == 1
        assert asked[0].url.raw_path == b"/v1/assets/a%2F..%2Fb/clips", "an id cannot lead to another path"
        answers = [httpx.Response(503)] * 9
        with pytest.raises(Unavailable):
            media.asset("a")
        answers = [httpx.Response(418, text="teapot")]
        with pytest.raises(ClientError, match="418"):
            media.asset("a")


_CLIP = {"clip_id": "c", "asset_id": "a", "mode": "fast", "t_start_ms": 0, "t_end_ms": 1, "status": "ready",
         "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
