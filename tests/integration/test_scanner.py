"""The scanner: finds what was put into a bucket by hand, once, and keeps the ids that stand in keys."""

import pytest

from mediaplane.catalog import assets, scans
from mediaplane.errors import StorageError
from mediaplane.settings import load_settings
from mediaplane.storage.memory import MemoryStore
from mediaplane.upkeep.scanner import Scanner

LAYOUT = load_settings({}).layout


class Planner:
    """Notes for which assets work was planned."""

    def __init__(self):
        self.planned = []

    async def advance(self, _conn, asset_id):
        self.planned.append(asset_id)


def scanner(pool, store, planner):
    return Scanner(
        pool=pool, store_name="s3", store=store, layout=LAYOUT, owner="local", team="local", advance=planner.advance
    )


async def put(store, key, content=b"bytes"):
    async def body():
        yield content

    await store.put(key, body(), content_type="video/mp4")


async def test_scan_registers_originals_under_the_ids_in_their_keys(pool):
    """Each original becomes an asset with the id that stands in its key; foreign keys are left alone and told."""
    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/match-01/master.mp4")
    await put(store, "videos/original/b_2/master.mov")
    await put(store, "videos/original/notes.txt")
    await put(store, "frames/match-01/0.jpg")
    report = await scanner(pool, store, planner).scan()
    assert report.registered == ("b_2", "match-01")
    assert [key for key, _ in report.skipped] == ["videos/original/notes.txt"]
    assert planner.planned == ["b_2", "match-01"]


async def test_scan_twice_finds_nothing_new(pool):
    """What is registered stays as it is."""
    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await scanner(pool, store, planner).scan()
    assert (await scanner(pool, store, planner).scan()).registered == ()
    assert planner.planned == ["a"]


async def test_scan_of_an_original_with_other_bytes_processes_it_anew(pool):
    """An original that was overwritten keeps its id and is planned again."""
    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await scanner(pool, store, planner).scan()
    await put(store, "videos/original/a/master.mp4", b"other bytes")
    assert (await scanner(pool, store, planner).scan()).registered == ("a",)
    async with pool.connection() as conn:
        asset = await assets.get(conn, "a")
    assert asset.status == "processing"
    assert asset.digest.endswith(":11")


async def test_scan_that_was_cut_off_goes_on_where_it_was(pool):
    """A scan begins behind the last key that was looked at, and from the front once it is whole."""
    store, planner = MemoryStore(), Planner()
    for number in range(5):
        await put(store, f"videos/original/a{number}/master.mp4")
    async with pool.connection() as conn:
        await scans.begin(conn, "s3", "videos/original/")
        await scans.advance(conn, "s3", "videos/original/", last_key="videos/original/a2/master.mp4", seen=3)
    assert (await scanner(pool, store, planner).scan()).registered == ("a3", "a4")
    assert (await scanner(pool, store, planner).scan()).registered == ("a0", "a1", "a2")


async def test_scan_of_a_store_that_fails_keeps_what_it_found(pool):
    """The error reaches the caller; a later scan finds the rest."""

    class Failing(MemoryStore):
        async def walk(self, prefix, *, after=""):
            async for info in super().walk(prefix, after=after):
                yield info
            raise StorageError("the network went away", retryable=True)

    store, planner = Failing(), Planner()
    await put(store, "videos/original/a/master.mp4")
    with pytest.raises(StorageError):
        await scanner(pool, store, planner).scan()
    async with pool.connection() as conn:
        assert await assets.page(conn, owner="local") == []
