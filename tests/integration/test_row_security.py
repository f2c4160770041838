"""Row-level security: what PostgreSQL itself refuses, whatever a query of the gateway asks for."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mediaplane.access.rules import EVERYTHING, Viewer, of_asset, sight
from mediaplane.catalog import assets, clips, objects, playback
from mediaplane.catalog.playback import Rendition
from mediaplane.catalog.runs import NewRun
from mediaplane.catalog.segments import NewSegment, replace_chunk
from mediaplane.errors import AssetNotFound, InvalidKey
from mediaplane.jobs.arrivals import Arrival, register_all
from mediaplane.jobs.queue import enqueue
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import GATEWAY_ROLE, Connection, admit_gateway, connect, migrate, narrowed
from mediaplane.search.moments import search
from mediaplane.storage.store import ObjectInfo

# Tables without an owner, and why the gateway may see all of them, or nothing.
NOT_NARROWED = {
    "migrations": "no grant at all",
    "api_keys": "no grant at all",
    "audit_records": "it may only add",
    "audit_waiting": "no grant at all",
    "audit_chain": "no grant at all",
    "periodic_tasks": "names and times of tasks",
    "scans": "how far prefixes were scanned",
    "pgqueuer": "ids of runs, read by workers only",
    "pgqueuer_log": "ids of runs, read by workers only",
    "pgqueuer_schedules": "unused",
    "pgqueuer_statistics": "counts",
}
PEOPLE = {"mine": ("me", "red"), "mates": ("mate", "red"), "theirs": ("them", "blue"), "elsewhere": ("me", "blue")}


async def fill(conn: Connection) -> None:
    """Give everyone an asset with rows in the tables that readers ask."""
    for asset_id, (owner, team) in PEOPLE.items():
        who = {"owner": owner, "team": team}
        await assets.add(conn, asset_id=asset_id, **who, title=f"title of {asset_id}", status="ready", digest="d")
        key = ObjectKey(f"videos/original/{asset_id}/master.mp4")
        await objects.intend(conn, store="s3", asset_id=asset_id, role="original", keys=[key], content_type="video/mp4")
        await playback.put_rendition(conn, asset_id, Rendition("360p", "video", 640, 360, 30.0, 1, "avc1"))
        await playback.replace_segments(
            conn, asset_id, rendition="360p", chunk=0, store="s3", init_key="i", segments=[(f"{asset_id}.m4s", 1, 1)]
        )
        async with conn.transaction():
            line = NewSegment(
                "ocr", 0, 1000, f"secret {asset_id} #tag https://{asset_id}.example/x 42", None, 1.0, "en", 0
            )
            await replace_chunk(conn, (asset_id, owner, team), 0, [line])
        await conn.execute("UPDATE assets SET duration_ms = 1000 WHERE asset_id = %s", [asset_id])
        await clips.request(
            conn, clip_id=f"clip-{asset_id}", asset_id=asset_id, mode="fast", t_start_ms=0, t_end_ms=1000,
            expiry=timedelta(days=1),
        )  # fmt: skip
        await enqueue(conn, [NewRun(asset_id, owner, team, "probe", "d")])


@pytest.fixture
async def filled(conn) -> Connection:
    await fill(conn)
    return conn


async def tables(conn: Connection) -> dict[str, bool]:
    rows = await conn.execute(
        "SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND relkind IN ('r', 'p')"
    )
    return dict(await rows.fetchall())


async def test_every_table_is_narrowed_or_named_here(conn):
    """A new table is narrowed by its owner and team, or its reason stands in this file."""
    found = await tables(conn)
    assert {name for name, is_narrowed in found.items() if not is_narrowed} == set(NOT_NARROWED)


async def test_role_of_the_gateway_is_held(conn):
    """The role cannot log in, cannot go round the policies, owns nothing, and cannot read keys or audit."""
    row = await conn.execute(
        "SELECT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s", [GATEWAY_ROLE]
    )
    assert await row.fetchone() == (False, False, False)
    owned = await conn.execute("SELECT relname FROM pg_class WHERE relowner = %s::regrole", [GATEWAY_ROLE])
    assert await owned.fetchall() == []
    for statement in (
        "SELECT * FROM api_keys",
        "INSERT INTO api_keys (key_id, digest, owner, team, role) VALUES ('a', '', 'me', 'red', 'admin')",
        "SELECT * FROM audit_records",
        "DELETE FROM audit_records",
        "DELETE FROM audit_waiting",
        "INSERT INTO audit_chain VALUES (1, 1, '')",
        "UPDATE migrations SET name = ''",
        "ALTER TABLE assets DISABLE ROW LEVEL SECURITY",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with narrowed(conn, sight(EVERYTHING)):
                await conn.execute(statement)


SEEN = {
    Viewer("me", "red"): {"mine"},
    Viewer(None, "red"): {"mine", "mates"},
    Viewer("me", None): {"mine", "elsewhere"},
    EVERYTHING: set(PEOPLE),
    of_asset("theirs"): {"theirs"},
    Viewer("", ""): set(),
    Viewer("nobody", "red"): set(),
}


@pytest.mark.parametrize(("viewer", "expected"), SEEN.items(), ids=range(len(SEEN)))
async def test_viewer_sees_own_rows_of_every_table(filled, viewer, expected):
    """A query without any condition gives the viewer's rows and no others, in every table that has an asset."""
    columns = await filled.execute(
        "SELECT table_name FROM information_schema.columns JOIN pg_class ON relname = table_name AND relkind = 'r' "
        "WHERE table_schema = current_schema() AND column_name = 'asset_id'"
    )
    names = [name for (name,) in await columns.fetchall() if name not in NOT_NARROWED]
    assert {"assets", "objects", "clips", "segments", "entities", "hls_segments", "stage_runs", "uploads"} <= set(names)
    filled_tables = 0
    for name in names:
        query = sql.SQL("SELECT DISTINCT asset_id FROM {}").format(sql.Identifier(name))
        everything = {row[0] for row in await (await filled.execute(query)).fetchall()}
        async with narrowed(filled, sight(viewer)):
            found = {row[0] for row in await (await filled.execute(query)).fetchall()}
        assert found == everything & expected, name
        filled_tables += bool(everything)
    assert filled_tables >= 7


