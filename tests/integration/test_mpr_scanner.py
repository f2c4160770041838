"""The scanner where keys are relative paths with no id in them."""

from dataclasses import replace

import pytest

from mediaplane.catalog import assets, objects
from mediaplane.jobs.originals import Originals
from mediaplane.settings import load_settings
from mediaplane.storage.memory import MemoryStore
from mediaplane.upkeep.scanner import Scanner
from mediaplane.wiring import open_plane

LAYOUT = load_settings({"MEDIAPLANE_PROFILE": "mpr"}).layout
MATCH = "chunks/2025-04-15/match-01.mp4"


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def scan(pool, store):
    async def advance(_conn, _asset_id):
        pass

    originals = Originals(store_name="in", store=store, layout=LAYOUT, owner="local", team="local", advance=advance)
    return Scanner(pool, originals).scan


async def put(store, key, content=b"bytes"):
    async def body():
        yield content

    return await store.put(key, body(), content_type="video/mp4")


async def test_place_has_one_id_for_ever(pool, store, scan):
    """A path is found once, under an id that follows from it; other paths have others; the row has the path."""
    await put(store, MATCH)
    await put(store, "chunks/2025-04-16/match-01.mp4")
    first, second = (await scan()).registered
    assert first != second
    assert (await scan()).registered == []
    async with pool.connection() as conn:
        assert (await assets.get(conn, first)).title == MATCH
        assert (await objects.original(conn, first)).key == MATCH
        await assets.delete(conn, first, owner="local")
    assert (await scan()).registered == [], "deleted here, and its bytes are about to go"
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM outbox")
    assert (await scan()).registered == [first], "a catalog that lost it gives it its old id"


async def test_other_bytes_under_a_path_keep_its_asset(pool, store, scan):
    """Whoever registered a path first, a scanner or an upload with an id of its own, new bytes are that asset's."""
    async with pool.connection() as conn:
        await assets.add(
            conn, asset_id="mine", owner="local", team="local", title="t", status="ready", digest="sha256:x"
        )
        place = {"store": "in", "asset_id": "mine"}
        await objects.intend(conn, **place, role="original", keys=[MATCH], content_type="video/mp4")
        await objects.settle(conn, **place, infos=[await put(store, MATCH)])
    assert (await scan()).registered == []
    await put(store, MATCH, b"other bytes")
    report = await scan()
    assert (report.registered, report.skipped) == (["mine"], [])


async def test_what_is_no_recording_by_its_name_is_left_alone(store, scan):
    """Tables, pictures and hidden files are told and not taken; unknown extensions of cameras are taken."""
    no_recordings = ["calibration.json", "notes.txt", "thumbs/1.jpg", ".hidden/match.mp4", "day/.DS_Store", "t.csv"]
    recordings = ["a.mp4", "b.insv", "c.MTS", "d.ts", "e.mxf", "f.wav", "no-extension", "g.mkv"]
    for key in [*no_recordings, *recordings]:
        await put(store, key)
    report = await scan()
    assert len(report.registered) == len(recordings)
    assert sorted(key for key, _ in report.skipped) == sorted(no_recordings)
    assert {reason for _, reason in report.skipped} == {"by its name it is no recording"}


async def test_artefacts_in_the_same_bucket_are_no_originals(store, scan, pool):
    """Where both buckets are one, what was made of recordings is not taken for recordings."""
    await put(store, MATCH)
    await put(store, "clips/4a6b/9f00.mp4")
    await put(store, "hls/4a6b/360p/c0_0.m4s")
    roles = ("clip", "segment", "playlist", "frame", "log")
    scanner = scan.__self__
    shared = replace(scanner, originals=replace(scanner.originals, beside=roles))
    report = await shared.scan()
    assert len(report.registered) == 1 and report.skipped == []
    assert len((await scan()).registered) == 2, "in a bucket of their own those are somebody's recordings"


async def test_stores_of_one_bucket_are_known_to_be_beside_each_other(dsn, tmp_path):
    """The plane tells the scanner which roles lie in the originals' bucket: those of the same bucket, no others."""
    environ = {"MEDIAPLANE_PROFILE": "mpr", "DATABASE_URL": "postgresql://x/y", "MEDIAPLANE_STATE_DIR": str(tmp_path)}
    keys = {"S3_ENDPOINT": "http://127.0.0.1:1", "S3_ACCESS_KEY_ID": "k", "S3_SECRET_ACCESS_KEY": "s"}
    for bucket_out, expected in (("other", ()), ("same", ("playlist", "segment"))):
        settings = load_settings({**environ, **keys, "S3_BUCKET_IN": "same", "S3_BUCKET_OUT": bucket_out})
        settings = replace(settings, database_url=dsn, public_url="http://127.0.0.1:1")
        async with open_plane(settings) as plane:
            in_bucket, in_directory = plane.originals()
        assert set(expected) <= set(in_bucket.beside)
        assert bool(in_bucket.beside) == bool(expected)
        assert in_directory.beside == (), "their local twins are two directories"
