"""Retention: what the profile lets expire goes, rows and bytes, and nothing that has a row goes without it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mediaplane.catalog import assets, objects, outbox
from mediaplane.errors import AccessDenied
from mediaplane.media.keys import check_key
from mediaplane.rounds import all_rounds, retained
from mediaplane.settings import load_settings
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.bucket.wanted import Expiry, expiries
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.memory import MemoryStore
from mediaplane.storage.s3 import S3Store
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.retention import Retained, expire_bytes, expire_rows
from mediaplane.wiring import open_plane

OLD = timedelta(days=8)


async def body():
    yield b"bytes"


@pytest.fixture
async def asset(conn):
    await assets.add(conn, asset_id="a", owner="local", team="local", title="a", status="ready", digest="sha256:x")
    await assets.describe(conn, "a", kind="video", duration_ms=60_000, width=640, height=360, probe={})
    return "a"


async def write(conn, store, role, key, *, age=OLD):
    """Write an object as a stage does, `age` ago."""
    place = {"store": "s3", "asset_id": "a"}
    await objects.intend(conn, **place, role=role, keys=[check_key(key)], content_type="x/y")
    info = await store.put(check_key(key), body(), content_type="x/y")
    await objects.settle(conn, **place, infos=[info])
    await conn.execute("UPDATE objects SET created_at = now() - %s WHERE key = %s", (age, key))


class Aged(MemoryStore):
    """A store whose objects are all eight days old, but those that are named."""

    def __init__(self, *fresh: str) -> None:
        super().__init__()
        self._fresh = fresh

    async def walk(self, prefix, *, after=""):
        async for info in super().walk(prefix, after=after):
            age = timedelta(0) if info.key in self._fresh else OLD
            yield replace(info, modified_at=datetime.now(UTC) - age)


async def keys_in(store):
    return [info.key async for info in store.walk("")]


def kept(store, *found: Expiry, searched=False):
    return [Retained("s3", store, found, searched=searched)]


@pytest.mark.usefixtures("asset")
async def test_rows_of_a_role_expire_with_their_bytes(pool, conn):
    """Only of that role, only old ones; the asset and what was made of it stay."""
    store = MemoryStore()
    await write(conn, store, "original", "o/old.mp4")
    await write(conn, store, "original", "o/young.mp4", age=timedelta(days=6))
    await write(conn, store, "segment", "p/old.m4s")
    await expire_rows(conn, kept(store, Expiry("original", "o/", 7)))
    await drain_outbox(pool, {"s3": store})
    assert await keys_in(store) == ["o/young.mp4", "p/old.m4s"]
    assert {row.key for row in await objects.of_asset(conn, "a")} == {"o/young.mp4", "p/old.m4s"}
    assert (await assets.get(conn, "a")).status == "ready"


@pytest.mark.usefixtures("asset")
async def test_rows_under_a_prefix_expire_but_not_hls_and_clips(pool, conn):
    """HLS goes with its asset, clips when their own rows say so; a pending intent is the sweeper's."""
    store = MemoryStore()
    for role, key in (("frame", "temp/1.jpg"), ("log", "temper/1"), ("segment", "temp/s"), ("clip", "temp/c")):
        await write(conn, store, role, key)
    await objects.intend(
        conn, store="s3", asset_id="a", role="frame", keys=[check_key("temp/2.jpg")], content_type="image/jpeg"
    )
    await conn.execute("UPDATE objects SET created_at = now() - %s", (OLD,))
    await expire_rows(conn, kept(store, Expiry("temp/", "temp/", 7)))
    assert {row.key for row in await objects.of_asset(conn, "a")} == {"temper/1", "temp/s", "temp/c", "temp/2.jpg"}


@pytest.mark.usefixtures("asset")
async def test_many_rows_expire_in_batches(conn):
    """More than a statement takes at once."""
    keys = [check_key(f"f/{number}.jpg") for number in range(2500)]
    place = {"store": "s3", "asset_id": "a"}
    await objects.intend(conn, **place, role="frame", keys=keys, content_type="image/jpeg")
    await conn.execute("UPDATE objects SET state = 'stored', created_at = now() - %s", (OLD,))
    await expire_rows(conn, kept(MemoryStore(), Expiry("frame", "f/", 7)))
    assert (await outbox.waiting(conn)).keys == 2500


