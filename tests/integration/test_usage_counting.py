"""Usage is what the rows say, whatever changes them: counters and ledger against a recount, and what counts as what."""

from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediaplane.catalog import usage
from mediaplane.catalog.usage import Account, Usage
from mediaplane.postgres import Connection, load_queries

ME = Account("o", "t")


@pytest.fixture
async def asset(conn: Connection) -> None:
    await conn.execute("INSERT INTO assets (asset_id, owner, team, status) VALUES ('a', 'o', 't', 'uploading')")


async def add_object(conn: Connection, key: str, size_bytes: int, *, state: str = "stored") -> None:
    await conn.execute(
        "INSERT INTO objects (store, key, asset_id, owner, team, role, state, size_bytes, content_type) "
        "VALUES ('s', %s, 'a', 'o', 't', 'original', %s, %s, 'x/y')",
        [key, state, size_bytes],
    )


async def add_upload(conn: Connection, way: str, size_bytes: int | None = 1000) -> None:
    await add_object(conn, "k", 0, state="pending")
    await conn.execute(
        "INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, size_bytes, content_type, way, urls_live) "
        "VALUES ('u', 'a', 'o', 't', 's', 'k', %s, 'x/y', %s, interval '20 minutes')",
        [size_bytes, way],
    )


async def remove_due(conn: Connection) -> None:
    """Note that a worker has removed the bytes of everything that is due, as `drain_outbox` does."""
    rows = await (await conn.execute("SELECT key FROM outbox WHERE due_at <= now()")).fetchall()
    done = load_queries("outbox")["done"]
    await conn.execute(done, {"store": "s", "keys": [key for (key,) in rows]})


async def used(conn: Connection) -> Usage:
    assert await usage.differences(conn) == []
    return await usage.read(conn, ME)


async def test_objects_of_every_role_count(asset, conn):
    """Stored bytes are those of all objects, and change with them."""
    await add_object(conn, "a", 100)
    await add_object(conn, "b", 50)
    await conn.execute("UPDATE objects SET size_bytes = 70, role = 'segment' WHERE key = 'b'")
    assert (await used(conn)).stored_bytes == 170


async def test_deleted_bytes_count_until_they_are_gone(asset, conn):
    """A DELETE typed into psql frees nothing; the worker that has removed the bytes does."""
    await add_object(conn, "a", 100)
    await conn.execute("DELETE FROM assets")
    assert (await used(conn)).outbox_bytes == 100
    await remove_due(conn)
    assert await used(conn) == Usage()


async def test_key_written_anew_counts_its_old_bytes(asset, conn):
    """Between the intent to overwrite what was deleted and the new bytes, the old ones are still in the store."""
    await add_object(conn, "a", 100)
    await conn.execute("DELETE FROM objects")
    await add_object(conn, "a", 0, state="pending")
    assert await used(conn) == Usage(objects_bytes=100)
    await conn.execute("UPDATE objects SET state = 'stored', size_bytes = 30")
    assert await used(conn) == Usage(objects_bytes=30)


async def test_upload_reserves_and_the_truth_replaces_it(asset, conn):
    """What was declared counts from the first moment, what came from the moment it is complete."""
    await add_upload(conn, "put")
    assert await used(conn) == Usage(reserved_bytes=1000, uploads=1)
    async with conn.transaction():
        await conn.execute("UPDATE objects SET state = 'stored', size_bytes = 900")
        await conn.execute("UPDATE uploads SET state = 'completed'")
    assert await used(conn) == Usage(objects_bytes=900)


@pytest.mark.parametrize("way", ["put", "form"])
async def test_aborted_upload_is_held_until_its_url_has_ended(asset, conn, way):
    """The first removal frees nothing, as the URL can still write; the one after the URL's end does."""
    await add_upload(conn, way)
    await conn.execute("UPDATE uploads SET state = 'aborted'")
    assert await used(conn) == Usage(reserved_bytes=1000)
    await conn.execute("DELETE FROM assets")
    assert await used(conn) == Usage(outbox_bytes=1000)
    await remove_due(conn)
    assert await used(conn) == Usage(outbox_bytes=1000)
    waits = "SELECT due_at BETWEEN now() + %s::interval - interval '1 minute' AND now() + %s::interval FROM outbox"
    assert await (await conn.execute(waits, ["20 minutes"] * 2)).fetchone() == (True,)
    await conn.execute("UPDATE outbox SET due_at = now(), held_until = now()")
    await remove_due(conn)
    assert await used(conn) == Usage()
    assert await (await conn.execute(waits, ["80 minutes"] * 2)).fetchone() == (True,)  # for a PUT that took its time
    await conn.execute("UPDATE outbox SET due_at = now()")
    await remove_due(conn)
    assert await (await conn.execute("SELECT count(*) FROM outbox")).fetchone() == (0,)


