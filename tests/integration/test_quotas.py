"""Quotas hold: against many at once, against those who cancel and write all the same, and in every month."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mediaplane.access.principals import Principal, Role
from mediaplane.access.wishes import Wish
from mediaplane.catalog import assets, clips, events, objects, plan_holders, runs, usage
from mediaplane.catalog.direct_uploads import FORM, PARTS, PUT
from mediaplane.catalog.events import EventCursor
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.usage import Account
from mediaplane.errors import QuotaExceeded
from mediaplane.jobs import ending
from mediaplane.jobs.stage import Outcome
from mediaplane.media.keys import ObjectKey
from mediaplane.media.quotas import read_plans
from mediaplane.pipeline.clips import request_clip
from mediaplane.postgres import Pool
from mediaplane.settings import load_settings
from mediaplane.storage.store import ObjectInfo
from mediaplane.upkeep.quotas import resume_held, sum_up, tell_everybody
from mediaplane.wiring import Plane, open_plane

GIGABYTE = 10**9
ANNA = Principal("key:1", "anna", "anna", Role.MEMBER)
ACCOUNT = Account("anna", "anna")
PLANS = {
    "free": {"default": True, "stored_bytes": GIGABYTE, "clips": 2, "minutes_per_month": 10, "largest_bytes": "900 MB"},
    "pro": {"stored_bytes": "2 GB", "clips": 3, "minutes_per_month": 30},
}


@pytest.fixture
async def plane(dsn: str, tmp_path: Path) -> AsyncIterator[Plane]:
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_STATE_DIR": str(tmp_path), "MEDIAPLANE_PUBLIC_URL": "http://x.test"}
    settings = replace(load_settings(environ), database_url=dsn, plans=PLANS)
    async with open_plane(settings, max_connections=20) as opened:
        yield opened


def wish(size_bytes: int | None, way: str = PUT) -> Wish:
    return Wish("a.mp4", "video/mp4", size_bytes, way, plans_parts=size_bytes is not None)


async def used(pool: Pool, account: Account = ACCOUNT) -> usage.Usage:
    async with pool.connection() as conn:
        assert await usage.differences(conn) == []
        return await usage.read(conn, account)


async def give(plane: Plane, plan: str | None, **overrides: int | None) -> None:
    async with plane.pool.connection() as conn:
        await plan_holders.put(conn, owner="anna", team="*", plan=plan, overrides=overrides, since=None)


# Many at once


async def test_hundred_uploads_against_the_last_gigabyte(plane):
    """Of 100 begun at the same moment exactly those that fit are; the others are told numbers."""
    uploads = plane.direct_uploads(plane.pool.connection)
    results = await asyncio.gather(*(uploads.begin(ANNA, wish(30_000_000)) for _ in range(100)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, QuotaExceeded)]
    assert len(refused) == 100 - 33
    assert not [result for result in results if isinstance(result, BaseException) and result not in refused]
    assert {(error.resource, error.limit, error.requested) for error in refused} == {
        ("stored_bytes", GIGABYTE, 30_000_000)
    }
    assert {error.usage for error in refused} == {33 * 30_000_000}
    now = await used(plane.pool)
    assert (now.reserved_bytes, now.uploads) == (33 * 30_000_000, 33)
    async with plane.pool.connection() as conn:
        rows = await (await conn.execute("SELECT count(*), count(DISTINCT asset_id) FROM uploads")).fetchone()
        assert rows == (33, 33)
        assert await (await conn.execute("SELECT count(*) FROM assets")).fetchone() == (33,)


async def test_uploads_and_the_pipeline_wait_for_nobody(plane):
    """Reservations, chunks that settle, deletions, clips, and the sums, all of one owner at once: no deadlock."""
    uploads = plane.direct_uploads(plane.pool.connection)
    for number in range(4):
        await add_video(plane, f"v{number}", duration_ms=1000)

    async def settle(number: int) -> None:
        keys = [ObjectKey(f"seg/{number % 4}/{number}/{part}") for part in range(5)]
        place = {"store": "local", "asset_id": f"v{number % 4}"}
        async with plane.pool.connection() as conn:
            await objects.intend(conn, **place, role="segment", keys=keys, content_type="x/y")
            async with conn.transaction():
                await assets.lock(conn, f"v{number % 4}")
                infos = [ObjectInfo(key, 100, "e", assets.datetime.now().astimezone()) for key in keys]
                await objects.settle(conn, **place, infos=infos)
                await plane.flow.advance(conn, f"v{number % 4}")

    async def cut(number: int) -> None:
        async with plane.pool.connection() as conn:
            with contextlib.suppress(QuotaExceeded):
                await request_clip(
                    conn,
                    plane.settings,
                    f"v{number % 4}",
                    start_ms=number,
                    end_ms=number + 50,
                    mode="fast",
                    padding_ms=0,
                )

    async def begin(number: int) -> None:
        try:
            upload = await uploads.begin(ANNA, wish(60_000_000))
            if number % 2:
                await uploads.abort(upload)
        except QuotaExceeded:
            pass

    async def sums(_number: int) -> None:
        async with plane.pool.connection() as conn:
            await sum_up(conn, plane.quotas)

    work = [step(number) for number in range(40) for step in (settle, cut, begin)] + [sums(0) for _ in range(10)]
    await asyncio.wait_for(asyncio.gather(*work), 120)
    now = await used(plane.pool)
    assert now.reserved_bytes + now.outbox_bytes <= GIGABYTE
    assert (now.objects_bytes, now.clips) == (4 * 100 + 40 * 5 * 100, 2)


async def test_accounts_do_not_wait_for_each_other(plane):
    """While one owner's reservation is under way, another's begins."""
    uploads = plane.direct_uploads(plane.pool.connection)
    async with plane.pool.connection() as conn, conn.transaction():
        await usage.lock_account(conn, Account("ben", "ben"))
        await asyncio.wait_for(uploads.begin(ANNA, wish(10)), 20)


# What is refused, and how


async def test_file_larger_than_a_plan_takes(plane):
    """The size of one file has a limit of its own; a plan without one would take it."""
    uploads = plane.direct_uploads(plane.pool.connection)
    with pytest.raises(QuotaExceeded, match=r"takes files of at most 900\.0 MB") as caught:
        await uploads.begin(ANNA, wish(950_000_000))
    assert (caught.value.resource, caught.value.larger_plans) == ("largest_bytes", ("pro",))


async def test_nothing_helps_beyond_the_largest_plan(plane):
    """Who has the largest plan, or wants more than any gives, is not told to pay for another."""
    await give(plane, "pro")
    uploads = plane.direct_uploads(plane.pool.connection)
    with pytest.raises(QuotaExceeded, match="delete something first") as caught:
        await uploads.begin(ANNA, wish(3 * GIGABYTE))
    assert caught.value.larger_plans == ()


async def test_known_bytes_need_no_room(plane):
    """A file that is there already is recognised also by who has no byte left."""
    digest = "a" * 64
    await add_video(plane, "v", duration_ms=1000, size_bytes=GIGABYTE, digest=f"sha256:{digest}")
    same = replace(wish(GIGABYTE), checksums=type(wish(1).checksums)(sha256=digest))
    uploads = plane.direct_uploads(plane.pool.connection)
    assert (await uploads.begin(ANNA, same)).asset_id == "v"
    with pytest.raises(QuotaExceeded):
        await uploads.begin(ANNA, wish(1))


async def test_derived_objects_count(plane):
    """What was made of an original leaves less room for the next one; making it is not refused."""
    await add_video(plane, "v", duration_ms=1000, size_bytes=400_000_000)
    async with plane.pool.connection() as conn:
        place = {"store": "local", "asset_id": "v"}
        await objects.intend(conn, **place, role="segment", keys=[ObjectKey("seg/1")], content_type="x/y")
        info = ObjectInfo(ObjectKey("seg/1"), 700_000_000, "e", assets.datetime.now().astimezone())
        await objects.settle(conn, **place, infos=[info])
    with pytest.raises(QuotaExceeded) as caught:
        await plane.direct_uploads(plane.pool.connection).begin(ANNA, wish(1))
    assert caught.value.usage == 1_100_000_000


@pytest.mark.parametrize("way", [FORM, PARTS])
async def test_file_of_unknown_size_reserves_what_there_may_be(plane, way):
    """Uppy does not say how large a file is: as much is reserved as may come, and no more than that is taken."""
    uploads = plane.direct_uploads(plane.pool.connection)
    first = await uploads.begin(ANNA, wish(None, way))
    assert first.reserved_bytes == 900_000_000  # largest_bytes of the plan
    second = await uploads.begin(ANNA, wish(None, way))
    assert second.reserved_bytes == second.most_bytes(10**15) == 100_000_000  # all that is left
    with pytest.raises(QuotaExceeded):
        await uploads.begin(ANNA, wish(None, way))


async def test_ingest_is_held_to_the_plan(plane, tmp_path):
    """Files that this process sends count and are refused as clients' are."""
    uploader = replace(plane.uploader(), owner="anna", team="anna")
    await give(plane, "free", stored_bytes=1000)
    (tmp_path / "a.bin").write_bytes(b"x" * 800)
    (tmp_path / "b.bin").write_bytes(b"y" * 800)
    await uploader.ingest(tmp_path / "a.bin", title="a")
    with pytest.raises(QuotaExceeded):
        await uploader.ingest(tmp_path / "b.bin", title="b")
    assert (await used(plane.pool)).stored_bytes == 800


