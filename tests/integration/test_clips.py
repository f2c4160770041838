"""Clips: asked for once, kept until they expire, then gone with their bytes."""

from datetime import timedelta

import pytest

from mediaplane.catalog import assets, clips, objects, runs
from mediaplane.errors import AssetNotFound, ClipNotFound, InvalidRange
from mediaplane.media.keys import check_key
from mediaplane.pipeline.clips import request_clip
from mediaplane.settings import load_settings
from mediaplane.storage.memory import MemoryStore
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import remove_expired_clips

SETTINGS = load_settings({})


@pytest.fixture
async def asset(conn):
    """Add an asset of one minute."""
    await assets.add(conn, asset_id="a", owner="local", team="local", title="a", status="ready", digest="sha256:x")
    await assets.describe(conn, "a", kind="video", duration_ms=60_000, width=640, height=360, probe={})
    return "a"


async def ask(conn, start_ms=10_000, end_ms=20_000, *, mode="fast", padding_ms=2000):
    return await request_clip(conn, SETTINGS, "a", start_ms=start_ms, end_ms=end_ms, mode=mode, padding_ms=padding_ms)


@pytest.mark.usefixtures("asset")
async def test_clip_asked_for_twice_is_one(conn):
    """The same cut is one row and one run; another mode is another clip."""
    first, again, exact = await ask(conn), await ask(conn), await ask(conn, mode="exact")
    assert first.clip_id == again.clip_id != exact.clip_id
    assert {run.subject for run in await runs.of_asset(conn, "a")} == {first.clip_id, exact.clip_id}


@pytest.mark.usefixtures("asset")
async def test_clip_padding_stays_within_the_asset(conn):
    """Padding never reaches before the beginning or behind the end."""
    clip = await ask(conn, 1000, 59_500)
    assert (clip.t_start_ms, clip.t_end_ms) == (0, 60_000)


@pytest.mark.usefixtures("asset")
@pytest.mark.parametrize(("start_ms", "end_ms"), [(20_000, 10_000), (5000, 5000), (60_000, 70_000), (-1, 1000)])
async def test_clip_of_no_range_is_refused(conn, start_ms, end_ms):
    """An empty, reversed or foreign range is an error, not an empty file."""
    with pytest.raises(InvalidRange):
        await ask(conn, start_ms, end_ms)


async def test_clip_of_no_asset_is_refused(conn):
    """There is nothing to cut."""
    with pytest.raises(AssetNotFound):
        await ask(conn)


@pytest.mark.usefixtures("asset")
async def test_clip_that_failed_is_tried_anew_when_asked_again(conn):
    """A failure is not the last word on a cut."""
    clip = await ask(conn)
    await conn.execute("UPDATE stage_runs SET state = 'failed'")
    await clips.mark_failed(conn, clip.clip_id, code="tool_failed", message="the disk was full")
    again = await ask(conn)
    assert (again.clip_id, again.status) == (clip.clip_id, "processing")
    assert [run.state for run in await runs.of_asset(conn, "a")] == ["queued"]


@pytest.mark.usefixtures("asset")
@pytest.mark.parametrize(("days_left", "status"), [(20, "ready"), (10, "processing")])
async def test_clip_asked_for_again_outlives_the_bytes_only_if_cut_anew(conn, days_left, status):
    """A bucket that expires by itself counts from the writing: only bytes written anew may live longer."""
    clip = await ask(conn)
    await conn.execute("UPDATE stage_runs SET state = 'done'")
    await clips.mark_ready(conn, clip.clip_id, store="s3", key="k")
    await conn.execute("UPDATE clips SET expires_at = now() + %s", (timedelta(days=days_left),))
    before = await clips.get(conn, clip.clip_id)
    again = await ask(conn)
    assert (again.clip_id, again.status) == (clip.clip_id, status)
    assert (again.expires_at > before.expires_at) == (status == "processing")
    assert [run.state for run in await runs.of_asset(conn, "a")] == ["queued" if status == "processing" else "done"]


@pytest.mark.usefixtures("asset")
async def test_clip_that_expired_is_removed_with_its_bytes(pool, conn):
    """After its time neither the row nor the object nor the bytes are there; a live clip stays."""
    store = MemoryStore()
    old, live = await ask(conn), await ask(conn, 30_000, 40_000)
    for clip in (old, live):
        key = check_key(f"videos/clips/a/{clip.clip_id}.mp4")
        place = {"store": "s3", "asset_id": "a"}
        await objects.intend(conn, **place, role="clip", keys=[key], content_type="video/mp4")
        await objects.settle(conn, **place, infos=[await store.put(key, _bytes(), content_type="video/mp4")])
        await clips.mark_ready(conn, clip.clip_id, store="s3", key=key)
    expired = {"id": old.clip_id, "age": timedelta(seconds=1)}
    await conn.execute("UPDATE clips SET expires_at = now() - %(age)s WHERE clip_id = %(id)s", expired)

    await remove_expired_clips(conn)
    await drain_outbox(pool, {"s3": store})

    with pytest.raises(ClipNotFound):
        await clips.get(conn, old.clip_id)
    assert [info.key async for info in store.walk("")] == [f"videos/clips/a/{live.clip_id}.mp4"]
    assert [row.key for row in await objects.of_asset(conn, "a")] == [f"videos/clips/a/{live.clip_id}.mp4"]


async def _bytes():
    yield b"clip"