async def test_viewer_changes_nothing_else(filled):
    """Others' rows cannot be changed, deleted, taken over or made, whatever the statement says."""
    async with narrowed(filled, sight(Viewer("me", "red"))):
        changed = await filled.execute("UPDATE assets SET title = 'taken'")
        assert changed.rowcount == 1
        assert (await filled.execute("DELETE FROM objects WHERE asset_id <> 'mine'")).rowcount == 0
        for owner, team in (("them", "blue"), ("me", "blue"), ("them", "red")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with filled.transaction():
                    await filled.execute("UPDATE assets SET owner = %s, team = %s", [owner, team])
            new = {"asset_id": "new", "owner": owner, "team": team, "title": "", "status": "ready", "digest": None}
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with filled.transaction():
                    await assets.add(filled, **new)
        with pytest.raises(AssetNotFound):
            await assets.delete(filled, "theirs", owner=None)
    titles = await filled.execute("SELECT asset_id FROM assets WHERE title = 'taken'")
    assert await titles.fetchall() == [("mine",)]


async def test_viewer_that_was_not_named_sees_nothing(filled):
    """A transaction that takes the role and forgets to say for whom sees nobody's rows, also after another's."""
    async with narrowed(filled, sight(EVERYTHING)):
        pass
    async with filled.transaction():
        await filled.execute("SET LOCAL ROLE mediaplane_gateway")
        for table in (
            "assets",
            "segments",
            "segments_in_sight",
            "entities_in_sight",
            "hls_segments",
            "lexicon_deletions",
        ):
            count = await filled.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            assert await count.fetchone() == (0,), table


async def test_viewer_ends_with_its_transaction(filled):
    """A connection that goes back to the pool is nobody's: neither role nor viewer outlives the transaction."""
    with pytest.raises(RuntimeError):
        async with narrowed(filled, sight(Viewer("me", "red")), actor='{"subject": "x"}'):
            raise RuntimeError
    row = await filled.execute(
        "SELECT current_user = session_user, current_setting('mediaplane.owner', true), "
        "current_setting('mediaplane.actor', true)"
    )
    assert await row.fetchone() in [(True, "", ""), (True, None, None)]


async def test_arrival_under_the_id_of_an_asset_out_of_sight(filled):
    """It is refused: the asset can neither be locked nor added."""
    info = ObjectInfo(ObjectKey("videos/original/theirs/other.mp4"), 1, '"e"', datetime.now(UTC))
    arrival = Arrival("s3", info, "theirs", "me", "red", "title", "video/mp4")
    async with asyncio.timeout(10):
        with pytest.raises(InvalidKey):
            async with narrowed(filled, sight(Viewer("me", "red"))):
                await register_all(filled, [arrival], nothing_next)


async def nothing_next(_conn, *_asset_ids):
    """Plan nothing."""


@pytest.mark.parametrize(
    "query", ["secret", "secert", "#tag", "number:42", "url:theirs.example", "sec*", '"secret theirs"']
)
async def test_search_is_narrowed_below_its_queries(filled, query):
    """Search finds the viewer's text, though its own conditions name nobody."""
    async with narrowed(filled, sight(Viewer("me", "red"))):
        page = await search(filled, query, owner=None, limit=50)
    assert {hit.asset_id for hit in page.hits} <= {"mine"}
    whole = await search(filled, query, owner=None, limit=50)
    assert {hit.asset_id for hit in whole.hits} >= {"theirs"}


async def test_search_uses_its_index_under_the_policy(conn):
    """Words are found by index for the gateway too: not through the table, whose policy must be asked before `@@`."""
    plans = {}
    async with narrowed(conn, sight(Viewer(None, "red"))):
        await conn.execute("SET LOCAL enable_seqscan = off")
        for source in ("segments", "segments_in_sight"):
            rows = await conn.execute(f"EXPLAIN SELECT s.text FROM {source} s WHERE s.lexemes @@ 'word'::tsquery")
            plans[source] = "\n".join(row[0] for row in await rows.fetchall())
    assert "segments_lexemes" in plans["segments_in_sight"]
    assert "segments_lexemes" not in plans["segments"]


def as_user(dsn: str, name: str) -> str:
    return make_conninfo(dsn, user=name)


@pytest.fixture
def plain_user(empty_dsn, postgres_server):
    """A database user as a hoster gives it: owner of the database, no superuser, may make roles."""
    name = f"plain_{empty_dsn.partition('dbname=')[2].split()[0][-12:]}"
    database = empty_dsn.partition("dbname=")[2].split()[0]
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(name)))
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), sql.Identifier(name)))
    yield name
    with psycopg.connect(make_conninfo(postgres_server, dbname=database), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(database)))
        admin.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(GATEWAY_ROLE), sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_user_who_may_not_take_the_role(empty_dsn, plain_user, postgres_server):
    """Without the right to it the migration goes through and says what an administrator has to do; then all is well."""
    with psycopg.connect(postgres_server, autocommit=True) as admin:  # another deployment of the server made it
        admin.execute("DO $$ BEGIN CREATE ROLE mediaplane_gateway NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    dsn = as_user(empty_dsn, plain_user)
    await migrate(dsn)
    async with await connect(dsn) as conn:
        missing = await admit_gateway(conn)
        assert f"GRANT mediaplane_gateway TO {plain_user}" in missing
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(sql.SQL("GRANT mediaplane_gateway TO {}").format(sql.Identifier(plain_user)))
        assert await admit_gateway(conn) == ""
        assert await admit_gateway(conn) == ""  # again, changing nothing
        await fill(conn)
        async with narrowed(conn, sight(Viewer("me", "red"))):
            rows = await (await conn.execute("SELECT asset_id FROM assets")).fetchall()
            assert rows == [("mine",)]
            await assets.delete(conn, "mine", owner="me")
        count = await conn.execute("SELECT count(*) FROM outbox")
        assert await count.fetchone() == (1,)


async def test_user_whose_role_goes_round_the_policies(conn, postgres_server, monkeypatch):
    """A gateway role that was given BYPASSRLS is refused: nothing would narrow it."""
    async with conn.transaction(force_rollback=True):
        await conn.execute("ALTER ROLE mediaplane_gateway BYPASSRLS")
        assert "BYPASSRLS" in await admit_gateway(conn)