# Clips


async def test_clips_beyond_the_limit(plane):
    """The same cut asked again is the same clip, also at the limit; another one is too many."""
    await add_video(plane, "v", duration_ms=100_000)

    async def cut(start_ms: int) -> clips.Clip:
        async with plane.pool.connection() as conn:
            return await request_clip(
                conn, plane.settings, "v", start_ms=start_ms, end_ms=start_ms + 500, mode="fast", padding_ms=0
            )

    first = await cut(0)
    second = await cut(1000)
    assert (await cut(0)).clip_id == first.clip_id
    with pytest.raises(QuotaExceeded) as caught:
        await cut(2000)
    assert (caught.value.resource, caught.value.limit, caught.value.usage) == ("clips", 2, 2)
    async with plane.pool.connection() as conn:
        await clips.mark_failed(conn, second.clip_id, code="x", message="x")
    await cut(2000)  # one that failed takes no place
    with pytest.raises(QuotaExceeded):
        await cut(1000)  # and cannot come back over the limit


# Minutes


async def add_video(
    plane: Plane, asset_id: str, *, duration_ms: int | None, size_bytes: int = 100, digest: str = ""
) -> None:
    """Add a video of Anna's whose probe is done just now, as a worker ends it."""
    digest = digest or f"sha256:{asset_id}"
    async with plane.pool.connection() as conn, conn.transaction():
        await assets.add(
            conn, asset_id=asset_id, owner="anna", team="anna", title="", status="processing", digest=digest
        )
        key = ObjectKey(f"in/{asset_id}")
        place = {"store": "local", "asset_id": asset_id}
        await objects.intend(conn, **place, role="original", keys=[key], content_type="video/mp4")
        await objects.settle(
            conn, **place, infos=[ObjectInfo(key, size_bytes, "e", assets.datetime.now().astimezone())]
        )
        await plane.flow.advance(conn, asset_id)
        [probe] = await runs.of_asset(conn, asset_id)
        [run] = await runs.claim(conn, [probe.run_id], worker="w", lease=timedelta(minutes=1))
        document = {"kind": "video", "duration_ms": duration_ms, "audio": None}

        async def describe(own: object) -> None:
            await assets.describe(
                conn, asset_id, kind="video", duration_ms=duration_ms, width=1, height=1, probe=document
            )

        await ending.finish(conn, run, Outcome(outputs=document, commit=describe), plane.flow.after_run)


