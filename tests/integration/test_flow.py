"""The pipeline's plan: what follows what, once, and again only where inputs have changed."""

import json
from datetime import UTC, datetime

import pytest

from mediaplane.catalog import assets, objects, runs
from mediaplane.jobs.arrivals import Arrival, register
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.flow import Flow
from mediaplane.settings import load_settings
from mediaplane.storage.store import ObjectInfo

PROBE = {"kind": "video", "audio": [{"index": 1}], "video": {"index": 0}}
PLAN = {"chunks": [{"index": 0, "start_us": 0}, {"index": 1, "start_us": 60_000_000}]}


def arrival(etag="one"):
    info = ObjectInfo(ObjectKey("videos/original/a/master.mp4"), 5, etag, datetime.now(UTC))
    return Arrival(
        store="s3", info=info, asset_id="a", owner="local", team="local", title="a", content_type="video/mp4"
    )


@pytest.fixture
def flow():
    return Flow(load_settings({}))


async def finish(conn, flow, stage, outputs=None, *, chunk=None, state="done"):
    """End the active run of a stage as the worker would."""
    run = next(run for run in await runs.of_asset(conn, "a") if (run.stage, run.chunk) == (stage, chunk))
    assert run.state == "queued", run
    error = ("bad", "it is bad") if state == "failed" else (None, None)
    await conn.execute(
        "UPDATE stage_runs SET state = %s, outputs = %s::jsonb, error_code = %s, error_message = %s WHERE run_id = %s",
        (state, json.dumps(outputs or {}), *error, run.run_id),
    )
    async with conn.transaction():
        await flow.advance(conn, "a")


async def active(conn):
    return {(run.stage, run.chunk) for run in await runs.of_asset(conn, "a") if run.state in ("queued", "running")}


async def test_flow_walks_through_the_stages_to_ready(conn, flow):
    """Each stage follows the ones it needs, chunks and sound side by side."""
    await register(conn, arrival(), flow.advance)
    assert await active(conn) == {("probe", None)}
    await finish(conn, flow, "probe", PROBE)
    assert await active(conn) == {("plan", None)}
    await finish(conn, flow, "plan", PLAN)
    assert await active(conn) == {("chunk", 0), ("chunk", 1), ("audio", None)}
    await finish(conn, flow, "chunk", chunk=1)
    await finish(conn, flow, "audio")
    assert await active(conn) == {("chunk", 0)}
    await finish(conn, flow, "chunk", chunk=0)
    assert await active(conn) == {("assemble", None)}
    assert (await assets.get(conn, "a")).status == "processing"
    await finish(conn, flow, "assemble")
    assert await active(conn) == set()
    assert (await assets.get(conn, "a")).status == "ready"


async def test_flow_asked_again_changes_nothing(conn, flow):
    """Planning twice queues nothing twice."""
    await register(conn, arrival(), flow.advance)
    async with conn.transaction():
        await flow.advance(conn, "a")
    count = await (await conn.execute("SELECT count(*) FROM stage_runs")).fetchone()
    assert count == (1,)


async def test_flow_of_a_failed_stage_fails_the_asset_and_stops_the_rest(conn, flow):
    """The asset says why, and nothing of it goes on."""
    await register(conn, arrival(), flow.advance)
    await finish(conn, flow, "probe", PROBE)
    await finish(conn, flow, "plan", PLAN)
    await finish(conn, flow, "chunk", chunk=0, state="failed")
    asset = await assets.get(conn, "a")
    assert (asset.status, asset.error_code, asset.error_message) == ("failed", "bad", "it is bad")
    assert await active(conn) == set()


async def test_flow_of_an_original_with_other_bytes_begins_anew(conn, flow):
    """Work on the old bytes is cancelled."""
    await register(conn, arrival(), flow.advance)
    await finish(conn, flow, "probe", PROBE)
    await register(conn, arrival("two"), flow.advance)
    assert await active(conn) == {("probe", None)}
    probes = await (await conn.execute("SELECT state FROM stage_runs ORDER BY created_at")).fetchall()
    assert [row[0] for row in probes] == ["done", "cancelled", "queued"]


async def test_flow_of_the_same_bytes_again_runs_nothing(conn, flow):
    """An original put again with the same bytes is not even planned."""
    await register(conn, arrival(), flow.advance)
    assert await register(conn, arrival(), flow.advance) is False


async def test_flow_with_another_setting_runs_only_what_depends_on_it(conn, flow):
    """A change of how often frames are looked at leaves probe, plan and sound as they are."""
    await register(conn, arrival(), flow.advance)
    for stage, outputs, chunk in (
        ("probe", PROBE, None),
        ("plan", PLAN, None),
        ("chunk", {}, 0),
        ("chunk", {}, 1),
        ("audio", {}, None),
        ("assemble", {}, None),
    ):
        await finish(conn, flow, stage, outputs, chunk=chunk)
    other = Flow(load_settings({"FRAMES_PER_SECOND": "2"}))
    async with conn.transaction():
        await other.advance(conn, "a")
    assert await active(conn) == {("chunk", 0), ("chunk", 1)}
    assert (await assets.get(conn, "a")).status == "processing"


async def test_flow_of_a_deleted_asset_does_nothing(conn, flow):
    """Planning for an asset that went meanwhile is no error."""
    async with conn.transaction():
        await flow.advance(conn, "nobody")
    assert await objects.of_asset(conn, "nobody") == []
