"""Replay over HTTP and its traces: what is begun, what is reused, what is refused, what the old tools' views tell."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from mediaplane.catalog import runs, views
from mediaplane.pipeline.chunk import guest_of
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTPUTS = {
    "probe": {"kind": "video", "audio": [], "video": {"index": 0}},
    "plan": {"chunks": [{"index": 0, "start_us": 0}]},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), {"STORAGE_MODE": "local"}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as opened:
        yield opened


async def add_finished(gateway: Gateway, asset_id: str) -> None:
    """Add an asset of one chunk, and end its runs as workers would, until it is ready."""
    await gateway.add_asset(asset_id, status="processing")
    flow = gateway.plane.flow
    async with gateway.plane.pool.connection() as conn:
        async with conn.transaction():
            await flow.advance(conn, asset_id)
        while waiting := [run for run in await runs.of_asset(conn, asset_id) if run.state == "queued"]:
            for run in waiting:
                if guest := guest_of(run):
                    await runs.insert_done(conn, guest, {}, host_id=run.run_id)
                done = (
                    "UPDATE stage_runs SET state = 'done', outputs = %s::jsonb, finished_at = now() WHERE run_id = %s"
                )
                await conn.execute(done, (json.dumps(OUTPUTS.get(run.stage, {})), run.run_id))
            async with conn.transaction():
                await flow.advance(conn, asset_id)


async def test_replay_says_what_it_does_and_what_it_reuses(gateway, client):
    """The answer, the asset and the view of the mpr deployment's tools agree."""
    await add_finished(gateway, "a1")
    before = (await client.get("/v1/assets/a1")).json()
    assert before["status"] == "ready"
    assert not any(stage["reused"] for stage in before["stages"])
    key = {"Idempotency-Key": "once"}
    body = {"stage": "ocr", "set": {"languages": "eng,deu"}}
    answer = await client.post("/v1/assets/a1/replays", json=body, headers=key)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert [(run["stage"], run["chunk"]) for run in told["begun"]] == [("ocr", 0)]
    assert {run["stage"] for run in told["reused"]} == {"probe", "plan", "chunk", "assemble", "text"}
    assert told["params"] == {"OCR_LANGUAGES": "eng,deu"}
    assert (await client.post("/v1/assets/a1/replays", json=body, headers=key)).json() == told
    after = {run["run_id"]: run["reused"] for run in (await client.get("/v1/assets/a1")).json()["stages"]}
    assert after == {run["run_id"]: True for run in told["reused"]} | {told["begun"][0]["run_id"]: False}
    async with gateway.plane.pool.connection() as conn:
        await views.install(conn, ["checkpoint", "stageoutput"])
        rows = await conn.execute("SELECT id, reused_by, timeline_id FROM checkpoint WHERE asset_id = 'a1'")
        found = {row[0]: row[1:] for row in await rows.fetchall()}
    assert {found[run["run_id"]][0] for run in told["reused"]} == {told["replay_id"]}
    reread = found[told["begun"][0]["run_id"]]
    assert reread[0] is None
    assert len(reread[1]) == 16


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"stage": "dream"}, "no stage 'dream'"),
        ({"stage": "chunk", "set": {"short_sides": "enormous"}}, "short_sides must be"),
        ({"stage": "ocr", "set": {"engine": "crystal ball"}}, "engine must be"),
    ],
    ids=["stage", "value", "engine"],
)
async def test_replay_that_cannot_be_is_422(gateway, client, body, says):
    """It is said what is wrong, and nothing is planned."""
    asset_id = f"bad-{body['stage']}"
    await add_finished(gateway, asset_id)
    answer = await client.post(f"/v1/assets/{asset_id}/replays", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_replay"
    assert says in answer.json()["detail"]
    assert (await client.get(f"/v1/assets/{asset_id}")).json()["status"] == "ready"


async def test_replay_of_what_is_not_there_is_404(client):
    """An unknown asset is not found, whatever is asked of it."""
    assert (await client.post("/v1/assets/nowhere/replays", json={"stage": "ocr"})).status_code == 404
