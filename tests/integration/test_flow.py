"""The pipeline's plan: what follows what, once, and again only where inputs have changed."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from mediaplane.catalog import assets, objects, replays, runs
from mediaplane.errors import InvalidReplay
from mediaplane.jobs.arrivals import Arrival, register
from mediaplane.jobs.queue import take
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.chunk import guest_of
from mediaplane.pipeline.flow import Flow
from mediaplane.pipeline.replays import begin_replay
from mediaplane.settings import load_settings
from mediaplane.storage.store import ObjectInfo

LEASE = timedelta(seconds=30)
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
    if state == "done" and (guest := guest_of(run)):  # what the stage `chunk` does for a run of `ocr`
        await runs.insert_done(conn, guest, {}, host_id=run.run_id)
    error = ("bad", "it is bad") if state == "failed" else (None, None)
    await conn.execute(
        "UPDATE stage_runs SET state = %s, outputs = %s::jsonb, error_code = %s, error_message = %s,"
        " finished_at = now() WHERE run_id = %s",
        (state, json.dumps(outputs or {}), *error, run.run_id),
    )
    async with conn.transaction():
        await flow.advance(conn, "a")


async def finish_all(conn, flow):
    """End every stage of a recording of two chunks with sound."""
    for stage, outputs, chunk in (
        ("probe", PROBE, None),
        ("plan", PLAN, None),
        ("chunk", {}, 0),
        ("chunk", {}, 1),
        ("audio", {}, None),
        ("assemble", {}, None),
        ("text", {}, None),
    ):
        await finish(conn, flow, stage, outputs, chunk=chunk)


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
    assert await active(conn) == {("assemble", None), ("text", None)}
    assert (await assets.get(conn, "a")).status == "processing"
    await finish(conn, flow, "assemble")
    await finish(conn, flow, "text")
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
    await finish_all(conn, flow)
    other = Flow(load_settings({"FRAMES_PER_SECOND": "2"}))
    async with conn.transaction():
        await other.advance(conn, "a")
    assert await active(conn) == {("ocr", 0), ("ocr", 1)}
    assert (await assets.get(conn, "a")).status == "processing"


async def test_flow_encodes_and_reads_a_chunk_in_one_run(conn, flow):
    """Where both are missing the chunk is decoded once, and both runs stand as done."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    found = {(run.stage, run.chunk): run for run in await runs.of_asset(conn, "a")}
    for chunk in (0, 1):
        assert found["ocr", chunk].state == "done"
        assert found["ocr", chunk].inputs_digest == found["chunk", chunk].params["read"]["inputs_digest"]
    assert (await assets.get(conn, "a")).status == "ready"


async def test_flow_with_other_renditions_reads_nothing(conn, flow):
    """Other renditions are encoded without anybody looking at frames."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    other = Flow(load_settings({"HLS_SHORT_SIDES": "480"}))
    async with conn.transaction():
        await other.advance(conn, "a")
    queued = [run for run in await runs.of_asset(conn, "a") if run.state == "queued"]
    assert {(run.stage, run.chunk, "read" in run.params) for run in queued} == {
        ("chunk", 0, False),
        ("chunk", 1, False),
    }


async def test_flow_queues_the_sound_behind_both_halves_of_the_first_minute(conn, flow):
    """Two workers read the first minute before either turns to the sound of the whole."""
    await register(conn, arrival(), flow.advance)
    await finish(conn, flow, "probe", PROBE)
    await finish(conn, flow, "plan", PLAN)
    stages, worker_id = ["chunk", "audio"], uuid4()
    taken = [await take(conn, stages, most=1, worker="w", worker_id=worker_id, lease=LEASE) for _ in range(3)]
    assert [(run.stage, run.chunk) for one in taken for run in one.runs] == [
        ("chunk", 0), ("chunk", 1), ("audio", None)
    ]  # fmt: skip


async def test_flow_with_reading_turned_off_forgets_text_only(conn, flow):
    """Nobody reads: what was read goes, what was encoded stays."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    async with conn.transaction():
        await Flow(load_settings({"OCR_ENGINE": "off"})).advance(conn, "a")
    (queued,) = [run for run in await runs.of_asset(conn, "a") if run.state == "queued"]
    assert (queued.stage, queued.params) == ("text", {"chunks": 0})


