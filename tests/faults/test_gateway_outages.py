"""The gateway while its parts are away, and among clients that mean it no good: 503, back by itself, nobody starved."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Self

import httpx
import pytest

from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.gateway import body_limit, protocol
from mediaplane.postgres import migrate
from tests.services.gateway import Gateway, running_gateway
from tests.services.streams import follow

LOCAL = {"STORAGE_MODE": "local"}


@pytest.fixture
async def gateway(dsn, tmp_path) -> AsyncIterator[Gateway]:
    async with running_gateway(dsn, tmp_path, LOCAL) as running:
        yield running


async def test_database_away_and_back(tmp_path):
    """Stopped under the running gateway: 503 with Retry-After and the reason; started again: all well, streams too."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        await migrate(server.dsn)
        async with (
            running_gateway(server.dsn, tmp_path / "state", LOCAL) as running,
            httpx.AsyncClient(base_url=running.url, timeout=30) as client,
            follow(f"{running.url}/v1/events") as stream,
        ):
            await stream.next()
            assert (await client.get("/v1/assets")).status_code == 200
            await asyncio.to_thread(server.close)
            answer = await client.get("/v1/assets")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            ready = await client.get("/readyz")
            assert ready.status_code == 503 and "retry-after" in ready.headers
            assert ready.json()["checks"]["database"] == "does not answer"
            assert (await client.get("/healthz")).status_code == 200
            assert "mediaplane_requests_in_flight" in (await client.get("/metrics")).text
            await asyncio.to_thread(server.start)
            await until_ready(client)
            assert (await client.get("/v1/assets")).status_code == 200
            await running.add_asset("afterwards")
            assert (await stream.until("asset.created", 40)).data["asset_id"] == "afterwards"
    finally:
        server.close()