@pytest.mark.parametrize("way", ["parts", "process"])
async def test_aborted_upload_without_urls_is_held_until_it_is_removed(asset, conn, way):
    """Parts end with the store's own abort, and a process of ours has none: the first removal frees it."""
    await add_upload(conn, way)
    await conn.execute("DELETE FROM assets")
    assert await used(conn) == Usage(outbox_bytes=1000)
    await remove_due(conn)
    assert await used(conn) == Usage()


@pytest.mark.parametrize("ended", ["state = 'refused'", "state = 'completed', reused = true"])
async def test_refused_or_reused_upload_is_held(asset, conn, ended):
    """Its bytes are in the store and its URL writes more, although no row of an object says so any more."""
    await add_upload(conn, "put")
    async with conn.transaction():
        await conn.execute(f"UPDATE uploads SET {ended}")
        await conn.execute("DELETE FROM objects")
    assert await used(conn) == Usage(outbox_bytes=1000)
    await remove_due(conn)
    assert await used(conn) == Usage(outbox_bytes=1000)
    await conn.execute("UPDATE outbox SET due_at = now(), held_until = now()")
    await remove_due(conn)
    assert await used(conn) == Usage()


async def test_forgetting_an_ended_upload_changes_nothing(asset, conn):
    """Rows of uploads that ended are pruned: their objects count, not they."""
    await add_upload(conn, "put")
    await conn.execute("UPDATE objects SET state = 'stored', size_bytes = 1000")
    await conn.execute("UPDATE uploads SET state = 'completed'")
    await conn.execute("DELETE FROM uploads")
    assert await used(conn) == Usage(objects_bytes=1000)


async def test_clips_that_failed_do_not_count(asset, conn):
    """A clip counts while it is made and while it is there."""
    for number in range(3):
        await conn.execute(
            "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms) "
            "VALUES (%s, 'a', 'o', 't', 'fast', 0, %s)",
            [f"c{number}", number + 1],
        )
        await conn.execute("INSERT INTO clip_versions VALUES ('a', 'o', 't', 1, 1) ON CONFLICT DO NOTHING")
        await conn.execute("UPDATE clips SET version = t_end_ms + 10 WHERE clip_id = %s", [f"c{number}"])
    await conn.execute("UPDATE clips SET status = 'failed' WHERE clip_id = 'c1'")
    assert (await used(conn)).clips == 2
    await conn.execute("DELETE FROM clips WHERE clip_id = 'c0'")
    assert (await used(conn)).clips == 1


async def test_minutes_outlive_the_asset_and_not_the_month(asset, conn):
    """What was processed stays used up when it is deleted; last month's does not count."""
    assert await usage.take_on(conn, ME, "a", "d", 60_000)
    assert not await usage.take_on(conn, ME, "a", "d", 60_000)
    await conn.execute("DELETE FROM assets")
    assert (await used(conn)).processed_ms == 60_000
    await conn.execute("UPDATE processed_media SET month = '2020-01'")
    assert (await used(conn)).processed_ms == 0


async def test_nobodys_bytes_are_nobodys_usage(conn):
    """Bytes without a row that are put on the outbox have no owner to count them for."""
    put = load_queries("outbox")["put_unowned"]
    await conn.execute(put, {"store": "s", "keys": ["x"], "sizes": [10]})
    assert await usage.read_all(conn) == {}
    assert await usage.differences(conn) == []


async def test_wrong_counter_is_found_and_repaired(asset, conn):
    """A recount tells which counter is wrong, and puts it right without stopping anybody."""
    await add_object(conn, "a", 100)
    await usage.fold(conn)
    await conn.execute("UPDATE usage_counters SET amount = 7 WHERE resource = 'objects_bytes'")
    [found] = await usage.differences(conn)
    assert (found.owner, found.resource, found.counted, found.recounted) == ("o", "objects_bytes", 7, 100)
    assert await usage.repair(conn) == 1
    assert (await used(conn)).objects_bytes == 100


async def test_fold_gives_whose_usage_changed(asset, conn):
    """The ledger is empty afterwards, and the sum the same."""
    await add_object(conn, "a", 100)
    assert await usage.fold(conn) == {ME}
    assert await usage.fold(conn) == set()
    assert (await used(conn)).objects_bytes == 100