async def status(plane: Plane, asset_id: str) -> tuple[str, str | None]:
    async with plane.pool.connection() as conn:
        found = await assets.get(conn, asset_id)
    return found.status, found.error_code


async def resume(plane: Plane) -> None:
    async with plane.pool.connection() as conn:
        await resume_held(conn, plane.quotas, plane.flow.advance)


MINUTE = 60_000


async def test_asset_beyond_the_minutes_waits_for_an_upgrade(plane):
    """It is not processed and says why; with a larger plan it goes on by itself, counted once."""
    await add_video(plane, "a", duration_ms=7 * MINUTE)
    await add_video(plane, "b", duration_ms=4 * MINUTE)
    assert await status(plane, "a") == ("processing", None)
    assert await status(plane, "b") == ("failed", "quota_exceeded")
    async with plane.pool.connection() as conn:
        found = await assets.get(conn, "b")
        assert "10 minutes of processing a month: 7 minutes used, 4 minutes more do not fit" in (
            found.error_message or ""
        )
        assert [run.stage for run in await runs.of_asset(conn, "b")] == ["probe"]
    await resume(plane)
    assert await status(plane, "b") == ("failed", "quota_exceeded")
    await give(plane, "pro")
    await resume(plane)
    assert await status(plane, "b") == ("processing", None)
    assert (await used(plane.pool)).processed_ms == 11 * MINUTE
    async with plane.pool.connection() as conn, conn.transaction():
        await plane.flow.advance(conn, "b")
        assert {run.stage for run in await runs.of_asset(conn, "b")} == {"probe", "plan"}
    assert (await used(plane.pool)).processed_ms == 11 * MINUTE


