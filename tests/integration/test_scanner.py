"""The scanner: finds what was put into a bucket by hand, once, and keeps the ids that stand in keys."""

import pytest

from mediaplane.catalog import assets, objects, scans
from mediaplane.errors import AccessDenied, StorageError
from mediaplane.jobs.originals import Originals
from mediaplane.settings import load_settings
from mediaplane.storage.memory import MemoryStore
from mediaplane.upkeep.scanner import Scanner, scan_all

LAYOUT = load_settings({}).layout


class Planner:
    """Notes for which assets work was planned."""

    def __init__(self):
        self.planned = []

    async def advance(self, _conn, asset_id):
        self.planned.append(asset_id)


def scanner(pool, store, planner):
    originals = Originals(
        store_name="s3", store=store, layout=LAYOUT, owner="local", team="local", advance=planner.advance
    )
    return Scanner(pool, originals)


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
    assert report.registered == ["b_2", "match-01"]
    assert [key for key, _ in report.skipped] == ["videos/original/notes.txt"]
    assert sorted(planner.planned) == ["b_2", "match-01"]


async def test_scan_twice_finds_nothing_new(pool):
    """What is registered stays as it is."""
    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await scanner(pool, store, planner).scan()
    assert (await scanner(pool, store, planner).scan()).registered == []
    assert planner.planned == ["a"]


async def test_scan_of_an_original_with_other_bytes_processes_it_anew(pool):
    """An original that was overwritten keeps its id and is planned again."""
    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await scanner(pool, store, planner).scan()
    await put(store, "videos/original/a/master.mp4", b"other bytes")
    assert (await scanner(pool, store, planner).scan()).registered == ["a"]
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
    assert (await scanner(pool, store, planner).scan()).registered == ["a3", "a4"]
    assert (await scanner(pool, store, planner).scan()).registered == ["a0", "a1", "a2"]


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


async def test_scan_asks_the_store_only_about_what_differs(pool):
    """What the catalog knows with the same bytes costs no request, and what differs is found among it."""

    class Counted(MemoryStore):
        asked = 0

        async def stat(self, key):
            self.asked += 1
            return await super().stat(key)

    store, planner = Counted(), Planner()
    for number in range(30):
        await put(store, f"videos/original/a{number}/master.mp4")
    assert (await scanner(pool, store, planner).scan()).registered_count == 30
    store.asked = 0
    await put(store, "videos/original/a7/master.mp4", b"other bytes")
    await put(store, "videos/original/a31/master.mp4")
    report = await scanner(pool, store, planner).scan()
    assert (report.registered, report.seen) == (["a31", "a7"], 31)
    assert store.asked == 4, "before and after each was registered"


async def test_scan_of_keys_that_are_none_of_ours(pool):
    """Line breaks, NUL and bytes that are no text in keys hide nothing, and are told as what cannot be ours."""
    store, planner = MemoryStore(), Planner()
    odd = ["videos/original/a/master.m\np4", "videos/original/a\0b/master.mp4", "videos/original/\udcff/master.mp4"]
    for key in [*odd, "videos/original/folder/", "videos/original/a/master.mp4", "videos/original/z/master.mp4"]:
        await put(store, key)
    report = await scanner(pool, store, planner).scan()
    assert (report.registered, report.skipped_count) == (["a", "z"], 3)
    assert [key for key, _ in report.skipped] == [ascii(key) for key in sorted(odd)]
    assert (await scanner(pool, store, planner).scan()).registered == []


async def test_scan_reports_do_not_grow_with_the_bucket(pool, monkeypatch):
    """Lists end; counts are whole."""
    monkeypatch.setattr("mediaplane.upkeep.scanner.TOLD", 2)
    store, planner = MemoryStore(), Planner()
    for number in range(5):
        await put(store, f"videos/original/a{number}/master.mp4")
        await put(store, f"videos/original/note{number}.txt")
    report = await scanner(pool, store, planner).scan()
    assert (report.registered, report.registered_count) == (["a0", "a1"], 5)
    assert (len(report.skipped), report.skipped_count) == (2, 5)


async def test_scan_that_fails_in_the_middle_is_noted(pool, monkeypatch):
    """What was looked at before the store failed is not looked at again."""
    monkeypatch.setattr("mediaplane.storage.paging.PAGE_KEYS", 1)
    monkeypatch.setattr("mediaplane.upkeep.scanner._COMPARED_KEYS", 1)

    class Failing(MemoryStore):
        is_whole = False

        async def walk(self, prefix, *, after=""):
            seen = 0
            async for info in super().walk(prefix, after=after):
                yield info
                seen += 1
                if seen == 3 and not self.is_whole:
                    raise StorageError("the network went away", retryable=True)

    store, planner = Failing(), Planner()
    for number in range(5):
        await put(store, f"videos/original/a{number}/master.mp4")
    with pytest.raises(StorageError):
        await scanner(pool, store, planner).scan()
    store.is_whole = True
    report = await scanner(pool, store, planner).scan()
    assert (report.seen, report.registered) == (2, ["a3", "a4"])


async def test_scan_leaves_what_an_upload_is_writing(pool):
    """A key with an intent is its writer's; one of another role is no original, whatever its name."""
    store, planner = MemoryStore(), Planner()
    async with pool.connection() as conn:
        await assets.add(conn, asset_id="u", owner="o", team="t", title="", status="uploading", digest=None)
        for role, key in (("original", "videos/original/u/master.mp4"), ("log", "videos/original/v/master.mp4")):
            await objects.intend(conn, store="s3", asset_id="u", role=role, keys=[key], content_type="video/mp4")
            await put(store, key)
    report = await scanner(pool, store, planner).scan()
    assert (report.registered, report.skipped, planner.planned) == ([], [], [])


async def test_scan_with_keys_that_may_only_list(pool):
    """What may not be asked for by itself is asked for in a listing: the scanner's own keys need no more."""

    class ListOnly(MemoryStore):
        async def stat(self, key):
            raise AccessDenied(key)

    store, planner = ListOnly(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await put(store, "videos/original/a/master.mp4v")
    assert (await scanner(pool, store, planner).scan()).registered_count == 2
    assert (await scanner(pool, store, planner).scan()).registered_count == 0


async def test_scan_of_all_stores(pool):
    """What workers do by themselves: a store that cannot be listed does not keep the others from being scanned."""

    class Away(MemoryStore):
        async def walk(self, prefix, *, after=""):
            async for info in super().walk(prefix, after=after):
                yield info
            raise StorageError("the network went away", retryable=True)

    store, planner = MemoryStore(), Planner()
    await put(store, "videos/original/a/master.mp4")
    await scan_all([scanner(pool, Away(), planner), scanner(pool, store, planner)])
    assert planner.planned == ["a"]