KEYS = st.sampled_from(["k0", "k1", "k2"])
ASSETS = st.sampled_from(["a0", "a1"])
SIZES = st.integers(0, 10**12)
# Statements that a program, a worker or somebody at psql may write, each with what it is about.
OPERATIONS = st.one_of(
    st.tuples(
        st.just(
            "INSERT INTO assets (asset_id, owner, team, status) "
            "VALUES (%(asset)s, %(owner)s, 't', 'uploading') ON CONFLICT DO NOTHING"
        ),
        st.fixed_dictionaries({"asset": ASSETS, "owner": st.sampled_from(["me", "you"])}),
    ),
    st.tuples(
        st.just(
            "INSERT INTO objects (store, key, asset_id, owner, team, role, state, size_bytes, content_type) "
            "SELECT 's', %(key)s, asset_id, owner, team, 'original', %(state)s, %(size)s, 'x' FROM assets "
            "WHERE asset_id = %(asset)s ON CONFLICT (store, key) DO UPDATE SET state = 'pending'"
        ),
        st.fixed_dictionaries(
            {"asset": ASSETS, "key": KEYS, "state": st.sampled_from(["pending", "stored"]), "size": SIZES}
        ),
    ),
    st.tuples(
        st.just(
            "INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, size_bytes, content_type, way) "
            "SELECT %(key)s, asset_id, owner, team, 's', %(key)s, %(size)s, 'x', %(way)s FROM assets "
            "WHERE asset_id = %(asset)s ON CONFLICT DO NOTHING"
        ),
        st.fixed_dictionaries(
            {
                "asset": ASSETS,
                "key": KEYS,
                "size": st.none() | SIZES,
                "way": st.sampled_from(["put", "form", "parts", "process"]),
            }
        ),
    ),
    st.tuples(
        st.just(
            "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms) "
            "SELECT %(key)s, asset_id, owner, team, 'fast', 0, %(end)s FROM assets WHERE asset_id = %(asset)s "
            "ON CONFLICT DO NOTHING"
        ),
        st.fixed_dictionaries({"asset": ASSETS, "key": KEYS, "end": st.integers(1, 3)}),
    ),
    st.tuples(
        st.sampled_from(
            [
                "UPDATE objects SET state = 'stored', size_bytes = %(size)s WHERE key = %(key)s",
                "UPDATE objects SET owner = 'heir', team = 'x' WHERE key = %(key)s",
                "UPDATE uploads SET reserved_bytes = %(size)s WHERE key = %(key)s",
                "DELETE FROM objects WHERE key = %(key)s",
                "DELETE FROM uploads WHERE upload_id = %(key)s",
                "DELETE FROM clips WHERE clip_id = %(key)s",
                "DELETE FROM outbox WHERE key = %(key)s",
                "DELETE FROM processed_media WHERE asset_id = %(key)s",
                "UPDATE uploads SET state = 'aborted' WHERE upload_id = %(key)s",
                "UPDATE uploads SET state = 'refused' WHERE upload_id = %(key)s",
                "UPDATE uploads SET state = 'completed' WHERE upload_id = %(key)s",
                "UPDATE uploads SET state = 'completed', reused = true WHERE upload_id = %(key)s",
                "UPDATE clips SET status = 'failed' WHERE clip_id = %(key)s",
                "UPDATE clips SET status = 'ready' WHERE clip_id = %(key)s",
                (
                    "UPDATE outbox SET due_at = again_at, again_at = NULL, size_bytes = 0, held_bytes = 0 "
                    "WHERE key = %(key)s AND again_at IS NOT NULL"
                ),
                (
                    "INSERT INTO outbox (store, key, asset_id, owner, team, size_bytes) "
                    "VALUES ('s', %(key)s, '', '', '', %(size)s) ON CONFLICT DO NOTHING"
                ),
                (
                    "INSERT INTO processed_media (asset_id, digest, owner, team, duration_ms) "
                    "VALUES (%(key)s, '', 'me', 't', %(size)s) ON CONFLICT DO NOTHING"
                ),
                "UPDATE processed_media SET month = '2020-01' WHERE asset_id = %(key)s",
            ]
        ),
        st.fixed_dictionaries({"key": KEYS, "size": SIZES}),
    ),
    st.tuples(st.just("DELETE FROM assets WHERE asset_id = %(asset)s"), st.fixed_dictionaries({"asset": ASSETS})),
    st.just(("fold", {"limit": 3})),
)


@pytest.fixture(scope="module")
def server(module_dsn) -> psycopg.Connection:
    with psycopg.connect(module_dsn, options="-c search_path=mediaplane") as opened:
        yield opened


@contextmanager
def undone(server: psycopg.Connection):
    """A database as it was before, for each example."""
    with server.transaction(force_rollback=True):
        yield


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=1, max_size=25))
def test_counters_equal_a_recount_after_any_operations(server, operations):
    """Whatever is done in whatever order: the sum of counters and ledger is what the rows say, and never negative."""
    queries = load_queries("usage")
    with undone(server):
        for statement, values in operations:
            server.execute(queries["fold"] if statement == "fold" else statement, values)
        assert server.execute(queries["differences"]).fetchall() == []
        assert server.execute("SELECT count(*) FROM usage_recounted WHERE amount < 0").fetchone() == (0,)
        for statement in (
            "DELETE FROM assets",
            "DELETE FROM uploads",
            "DELETE FROM outbox",
            "DELETE FROM processed_media",
        ):
            server.execute(statement)
        server.execute(queries["fold"], {"limit": 100_000})
        left = "SELECT count(*) FROM usage_counters WHERE amount <> 0"
        assert server.execute(left).fetchone() == (0,)
