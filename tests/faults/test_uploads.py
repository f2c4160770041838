"""Uploads when things die: the process at any step, the store, the database. Nothing is lost, nothing half-written."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from mediaplane.catalog import assets, objects
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import sweep_abandoned
from tests.faults.killing import run_killed
from tests.services.gateway import Gateway, running_gateway

HEAD = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PART = 16 << 20
BODY = HEAD + bytes(range(256)) * ((PART + (1 << 20)) >> 8)  # two parts
KILLER = Path(__file__).with_name("kill_upload.py")


async def call(gateway: Gateway, method: str, path: str, document: object = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.request(method, f"{gateway.url}/v1/uploads{path}", json=document)


async def begin(gateway: Gateway, body: bytes, *, multipart: bool) -> dict[str, object]:
    answer = await call(gateway, "POST", "", {"name": "a.mp4", "size_bytes": len(body), "multipart": multipart})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(upload: dict, body: bytes) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        if upload["put"]:
            sent = [await client.put(upload["put"]["url"], content=body, headers=upload["put"]["headers"])]
        else:
            urls = upload["parts"]["urls"]
            sent = [
                await client.put(part["url"], content=body[(part["number"] - 1) * PART : part["number"] * PART])
                for part in urls
            ]
    assert [answer.status_code for answer in sent] == [200] * len(sent)


async def stored(gateway: Gateway, asset_id: str) -> bytes:
    async with gateway.plane.pool.connection() as conn:
        row = await objects.original(conn, asset_id)
    store = gateway.plane.stores[row.store].store
    return b"".join([chunk async for chunk in store.read(row.key)])


async def leftovers(gateway: Gateway) -> list[str]:
    """All rows of uploads, assets and objects, and all files, after a sweep."""
    plane = gateway.plane
    intakes = {name: opened.intake for name, opened in plane.stores.items()}
    await sweep_abandoned(plane.pool.connection, intakes, silence=timedelta(0))
    await drain_outbox(plane.pool, {name: opened.store for name, opened in plane.stores.items()})
    async with plane.pool.connection() as conn:
        query = "SELECT asset_id FROM assets UNION ALL SELECT key FROM objects UNION ALL SELECT upload_id FROM uploads"
        rows = [row[0] for row in await (await conn.execute(query)).fetchall()]
    root = plane.stores["local"].store.root
    return rows + [str(path) for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("point", ["join", "after_join", "look", "register", "after_register"])
async def test_killed_while_completing(dsn, tmp_path, point):
    """Whatever step a process was killed at, the next one completes the upload, once and whole."""
    async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as gateway:
        upload = await begin(gateway, BODY, multipart=True)
        await send(upload, BODY)
        await run_killed(KILLER, dsn, tmp_path, point, upload["upload_id"])
        busy = await call(gateway, "GET", f"/{upload['upload_id']}")
        assert busy.json()["state"] == "open"
        async with gateway.plane.pool.connection() as conn:  # its claim ends by itself: half a minute later
            await conn.execute("UPDATE uploads SET busy_until = now() - interval '1 second'")
        answer = await call(gateway, "POST", f"/{upload['upload_id']}/complete")
        assert (answer.status_code, answer.json()["asset_id"]) == (200, upload["asset_id"]), answer.text
        assert await stored(gateway, upload["asset_id"]) == BODY
        async with gateway.plane.pool.connection() as conn:
            assert await (await conn.execute("SELECT count(*) FROM stage_runs")).fetchone() == (1,)


async def test_killed_completer_keeps_others_waiting(dsn, tmp_path):
    """While the claim of a killed process lasts, another is told to ask again; nothing is done twice."""
    async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as gateway:
        upload = await begin(gateway, BODY, multipart=True)
        await send(upload, BODY)
        await run_killed(KILLER, dsn, tmp_path, "join", upload["upload_id"])
        answer = await call(gateway, "POST", f"/{upload['upload_id']}/complete")
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_busy")
        assert "retry-after" in answer.headers


@pytest.mark.parametrize("point", ["begin", "withdraw", "after_withdraw"])
async def test_killed_while_beginning_or_aborting(dsn, tmp_path, point):
    """The sweeper takes back what was cut off: rows, parts and bytes."""
    async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as gateway:
        upload_id = "none"
        if point != "begin":
            upload = await begin(gateway, BODY, multipart=True)
            await send(upload, BODY)
            upload_id = str(upload["upload_id"])
        await run_killed(KILLER, dsn, tmp_path, point, upload_id)
        if point != "begin":
            assert (await call(gateway, "POST", f"/{upload_id}/complete")).json()["code"] == "upload_closed"
        assert await leftovers(gateway) == []


async def test_store_that_is_away(seaweed, fresh_bucket, dsn, tmp_path):
    """Without its store an upload is answered 503, leaves nothing behind, and goes on when the store is back."""
    async with wire(seaweed.http_endpoint) as (endpoint, plug):
        environ = {
            "STORAGE_MODE": "s3", "S3_ENDPOINT": endpoint, "S3_BUCKET": fresh_bucket(seaweed),
            "S3_ACCESS_KEY_ID": seaweed.access_key, "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        }  # fmt: skip
        async with running_gateway(dsn, tmp_path, environ) as gateway:
            body = BODY[:5000]
            whole, in_parts = await begin(gateway, body, multipart=False), await begin(gateway, BODY, multipart=True)
            await send(whole, body)
            await send(in_parts, BODY)
            plug.pull()
            refused = await call(gateway, "POST", "", {"name": "b.mp4", "size_bytes": 9, "multipart": True})
            assert_away(refused, "storage_error")
            for upload in (whole, in_parts):
                assert_away(await call(gateway, "POST", f"/{upload['upload_id']}/complete"), "storage_error")
            listed = (await call(gateway, "GET", "")).json()["uploads"]
            assert {row["upload_id"] for row in listed} == {whole["upload_id"], in_parts["upload_id"]}
            await plug.restore()
            for upload, expected in ((whole, body), (in_parts, BODY)):
                assert (await call(gateway, "POST", f"/{upload['upload_id']}/complete")).status_code == 200
                assert await stored(gateway, str(upload["asset_id"])) == expected


async def test_database_that_is_away(postgres_server, dsn, tmp_path):
    """Without its database an upload is answered 503, nothing is half-written, and it goes on when that is back."""
    async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as gateway:
        body = BODY[:5000]
        upload = await begin(gateway, body, multipart=False)
        await send(upload, body)
        close_database(postgres_server, dsn, allowed=False)
        assert_away(await call(gateway, "POST", f"/{upload['upload_id']}/complete"), "database_unavailable")
        assert_away(await call(gateway, "POST", "", {"name": "b.mp4", "size_bytes": 9}), "database_unavailable")
        close_database(postgres_server, dsn, allowed=True)
        answer = await call(gateway, "POST", f"/{upload['upload_id']}/complete")
        assert answer.status_code == 200, answer.text
        async with gateway.plane.pool.connection() as conn:
            assert [asset.asset_id for asset in await assets.page(conn, owner="local")] == [upload["asset_id"]]


def assert_away(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "127.0.0.1" not in answer.json()["detail"]


def close_database(server: str, dsn: str, *, allowed: bool) -> None:
    """Let nobody, or everybody again, connect to the test's database."""
    name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.SQL(str(allowed).lower())))
        if not allowed:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            conn.execute(query, [conninfo_to_dict(dsn)["dbname"]])


class Plug:
    """A wire to a server that can be pulled out and put back, at the same address."""

    def __init__(self, target: str) -> None:
        self._host, self._port = urlsplit(target).hostname, urlsplit(target).port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def restore(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._carry, sock=listener)

    def pull(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._open |= {writer, far_writer}
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def wire(target: str) -> AsyncIterator[tuple[str, Plug]]:
    plug = Plug(target)
    await plug.restore()
    try:
        yield f"http://127.0.0.1:{plug.port}", plug
    finally:
        plug.pull()