async def test_replay_of_reading_leaves_everything_else(conn, flow):
    """A language more is read again chunk by chunk; the runs that stand are older than the replay."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    begun = await begin_replay(conn, flow, "a", stage="ocr", given={"languages": "eng,deu"})
    assert {(run.stage, run.chunk) for run in begun.begun} == {("ocr", 0), ("ocr", 1)}
    assert {(run.stage, run.chunk) for run in begun.reused} == {
        ("probe", None), ("plan", None), ("chunk", 0), ("chunk", 1), ("audio", None), ("assemble", None), ("text", None)
    }  # fmt: skip
    assert begun.begun[0].params["ocr"]["languages"] == ["eng", "deu"]
    for chunk in (0, 1):
        await finish(conn, flow, "ocr", chunk=chunk)
    assert await active(conn) == {("text", None)}
    await finish(conn, flow, "text")
    assert (await assets.get(conn, "a")).status == "ready"
    again = await begin_replay(conn, flow, "a", stage="ocr", given={"languages": "eng,deu"})
    assert again.begun == []
    assert len(again.reused) == 9
    assert (await assets.get(conn, "a")).status == "ready"


async def test_replay_keeps_the_timeline_where_pictures_are_the_same(conn, flow):
    """Other languages look at the same frames, twice as many frames a second do not."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)

    async def timeline():
        latest = {(run.stage, run.chunk): run for run in await runs.of_asset(conn, "a")}
        return latest["ocr", 0].params["timeline_id"]

    first = await timeline()
    await begin_replay(conn, flow, "a", stage="ocr", given={"languages": "deu"})
    assert await timeline() == first
    await begin_replay(conn, flow, "a", stage="ocr", given={"frames_per_second": "20"})
    assert await timeline() != first


async def test_replay_of_a_failed_asset_tries_what_failed(conn, flow):
    """Nothing is given, and what went wrong is done once more; what was done stays."""
    await register(conn, arrival(), flow.advance)
    await finish(conn, flow, "probe", PROBE)
    await finish(conn, flow, "plan", PLAN)
    await finish(conn, flow, "audio")
    await finish(conn, flow, "chunk", chunk=0, state="failed")
    begun = await begin_replay(conn, flow, "a", stage="chunk", given={})
    assert {(run.stage, run.chunk) for run in begun.begun} == {("chunk", 0), ("chunk", 1)}
    assert (await assets.get(conn, "a")).status == "processing"


@pytest.mark.parametrize(
    ("stage", "given", "says"),
    [
        ("magic", {}, "no stage 'magic'"),
        ("ocr", {"speed": "9"}, "no parameter 'speed'"),
        ("audio", {"speed": "9"}, "it has none"),
        ("ocr", {"min_confidence": "7"}, "min_confidence must be from 0 to 1"),
        ("ocr", {"languages": "tlh"}, "no model reads 'tlh'"),
    ],
)
async def test_replay_with_what_cannot_be_is_refused(conn, flow, stage, given, says):
    """Nothing is planned, and the words say what would be right."""
    await register(conn, arrival(), flow.advance)
    with pytest.raises(InvalidReplay, match=says):
        await begin_replay(conn, flow, "a", stage=stage, given=given)
    assert await replays.latest(conn, "a") is None


async def test_same_bytes_again_reuse_every_run(conn, flow):
    """Bytes that come again are noted, and every run counts as reused."""
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    await replays.note_same_bytes(conn, "a")
    replay = await replays.latest(conn, "a")
    assert replay is not None
    assert replay.cause == "ingest"
    assert all(replay.reused(run) for run in await runs.of_asset(conn, "a"))


async def test_flow_of_a_deleted_asset_does_nothing(conn, flow):
    """Planning for an asset that went meanwhile is no error."""
    async with conn.transaction():
        await flow.advance(conn, "nobody")
    assert await objects.of_asset(conn, "nobody") == []


@pytest.mark.parametrize("state", ["done", "failed"])
async def test_flow_looks_for_highlights_before_ready(conn, state):
    """Where a detector is set its stage comes last; one that fails does not take the recording with it."""
    flow = Flow(load_settings({"HIGHLIGHTS": "default", "HIGHLIGHT_COUNT": "3"}))
    await register(conn, arrival(), flow.advance)
    await finish_all(conn, flow)
    assert await active(conn) == {("highlights", None)}
    assert (await assets.get(conn, "a")).status == "processing"
    (run,) = [run for run in await runs.of_asset(conn, "a") if run.stage == "highlights"]
    assert run.params == {"detector": "default", "count": 3, "seconds": [15, 60]}
    await finish(conn, flow, "highlights", state=state)
    assert await active(conn) == set()
    assert (await assets.get(conn, "a")).status == "ready"
    async with conn.transaction():
        await flow.advance(conn, "a")
    assert await active(conn) == set(), "asked again it is not tried again"
