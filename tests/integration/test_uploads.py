"""Uploads by this process: whole or not at all, and once for the same bytes."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mediaplane.access import claims
from mediaplane.access.uploads import Uploader, digest_file
from mediaplane.catalog import assets, objects, outbox, uploads
from mediaplane.errors import DatabaseUnavailable, StorageError
from mediaplane.media.keys import Layout
from mediaplane.settings import load_settings
from mediaplane.storage.memory import MemoryStore
from mediaplane.storage.placement import Placement, read_placement
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import sweep_uploads

LAYOUT = load_settings({}).layout


class BrokenStore(MemoryStore):
    """Takes some bytes and then fails, as a store does whose network goes away."""

    async def put(self, key, body, *, content_type):
        await super().put(key, body, content_type=content_type)
        raise StorageError("the network went away", retryable=True)


async def nothing(_conn, _asset_id):
    return None


def uploader(pool, store, *, owner="local"):
    places = {"stores": {"s3": store}, "placement": read_placement(load_settings({}))}
    return Uploader(pool=pool, **places, layout=LAYOUT, owner=owner, team="local", advance=nothing)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"not really a video" * 1000)
    return path


async def keys_of(store):
    return [info.key async for info in store.walk("")]


async def test_upload_is_in_store_and_catalog(pool, file):
    """What was acknowledged is in both, with the size and the digest of the bytes."""
    store = MemoryStore()
    taken = await uploader(pool, store).ingest(file, title="Talk")
    async with pool.connection() as conn:
        asset = await assets.get(conn, taken.asset_id)
        original = await objects.original(conn, taken.asset_id)
    assert (asset.status, asset.title, asset.digest) == ("processing", "Talk", digest_file(file))
    assert original.size_bytes == file.stat().st_size
    assert await keys_of(store) == [f"videos/original/{taken.asset_id}/master.mp4"]


async def test_upload_stays_alive_through_an_outage(pool, file, monkeypatch):
    """Whoever sends for long says so again and again, also after the database was away once: it is not swept."""
    monkeypatch.setattr(claims, "RENEW_SECONDS", 0.02)
    touch, tries, touched = uploads.touch, 0, asyncio.Event()

    async def failing_first(conn, upload_id):
        nonlocal tries
        tries += 1
        if tries == 1:
            raise DatabaseUnavailable("away")
        await touch(conn, upload_id)
        touched.set()

    class SlowStore(MemoryStore):
        async def put(self, key, body, *, content_type):
            await asyncio.wait_for(touched.wait(), 20)
            return await super().put(key, body, content_type=content_type)

    monkeypatch.setattr(uploads, "touch", failing_first)
    taken = await uploader(pool, SlowStore()).ingest(file, title="Talk")
    async with pool.connection() as conn:
        assert (await assets.get(conn, taken.asset_id)).status == "processing"


async def test_upload_of_the_same_bytes_gives_the_asset_that_is_there(pool, file):
    """The second time nothing is written."""
    store = MemoryStore()
    first = await uploader(pool, store).ingest(file, title="Talk")
    again = await uploader(pool, store).ingest(file, title="Talk again")
    assert (again.asset_id, again.reused) == (first.asset_id, True)
    assert len(await keys_of(store)) == 1


async def test_upload_of_another_owner_is_another_asset(pool, file):
    """Owners never learn of each other's bytes."""
    store = MemoryStore()
    first = await uploader(pool, store).ingest(file, title="Talk")
    other = await uploader(pool, store, owner="somebody").ingest(file, title="Talk")
    assert other.asset_id != first.asset_id
    assert not other.reused


async def test_upload_twice_at_once_is_made_once(pool, file):
    """Of two processes that bring the same bytes one waits for the other."""
    store = MemoryStore()
    both = await asyncio.gather(*(uploader(pool, store).ingest(file, title="Talk") for _ in range(2)))
    assert both[0].asset_id == both[1].asset_id
    assert sorted(taken.reused for taken in both) == [False, True]


async def test_upload_that_fails_leaves_nothing_behind(pool, file):
    """Neither a row nor a byte is left of an upload whose store failed."""
    store = BrokenStore()
    with pytest.raises(StorageError):
        await uploader(pool, store).ingest(file, title="Talk")
    await drain_outbox(pool, {"s3": store})
    async with pool.connection() as conn:
        assert await assets.page(conn, owner="local") == []
    assert await keys_of(store) == []


