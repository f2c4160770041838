"""Deleting the row deletes the bytes: what the triggers of the catalog promise, whoever writes the DELETE."""

import asyncio

import psycopg
import pytest

from mediaplane.postgres import Connection

KEY = "videos/original/a/master.mp4"


@pytest.fixture
async def asset(conn: Connection) -> None:
    """Asset `a` with a stored original, a pending frame and a ready clip."""
    await conn.execute("INSERT INTO assets (asset_id, owner, team, status) VALUES ('a', 'o', 't', 'ready')")
    await add_object(conn, KEY, role="original", size_bytes=1000)
    await add_object(conn, "frames/a/0.jpg", role="frame", state="pending", size_bytes=10)
    await add_object(conn, "videos/clips/a/c.mp4", role="clip", size_bytes=100)
    await conn.execute(
        "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, store, key) "
        "VALUES ('c', 'a', 'o', 't', 'fast', 0, 1000, 'main', 'videos/clips/a/c.mp4')"
    )


async def add_object(conn: Connection, key: str, *, role: str, state: str = "stored", size_bytes: int = 1) -> None:
    await conn.execute(
        "INSERT INTO objects (store, key, asset_id, owner, team, role, state, size_bytes, content_type) "
        "VALUES ('main', %s, 'a', 'o', 't', %s, %s, %s, 'x/y')",
        [key, role, state, size_bytes],
    )


async def outbox(conn: Connection) -> list[tuple]:
    rows = await conn.execute("SELECT key, size_bytes, again_at IS NOT NULL FROM outbox ORDER BY key")
    return await rows.fetchall()


ALL = [("frames/a/0.jpg", 10, True), ("videos/clips/a/c.mp4", 100, False), (KEY, 1000, False)]


async def test_delete_typed_into_psql_puts_every_object_on_the_outbox(asset, conn, dsn):
    """A connection that knows nothing of our search_path deletes the asset: rows go, keys land on the outbox."""
    async with await psycopg.AsyncConnection.connect(dsn) as plain:
        assert (await (await plain.execute("SHOW search_path")).fetchone()) != ("mediaplane",)
        assert (await plain.execute("DELETE FROM mediaplane.assets")).rowcount == 1
    assert await outbox(conn) == ALL
    for table in ("objects", "clips"):
        assert (await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone()) == (0,)