@pytest.mark.usefixtures("asset")
async def test_bytes_without_a_row_expire_where_the_bucket_does_not_do_it(pool, conn):
    """Old ones under the prefix; never young ones, other prefixes, or bytes that have a row."""
    store = Aged("temp/young")
    for key in ("temp/old", "temp/young", "other/old"):
        await store.put(check_key(key), body(), content_type="x/y")
    await write(conn, store, "clip", "temp/owned", age=timedelta(0))
    await expire_bytes(conn, kept(store, Expiry("temp/", "temp/", 7)))
    assert (await outbox.waiting(conn)).keys == 0, "a bucket that expires by itself is not listed"
    await expire_bytes(conn, kept(store, Expiry("temp/", "temp/", 7), searched=True))
    await drain_outbox(pool, {"s3": store})
    assert await keys_in(store) == ["other/old", "temp/owned", "temp/young"]


@pytest.mark.usefixtures("asset")
async def test_key_that_is_written_anew_is_not_removed(pool, conn):
    """Between the look and the removal somebody may write the key: it has a row then, and stays."""
    store = Aged()
    await store.put(check_key("temp/again"), body(), content_type="x/y")
    await expire_bytes(conn, kept(store, Expiry("temp/", "temp/", 7), searched=True))
    assert (await outbox.waiting(conn)).keys == 1
    await write(conn, store, "frame", "temp/again")
    await drain_outbox(pool, {"s3": store})
    assert await keys_in(store) == ["temp/again"]


async def test_shared_prefix_is_never_searched(conn):
    """Where other things lie under the prefix too, only rows tell what to remove."""
    store = Aged()
    await store.put(check_key("users/u/original.mp4"), body(), content_type="x/y")
    await expire_bytes(conn, kept(store, Expiry("clip", "", 7), searched=True))
    assert (await outbox.waiting(conn)).keys == 0


async def test_keys_that_may_not_list_end_nothing_else(conn):
    """One store's refusal is logged; the next store is looked at."""

    class Refusing(Aged):
        async def walk(self, prefix, *, after=""):
            raise AccessDenied(f"{prefix}{after}")
            yield

    store = Aged()
    await store.put(check_key("temp/old"), body(), content_type="x/y")
    found = Expiry("temp/", "temp/", 7)
    await expire_bytes(conn, [*kept(Refusing(), found, searched=True), *kept(store, found, searched=True)])
    assert (await outbox.waiting(conn)).keys == 1


async def test_real_bucket_is_searched(pool, conn, seaweed, fresh_bucket):
    """SeaweedFS removes nothing by itself: our job finds and removes what is old."""
    endpoint = S3Endpoint(
        seaweed.http_endpoint, fresh_bucket(seaweed), seaweed.access_key, seaweed.secret_key,
        provider_name="seaweedfs",
    )  # fmt: skip
    store = S3Store(endpoint)
    for key in ("videos/clips/a/lost.mp4", "videos/original/a/master.mp4"):
        await store.put(check_key(key), body(), content_type="video/mp4")
    # a day that has not passed, so that what was written just now is old
    found = Expiry("clip", "videos/clips/", -1)
    await expire_bytes(conn, kept(store, found, searched=not endpoint.provider.lifecycle_expiry))
    await drain_outbox(pool, {"s3": store})
    assert await keys_in(store) == ["videos/original/a/master.mp4"]


@pytest.mark.parametrize(
    ("env", "searched"),
    [
        ({"STORAGE_MODE": "local"}, {"local": True}),
        ({"S3_PROVIDER": "ceph"}, {"local": True, "s3": False}),
        ({"S3_PROVIDER": "seaweedfs"}, {"local": True, "s3": True}),
    ],
)
async def test_worker_looks_where_nobody_else_does(dsn, tmp_path, env, searched):
    """The directory always, a bucket only where its provider has no lifecycle rules."""
    more = (
        {}
        if "STORAGE_MODE" in env
        else {"S3_ENDPOINT": "http://127.0.0.1:9", "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b"}
    )
    settings = replace(load_settings({"MEDIAPLANE_STATE_DIR": str(tmp_path), **env, **more}), database_url=dsn)
    async with open_plane(settings, max_connections=1) as plane:
        assert {one.name: one.searched for one in retained(plane)} == searched
        assert all(one.expiries == (Expiry("clip", "videos/clips/", 30),) for one in retained(plane))
        assert {"expired", "expired bytes"} <= set(all_rounds(plane))


def test_clips_rules_of_the_profile_are_the_lifecycle_rules():
    """One function says what expires, for the bucket and for the job."""
    layout = load_settings({}).layout
    assert expiries(BucketRules(expire_days={"clip": 30, "log": 0}), layout) == (Expiry("clip", "videos/clips/", 30),)