async def test_upload_whose_process_died_is_swept(pool, file):
    """An upload that nobody touches any more goes, with its bytes."""
    store = MemoryStore()
    opened = await uploader(pool, store)._open(file, "Talk", digest_file(file), file.stat().st_size)
    await store.put(opened.key, _some_bytes(), content_type="video/mp4")
    async with pool.connection() as conn:
        await sweep_uploads(conn)
        assert (await assets.get(conn, opened.asset_id)).status == "uploading", "a live one is left alone"
        await conn.execute("UPDATE uploads SET seen_at = now() - interval '1 hour'")
        await sweep_uploads(conn)
        assert await assets.page(conn, owner="local") == []
    await drain_outbox(pool, {"s3": store})
    assert await keys_of(store) == []


async def test_upload_takes_over_from_a_process_that_died(pool, file):
    """The same bytes asked for again do not wait for a dead writer."""
    store = MemoryStore()
    dead = await uploader(pool, store)._open(file, "Talk", digest_file(file), file.stat().st_size)
    async with pool.connection() as conn:
        await conn.execute("UPDATE uploads SET seen_at = now() - interval '2 minutes'")
    taken = await uploader(pool, store).ingest(file, title="Talk")
    assert taken.asset_id != dead.asset_id
    async with pool.connection() as conn:
        assert [asset.asset_id for asset in await assets.page(conn, owner="local")] == [taken.asset_id]


async def test_outbox_of_a_key_that_is_written_anew_is_emptied(pool, file):
    """A deletion that is still waiting must not remove bytes that came later under the same key."""
    store = MemoryStore()
    taken = await uploader(pool, store).ingest(file, title="Talk")
    async with pool.connection() as conn:
        original = await objects.original(conn, taken.asset_id)
        await objects.delete(conn, "s3", [original.key])
        assert (await outbox.waiting(conn)).keys == 1
        again = {"store": "s3", "asset_id": taken.asset_id, "role": "original", "keys": [original.key]}
        await objects.intend(conn, **again, content_type="video/mp4")
    await drain_outbox(pool, {"s3": store})
    assert await keys_of(store) == [original.key]


async def test_outbox_of_a_store_that_fails_is_tried_later(pool, file):
    """A store that refuses keeps its keys on the outbox, and usage counts their bytes."""

    class Refusing(MemoryStore):
        async def delete(self, keys):
            raise StorageError(f"SlowDown: {len(keys)} keys", retryable=True)

    store = Refusing()
    taken = await uploader(pool, store).ingest(file, title="Talk")
    async with pool.connection() as conn:
        await assets.delete(conn, taken.asset_id, owner="local")
    await drain_outbox(pool, {"s3": store})
    async with pool.connection() as conn:
        assert (await outbox.waiting(conn)).keys == 1
        assert await assets.usage_bytes(conn, "local") == file.stat().st_size
        assert await outbox.stores_due(conn) == [], "it is not tried again at once"


async def _some_bytes():
    yield b"some bytes"


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("temp/{year}/{month}/{day}/{hash}_{timestamp}.{ext}", r"temp/20\d\d/\d\d/\d\d/[0-9a-f]{16}_\d+\.mp4"),
        ("{path}", r"chunks/2025-04-15/match-01\.mp4"),
        ("{owner}/{asset_id}.{ext}", r"local/[0-9a-f-]{36}\.mp4"),
    ],
)  # fmt: skip
async def test_key_of_an_original_by_the_layouts_of_others(pool, tmp_path, monkeypatch, template, pattern):
    """Templates name the day, the bytes' hash, the owner, or the path as it was given."""
    monkeypatch.chdir(tmp_path)
    path = Path("chunks/2025-04-15/match-01.mp4")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    store = MemoryStore()
    brought = replace(uploader(pool, store), layout=Layout({"original": template}))
    await brought.ingest(path, title="Match")
    (key,) = await keys_of(store)
    assert re.fullmatch(pattern, key)
    assert brought.layout.read("original", key) is not None, "the scanner knows it again"


async def test_path_outside_gives_the_name_alone(pool, file):
    """An absolute path, or one that leads out, never becomes a key."""
    store = MemoryStore()
    await replace(uploader(pool, store), layout=Layout({"original": "{path}"})).ingest(file, title="Talk")
    assert await keys_of(store) == ["talk.mp4"]


async def test_upload_goes_where_the_placement_says(pool, file):
    """In hybrid mode some uploads go to the one store, some to the other, and the row says which."""
    stores = {"s3": MemoryStore(), "local": MemoryStore()}
    placement = Placement("hybrid", 50, {"default": "s3"}, {"s3": "local"})
    for number in range(30):
        file.write_bytes(b"%d" % number)
        taken = await replace(uploader(pool, stores["s3"]), stores=stores, placement=placement).ingest(file, title="T")
        async with pool.connection() as conn:
            row = await objects.original(conn, taken.asset_id)
        assert row.store == ("s3" if placement.uses_buckets(taken.asset_id) else "local")
        assert row.key in await keys_of(stores[row.store])
    assert all([await keys_of(store) for store in stores.values()])