async def test_delete_with_a_hostile_search_path_meets_the_right_tables(asset, conn, dsn):
    """A table of the same name earlier in the caller's path does not swallow what belongs on the outbox."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as plain:
        await plain.execute("CREATE TEMP TABLE outbox (LIKE mediaplane.outbox INCLUDING ALL)")
        await plain.execute("CREATE TEMP TABLE objects (LIKE mediaplane.objects INCLUDING ALL)")
        await plain.execute("DELETE FROM mediaplane.assets")
    assert await outbox(conn) == ALL


async def test_delete_rolled_back_deletes_nothing(asset, conn):
    """Rows and outbox change in one transaction, or not at all."""
    async with conn.transaction(force_rollback=True):
        await conn.execute("DELETE FROM assets")
        assert await outbox(conn) == ALL
    assert await outbox(conn) == []


async def test_delete_of_a_clip_takes_its_object(asset, conn):
    """Deleting the clip's row puts the clip's key on the outbox and leaves the rest of the asset."""
    await conn.execute("DELETE FROM clips WHERE clip_id = 'c'")
    assert await outbox(conn) == [("videos/clips/a/c.mp4", 100, False)]
    assert (await (await conn.execute("SELECT count(*) FROM objects")).fetchone()) == (2,)


async def test_delete_of_an_object_alone_is_seen(asset, conn):
    """The trigger stands on the objects themselves, not only on the asset."""
    await conn.execute("DELETE FROM objects WHERE key = %s", [KEY])
    assert await outbox(conn) == [(KEY, 1000, False)]


async def test_key_written_anew_leaves_the_outbox(asset, conn):
    """An object made again at a key that waits for deletion must not be deleted."""
    await conn.execute("DELETE FROM objects WHERE key = %s", [KEY])
    await add_object(conn, KEY, role="original", size_bytes=2000)
    assert await outbox(conn) == []
    await conn.execute("DELETE FROM objects WHERE key = %s", [KEY])
    assert await outbox(conn) == [(KEY, 2000, False)]


async def test_key_written_anew_by_upsert_leaves_the_outbox(asset, conn):
    """An INSERT … ON CONFLICT of a key that waits for deletion counts as written anew."""
    await conn.execute("DELETE FROM objects WHERE key = %s", [KEY])
    await conn.execute(
        "INSERT INTO objects (store, key, asset_id, owner, team, role, content_type) "
        "VALUES ('main', %s, 'a', 'o', 't', 'original', 'x/y') ON CONFLICT (store, key) DO UPDATE SET state = 'stored'",
        [KEY],
    )
    assert await outbox(conn) == []


async def test_key_written_anew_waits_for_a_running_deletion(asset, conn, pool):
    """Whoever writes a key anew waits while a worker holds its outbox row, so new bytes are not removed."""
    await conn.execute("DELETE FROM objects WHERE key = %s", [KEY])
    async with pool.connection() as worker:
        async with worker.transaction():
            await worker.execute("SELECT 1 FROM outbox WHERE key = %s FOR UPDATE", [KEY])
            writing = asyncio.create_task(add_object(conn, KEY, role="original"))
            await asyncio.sleep(0.2)
            assert not writing.done()
            await worker.execute("DELETE FROM outbox WHERE key = %s", [KEY])
        await asyncio.wait_for(writing, 5)
    assert await outbox(conn) == []


async def test_key_written_anew_while_it_is_being_deleted_leaves_the_outbox(asset, conn, pool):
    """A key inserted while another transaction deletes it waits for that one, and is not deleted afterwards."""
    async with pool.connection() as other:
        async with other.transaction():
            await other.execute("DELETE FROM objects WHERE key = %s", [KEY])
            writing = asyncio.create_task(add_object(conn, KEY, role="original"))
            await asyncio.sleep(0.2)
            assert not writing.done()
        await asyncio.wait_for(writing, 5)
    assert await outbox(conn) == []
    assert (await (await conn.execute("SELECT count(*) FROM objects")).fetchone()) == (3,)


@pytest.mark.parametrize("table", ["objects", "assets", "assets CASCADE", "clips", "clips CASCADE"])
async def test_truncate_is_refused(asset, conn, table):
    """TRUNCATE fires no row triggers: it would leave bytes that nobody owns."""
    with pytest.raises(psycopg.Error, match=r"TRUNCATE would leave|cannot truncate"):
        await conn.execute(f"TRUNCATE {table}")
    assert (await (await conn.execute("SELECT count(*) FROM objects")).fetchone()) == (3,)


@pytest.mark.parametrize("column", ["store", "key"])
async def test_key_change_is_refused(asset, conn, column):
    """An object that moved in its row would leave its old bytes behind."""
    with pytest.raises(psycopg.errors.RaiseException, match="never change"):
        await conn.execute(f"UPDATE objects SET {column} = 'elsewhere'")
    await conn.execute("UPDATE objects SET store = store, key = key, size_bytes = 5")


async def test_delete_of_many_objects_is_one_statement(asset, conn):
    """Ten thousand objects of an asset land on the outbox with the one DELETE, within seconds."""
    await conn.execute(
        "INSERT INTO objects (store, key, asset_id, owner, team, role, state, content_type) "
        "SELECT 'main', 'frames/a/' || n || '.jpg', 'a', 'o', 't', 'frame', 'stored', 'image/jpeg' "
        "FROM generate_series(1, 10000) n"
    )
    await asyncio.wait_for(conn.execute("DELETE FROM assets"), 20)
    assert len(await outbox(conn)) == 10_003
