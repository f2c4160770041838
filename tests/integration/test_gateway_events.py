"""Live progress over real HTTP and a real database: who sees what, nothing missed, slow readers, the database away."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
import pytest_asyncio

from mediaplane.catalog import runs
from mediaplane.catalog.runs import NewRun
from mediaplane.gateway import events as feed_module
from mediaplane.gateway import protocol, streams
from tests.services.gateway import Gateway, running_gateway
from tests.services.streams import follow

LOCAL = {"STORAGE_MODE": "local"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), LOCAL) as running:
        yield running


async def set_status(gateway: Gateway, asset_id: str, status: str) -> None:
    async with gateway.plane.pool.connection() as conn:
        await conn.execute("UPDATE assets SET status = %s WHERE asset_id = %s", [status, asset_id])


async def test_asset_stream_tells_what_happens(gateway):
    """It begins with how things are, then tells status, stages with progress in steps, and the end."""
    await gateway.add_asset("e1", status="processing")
    async with follow(f"{gateway.url}/v1/assets/e1/events") as stream:
        snapshot = await stream.next()
        assert (snapshot.name, snapshot.data["asset"]["status"], snapshot.data["stages"]) == (
            "snapshot",
            "processing",
            [],
        )
        async with gateway.plane.pool.connection() as conn:
            await runs.insert_missing(conn, [NewRun("e1", "local", "local", "probe", "d")])
            assert (await stream.until("stage.queued")).data["stage"] == "probe"
            for progress in (0.001, 0.002, 0.31, 0.32):
                await conn.execute("UPDATE stage_runs SET progress = %s WHERE asset_id = 'e1'", [progress])
            told = await stream.until("stage.progress")
            assert told.data["progress"] == pytest.approx(0.31), "small steps are not told"
            await conn.execute(
                "UPDATE stage_runs SET state = 'done', started_at = now() - interval '3 s', finished_at = now() "
                "WHERE asset_id = 'e1'"
            )
        done = await stream.next()
        assert (done.data["type"], done.data["seconds"]) == ("stage.done", pytest.approx(3.0))
        await set_status(gateway, "e1", "ready")
        ready = await stream.until("asset.ready")
        assert ready.name == "asset" and ready.data["asset_id"] == "e1"


async def test_stream_of_nothing(gateway):
    """There is no stream of an asset that is not there, and the answer is a problem document."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{gateway.url}/v1/assets/nobody/events")
    assert answer.status_code == 404
    assert answer.json()["code"] == "asset_not_found"


async def test_owner_stream_sees_own_things_only(gateway):
    """Events of another owner's assets reach nobody else's stream, of all things or of one."""
    async with follow(f"{gateway.url}/v1/events") as stream:
        assert (await stream.next()).name == "snapshot"
        await gateway.add_asset("foreign", owner="somebody", team="else")
        await gateway.add_asset("mine")
        told = []
        while "mine" not in told:
            told.append((await stream.next()).data["asset_id"])
        assert "foreign" not in told


async def test_coming_back_misses_nothing(gateway):
    """With the id of the last message a client gets what happened meanwhile; without a known one, how things are."""
    async with follow(f"{gateway.url}/v1/events") as stream:
        await stream.next()
        await gateway.add_asset("r1", status="processing")
        seen = (await stream.until("asset.created")).id
    await set_status(gateway, "r1", "ready")
    await gateway.add_asset("r2")
    async with follow(f"{gateway.url}/v1/events", last=seen) as stream:
        assert (await stream.until("asset.ready")).data["asset_id"] == "r1"
        assert (await stream.until("asset.created")).data["asset_id"] == "r2"
    async with follow(f"{gateway.url}/v1/events?after=999999999") as stream:
        await gateway.add_asset("r3")
        assert (await stream.until("asset.created")).data["asset_id"] == "r3"


async def test_late_transaction_is_told(gateway, module_dsn):
    """An event whose transaction ends after later ones is told all the same, and a client that returns gets it too."""
    async with await psycopg.AsyncConnection.connect(module_dsn, options="-c search_path=mediaplane") as late:
        await late.execute(
            "INSERT INTO assets (asset_id, owner, team, status) VALUES ('late', 'local', 'local', 'ready')"
        )
        async with follow(f"{gateway.url}/v1/events") as stream:
            await stream.next()
            await gateway.add_asset("early")
            early = await stream.until("asset.created")
            assert early.data["asset_id"] == "early"
            assert early.id < early.data["event_id"], "the place to go on from is before what is still out"
            await late.commit()
            assert (await stream.until("asset.created")).data["asset_id"] == "late"
    async with follow(f"{gateway.url}/v1/events", last=early.id) as stream:
        told = {(await stream.until("asset.created")).data["asset_id"] for _ in range(2)}
    assert told == {"early", "late"}


async def test_slow_reader_is_let_go(gateway, monkeypatch):
    """Who does not read holds a bounded queue, then is cut off; others are told all the while."""
    monkeypatch.setattr(feed_module, "MOST_QUEUED", 20)
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        slow.sendall(f"GET /v1/events HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        async with follow(f"{gateway.url}/v1/events") as stream:
            await stream.next()
            assert await streams_at_work(gateway, 2)
            for number in range(60):
                await gateway.add_asset(f"slow{number}", title="x" * 200_000)
                while (await stream.until("asset.created")).data["asset_id"] != f"slow{number}":
                    pass
            assert await streams_at_work(gateway, 1), "the slow one is gone though it has not closed"
    assert await streams_at_work(gateway, 0)


async def streams_at_work(gateway: Gateway, wanted: int) -> bool:
    """Wait until the gateway has so many streams."""
    async with httpx.AsyncClient() as client:
        for _ in range(200):
            figures = (await client.get(f"{gateway.url}/metrics")).text
            if f"mediaplane_event_streams {float(wanted)}" in figures:
                return True
            await asyncio.sleep(0.05)
    return False


async def test_heartbeats(gateway, monkeypatch):
    """A stream where nothing happens says that it lives."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    await gateway.add_asset("quiet")
    async with follow(f"{gateway.url}/v1/assets/quiet/events") as stream:
        await stream.next()
        await asyncio.sleep(0.5)
        await set_status(gateway, "quiet", "failed")
        await stream.until("asset.failed")
        assert stream.comments >= 2


async def test_client_that_goes_is_forgotten(gateway):
    """A closed connection ends its stream at once, not at the next event."""
    async with follow(f"{gateway.url}/v1/events") as stream:
        await stream.next()
        assert await streams_at_work(gateway, 1)
    assert await streams_at_work(gateway, 0)