async def test_a_new_month_gives_new_minutes(plane):
    """What was used up in the last month limits nothing in this one; the oldest of what waits goes first."""
    await add_video(plane, "a", duration_ms=10 * MINUTE)
    for name in ("b", "c", "d"):
        await add_video(plane, name, duration_ms=6 * MINUTE)
    await add_video(plane, "e", duration_ms=3 * MINUTE)
    async with plane.pool.connection() as conn:
        await conn.execute("UPDATE processed_media SET month = '2020-01'")
    await resume(plane)
    states = {name: (await status(plane, name))[0] for name in "bcde"}
    assert states == {"b": "processing", "c": "failed", "d": "failed", "e": "processing"}


async def test_deleting_gives_no_minutes_back(plane):
    """Work that was done is not undone by removing what it made."""
    await add_video(plane, "a", duration_ms=10 * MINUTE)
    async with plane.pool.connection() as conn:
        await assets.delete(conn, "a", owner="anna")
    await add_video(plane, "b", duration_ms=MINUTE)
    assert await status(plane, "b") == ("failed", "quota_exceeded")


async def test_media_whose_header_tells_no_length(plane):
    """It is begun while there are minutes left, and counted by what it turned out to be."""
    await add_video(plane, "a", duration_ms=None)
    assert await status(plane, "a") == ("processing", None)
    async with plane.pool.connection() as conn:
        await conn.execute("UPDATE assets SET duration_ms = 660000 WHERE asset_id = 'a'")
        await usage.measure(conn, "a")
    assert (await used(plane.pool)).processed_ms == 11 * MINUTE
    await add_video(plane, "b", duration_ms=None)
    assert await status(plane, "b") == ("failed", "quota_exceeded")


# Who has which plan


