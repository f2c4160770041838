"""Notices taken from queues, as SQS and Cloudflare have them: acted on first, acknowledged then."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from mediaplane.access.polling import poll
from mediaplane.catalog import assets
from mediaplane.errors import AccessDenied, StorageError
from mediaplane.rounds import all_rounds
from mediaplane.settings import load_settings
from mediaplane.storage import queues
from mediaplane.storage.queues import CloudflareQueue, SqsQueue, open_queues
from mediaplane.storage.s3 import S3Store
from mediaplane.wiring import Plane, open_plane
from tests.services.queue_servers import TOKEN, QueueServer, queue_server
from tests.unit.media.test_notices import aws, event_bridge, r2, sns

KINDS = ("sqs", "cloudflare")


@dataclass(frozen=True)
class Polled:
    """A plane over a bucket, and a queue that is told of it."""

    plane: Plane
    server: QueueServer
    environ: dict[str, str]
    bucket: str

    async def poll(self) -> dict[str, int]:
        found = await poll(self.plane.queues(), self.plane.notices(self.plane.pool.connection))
        return {str(upshot): count for upshot, count in found.items()}

    async def put(self, asset_id: str) -> str:
        key = f"videos/original/{asset_id}/master.mp4"

        async def body() -> AsyncIterator[bytes]:
            yield asset_id.encode()

        await self.plane.stores["s3"].store.put(key, body(), content_type="video/mp4")
        return key

    def about(self, document: Any, key: str) -> Any:
        """A provider's message about a key of this bucket."""
        text = (
            json.dumps(document).replace('"media"', f'"{self.bucket}"').replace('\\"media\\"', f'\\"{self.bucket}\\"')
        )
        return json.loads(text.replace("videos/original/match-01/master.mp4", key))

    async def has(self, asset_id: str) -> bool:
        async with self.plane.pool.connection() as conn:
            return asset_id in [asset.asset_id for asset in await assets.page(conn, owner="local")]


@pytest.fixture
def server(monkeypatch) -> Iterator[QueueServer]:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    with queue_server() as served:
        yield served


@pytest.fixture(params=KINDS)
async def polled(request, dsn, tmp_path, seaweed, fresh_bucket, server) -> AsyncIterator[Polled]:
    bucket = fresh_bucket(seaweed)
    given = conninfo_to_dict(dsn)
    host = quote(str(given["host"]), safe="")
    environ = {
        "DATABASE_URL": f"postgresql:///{given['dbname']}?user={given['user']}&host={host}",
        "MEDIAPLANE_STATE_DIR": str(tmp_path),
        "MEDIAPLANE_SIGNING_KEY": "k",
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": bucket,
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        "MEDIAPLANE_NOTICE_QUEUES": server.sqs_url if request.param == "sqs" else server.cloudflare_url,
        "MEDIAPLANE_NOTICE_QUEUE_TOKEN": TOKEN,
    }
    settings = load_settings(environ)
    async with open_plane(settings) as plane:
        yield Polled(plane, server, environ, bucket)


async def test_queue_is_emptied(polled):
    """Every provider's messages, more of them than come at a time: all are acted on and none stays behind."""
    for number, document in enumerate((aws(), sns(aws()), event_bridge(), sns(event_bridge()), r2())):
        polled.server.send(polled.about(document, await polled.put(f"asset-{number}")))
    for _ in range(20):
        polled.server.send(polled.about(r2("DeleteObject"), "videos/original/nobody/master.mp4"))
    polled.server.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": polled.bucket})
    assert await polled.poll() == {"registered": 5, "gone": 20}
    assert (polled.server.waiting, polled.server.hidden) == ([], {})
    assert [await polled.has(f"asset-{number}") for number in range(5)] == [True] * 5
    assert await polled.poll() == {}


async def test_message_is_kept_until_it_was_acted_on(polled, monkeypatch):
    """While the store is away nothing is acknowledged; the message comes again, and does no harm twice."""
    key = await polled.put("kept")
    polled.server.send(polled.about(aws(), key))
    with monkeypatch.context() as patch:

        async def away(*_: object) -> None:
            raise StorageError("the store does not answer", retryable=True)

        patch.setattr(S3Store, "stat", away)
        assert await polled.poll() == {}
    assert len(polled.server.hidden) == 1
    polled.server.release()
    polled.server.send(polled.about(aws(), key))
    assert await polled.poll() == {"registered": 1, "known": 1}
    assert polled.server.hidden == {}


async def test_message_of_somebody_else_is_left(polled):
    """What nobody here can read is not ours to throw away; the rest is acted on all the same."""
    polled.server.send({"order": 17})
    polled.server.send("no JSON")
    polled.server.send(polled.about(aws(), await polled.put("mine")))
    assert await polled.poll() == {"registered": 1}
    assert sorted(polled.server.hidden.values()) == ["no JSON", '{"order": 17}']


async def test_queue_that_refuses(polled, server):
    """A queue that fails is an error with a sentence, and the others are emptied before."""
    server.send(polled.about(aws(), await polled.put("other")))
    wrong = CloudflareQueue(server.cloudflare_url, "wrong")
    with pytest.raises(AccessDenied, match="MEDIAPLANE_NOTICE_QUEUE_TOKEN"):
        await poll([wrong, *polled.plane.queues()], polled.plane.notices(polled.plane.pool.connection))
    assert await polled.has("other")
    server.status = 400
    with pytest.raises(StorageError):
        await polled.poll()


async def test_command_and_worker_poll(polled):
    """`mediaplane notices poll` empties the queues, and workers do it by themselves."""
    polled.server.send(polled.about(aws(), await polled.put("by-command")))
    command = [sys.executable, "-m", "mediaplane.cli", "notices", "poll", "--json"]
    done = await asyncio.create_subprocess_exec(*command, env={**os.environ, **polled.environ}, stdout=subprocess.PIPE)
    said, _ = await done.communicate()
    assert (done.returncode, json.loads(said)) == (0, {"outcomes": {"registered": 1}})
    polled.server.send(polled.about(aws(), await polled.put("by-worker")))
    _, run = all_rounds(polled.plane)["notices"]
    async with polled.plane.pool.connection() as conn:
        await run(conn)
    assert await polled.has("by-worker")


def test_queues_are_known_by_their_urls(tmp_path):
    """SQS is asked in the region of its URL, with the keys of the store where that is Amazon's too."""
    ours = {"MEDIAPLANE_STATE_DIR": str(tmp_path), "S3_ACCESS_KEY_ID": "key", "S3_SECRET_ACCESS_KEY": "secret"}
    urls = "https://sqs.eu-west-3.amazonaws.com/1/media,https://api.cloudflare.com/client/v4/accounts/a/queues/q"
    amazon = {**ours, "S3_ENDPOINT": "https://s3.us-east-1.amazonaws.com", "MEDIAPLANE_NOTICE_QUEUES": urls}
    sqs, cloudflare = open_queues(load_settings(amazon))
    assert isinstance(sqs, SqsQueue) and isinstance(cloudflare, CloudflareQueue)
    assert (sqs.name, cloudflare.name) == ("media", "q")
    assert sqs._client.meta.region_name == "eu-west-3"
    assert sqs._client._request_signer._credentials.access_key == "key"
    elsewhere = {**amazon, "S3_ENDPOINT": "https://acc.r2.cloudflarestorage.com"}
    endpoint = queues._sqs_endpoint(urls.split(",", 1)[0], load_settings(elsewhere))
    assert endpoint.role is not None, "keys of another provider are not shown to Amazon"