async def test_store_away_and_back(dsn, tmp_path, seaweed, fresh_bucket):
    """Cut off in the middle of an upload: 503 with Retry-After, nothing half-written; back: the same call completes."""
    async with Relay(seaweed.http_endpoint) as relay:
        environ = {
            "STORAGE_MODE": "s3",
            "S3_ENDPOINT": relay.url,
            "S3_BUCKET": fresh_bucket(seaweed),
            "S3_ACCESS_KEY_ID": seaweed.access_key,
            "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        }
        async with (
            running_gateway(dsn, tmp_path, environ) as running,
            httpx.AsyncClient(base_url=running.url, timeout=60) as client,
        ):
            body = (b"\x00\x00\x00\x20ftypisom" + b"\0" * 20).ljust(5000, b"x")
            wanted = {"name": "a.mp4", "size_bytes": len(body)}
            begun = (await client.post("/v1/uploads", json=wanted)).json()
            put = await client.put(begun["put"]["url"], content=body, headers=begun["put"]["headers"])
            assert put.status_code == 200, put.text
            complete = f"/v1/uploads/{begun['upload_id']}/complete"
            await relay.cut()
            away = await client.post(complete)
            assert (away.status_code, away.json()["code"]) == (503, "storage_error")
            assert "retry-after" in away.headers
            assert (await client.get("/readyz")).json()["checks"]["store s3"] == "does not answer"
            assert (await client.get(f"/v1/assets/{begun['asset_id']}")).json()["status"] == "uploading"
            await relay.open()
            await until_ready(client)
            done = await client.post(complete)
            assert (done.status_code, done.json()["state"]) == (200, "completed"), done.text


class Relay:
    """Passes bytes on to a server, until it is cut."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, port = endpoint.removeprefix("http://").partition(":")
        self._server_port, self._port = int(port), 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.cut()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Take connections, always on the same port."""
        self._listener = await asyncio.start_server(self._begin, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Take none, and break off those there are."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._pass_on(reader, writer)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._server_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, back))
                both.create_task(_pump(there, writer))
        finally:
            writer.transport.abort()
            back.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()


async def until_ready(client: httpx.AsyncClient, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 it is another process's state
            await asyncio.sleep(0.2)


async def test_clients_that_drip_starve_nobody(gateway, monkeypatch):
    """Hundreds that send one byte now and then, in head or body, keep nobody else waiting and are sent away."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 3.0)
    monkeypatch.setattr(body_limit, "MAX_SECONDS", 3.0)
    host, port = gateway.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/webhooks HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
    )
    async with AsyncExitStack() as stack:
        dripping = [asyncio.create_task(drip(host, int(port), head if half else "")) for half in (False, True) * 100]
        stack.push_async_callback(asyncio.gather, *dripping, return_exceptions=True)
        await asyncio.sleep(0.5)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=10) as client:
            for _ in range(20):
                assert (await client.get("/v1/assets")).status_code == 200
        answers = await asyncio.wait_for(asyncio.gather(*dripping), 30)
    assert {answer.split(b" ")[1] for answer in answers if answer is not RESET} == {b"408"}


RESET = b"reset"  # a connection closed while more comes: the answer may be lost


async def drip(host: str, port: int, head: str) -> bytes:
    """Send a head, or begin one, and then a byte at a time; return what came back."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(head.encode() or b"GET /v1/assets HTTP/1.1\r\nx-slow: ")
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"a")
            await asyncio.wait([answer], timeout=0.3)
        return answer.result()
    except ConnectionError:
        return RESET
    finally:
        writer.transport.abort()


async def test_clients_that_do_not_read(gateway, monkeypatch):
    """A client that takes none of a large answer is cut off, and others are served meanwhile."""
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    await gateway.add_asset("big", title="t")
    place = await gateway.put(
        "big", "videos/original/big/master.mp4", b"x" * 30_000_000, role="original", content_type="video/mp4"
    )
    url = gateway.plane.stores["local"].signer.sign_get(place)
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((host, int(port)))
        lazy.sendall(f"GET {url.removeprefix(gateway.url)} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
        async with httpx.AsyncClient(timeout=20) as client:
            assert len((await client.get(url)).content) == 30_000_000
        await asyncio.sleep(2.0)
        taken = await asyncio.to_thread(read_all, lazy)
    assert b"200 OK" in taken[:100] and len(taken) < 30_000_000


def read_all(connection: socket.socket) -> bytes:
    found = b""
    connection.settimeout(10)
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 300_000, 431),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: 1\r\n" * 200 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"POST /v1/webhooks HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
         + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 80, 413),
    ],
    ids=["url", "header", "endless header", "many headers", "nonsense", "declared body", "chunked body"],
)  # fmt: skip
async def test_requests_without_measure(gateway, request_text, status):
    """What is too long is refused with a problem document as soon as that is known."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request_text)
        answer = await asyncio.wait_for(reader.read(65536), 10)
    finally:
        writer.transport.abort()
    assert answer.split(b" ")[1] == str(status).encode()
    assert b"application/problem+json" in answer


async def test_stop_while_requests_are_under_way(dsn, tmp_path):
    """Told to stop, readiness flips first, streams end, and what was begun is finished."""
    environ = {**LOCAL, "MEDIAPLANE_DRAIN_SECONDS": "1.5"}
    async with httpx.AsyncClient(timeout=20) as client:
        async with running_gateway(dsn, tmp_path, environ) as running:
            await running.add_asset("last")
            place = await running.put("last", "a/b.mp4", b"x" * 5_000_000, role="original", content_type="video/mp4")
            url = running.plane.stores["local"].signer.sign_get(place)
            slow = asyncio.create_task(read_slowly(client, url))
            stream = asyncio.create_task(read_stream(f"{running.url}/v1/events"))
            await asyncio.sleep(0.3)
            flipped = asyncio.create_task(flips(running.url))
        assert await flipped, "the gateway said that it stops while it still answered"
        assert await slow == 5_000_000
        await stream


async def flips(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            answer = await client.get("/readyz")
            if answer.status_code == 503:
                return bool(answer.json()["checks"] == {"gateway": "stops"})
            await asyncio.sleep(0.05)
    return False


async def read_slowly(client: httpx.AsyncClient, url: str) -> int:
    size = 0
    async with client.stream("GET", url) as answer:
        async for piece in answer.aiter_bytes(500_000):
            size += len(piece)
            await asyncio.sleep(0.2)
    return size


async def read_stream(url: str) -> None:
    """Read a stream until the gateway ends it, which it does in good order."""
    async with follow(url) as stream:
        with contextlib.suppress(EOFError):
            while True:
                await stream.next()