async def test_plan_by_owner_and_team(plane):
    """The nearest counts: the owner in the team, the owner, the team, the default; a future one does not yet."""
    quotas = Quotas(read_plans({"d": {"default": True}, "t": {}, "o": {}, "ot": {}, "later": {}}))
    async with plane.pool.connection() as conn:

        async def plan(owner: str, team: str) -> str:
            return (await quotas.terms(conn, Account(owner, team))).plan

        async def put(owner: str, team: str, name: str | None, days: int = 0) -> None:
            row = await (await conn.execute("SELECT now() + make_interval(days => %s)", [days])).fetchone()
            await plan_holders.put(conn, owner=owner, team=team, plan=name, overrides={}, since=row and row[0])

        assert await plan("anna", "x") == "d"
        await put("*", "x", "t")
        assert (await plan("anna", "x"), await plan("anna", "y")) == ("t", "d")
        await put("anna", "*", "o")
        await put("anna", "x", "ot")
        assert (await plan("anna", "x"), await plan("anna", "y"), await plan("ben", "x")) == ("ot", "o", "t")
        await put("anna", "x", "later", days=3)
        assert await plan("anna", "x") == "ot"
        await put("anna", "x", None)
        assert await plan("anna", "x") == "o"
        found = await plan_holders.page(conn, owner="anna", team="x")
        assert [(row.plan) for row in found] == [None]  # what was to come later was dropped with it


async def test_lowered_plan_stops_only_what_is_new(plane):
    """Who has more than the new plan allows keeps it, and can complete what is under way."""
    uploads = plane.direct_uploads(plane.pool.connection)
    upload = await uploads.begin(ANNA, wish(800_000_000))
    await give(plane, "free", stored_bytes=500)
    with pytest.raises(QuotaExceeded):
        await uploads.begin(ANNA, wish(1))
    await uploads.abort(upload)  # frees nothing yet, and is not refused for it


# Crossings


async def test_crossings_are_told_once(plane):
    """80 % and 100 % are one event each, told again only after usage has fallen well below."""

    async def told() -> list[tuple[str, int]]:
        async with plane.pool.connection() as conn:
            await sum_up(conn, plane.quotas)
            found = await events.read_new(conn, EventCursor(), limit=1000)
        assert {(event.owner, event.team) for event in found} == {ACCOUNT}
        return [(event.type, event.data["percent"]) for event in found if event.type.startswith("quota.")]

    async def store(size_bytes: int) -> None:
        async with plane.pool.connection() as conn:
            await conn.execute("UPDATE objects SET size_bytes = %s", [size_bytes])

    await add_video(plane, "v", duration_ms=MINUTE, size_bytes=1)
    await store(790_000_000)
    assert await told() == []
    await store(810_000_000)
    assert await told() == [("quota.near", 80)]
    await store(790_000_000)
    await told()
    await store(820_000_000)
    assert await told() == [("quota.near", 80)]
    await store(GIGABYTE)
    assert await told() == [("quota.near", 80), ("quota.reached", 100)]
    await store(100)
    await told()
    await store(GIGABYTE)
    assert len(await told()) == 4


async def test_crossing_by_a_changed_plan_is_told(plane):
    """A limit that was lowered is reached although nothing was written; a webhook gets what it tells."""
    await add_video(plane, "v", duration_ms=MINUTE, size_bytes=500_000_000)
    async with plane.pool.connection() as conn:
        await sum_up(conn, plane.quotas)
        await give(plane, "free", stored_bytes=400_000_000)
        await tell_everybody(conn, plane.quotas)
        found = await (
            await conn.execute("SELECT type, data FROM events WHERE type LIKE 'quota.%' ORDER BY event_id")
        ).fetchall()
    assert [kind for kind, _ in found] == ["quota.near", "quota.reached"]
    assert found[1][1] == {
        "resource": "stored_bytes", "percent": 100, "limit": 400_000_000, "usage": 500_000_000, "plan": "free",
    }  # fmt: skip
