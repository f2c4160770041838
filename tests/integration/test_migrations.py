"""Migrations: applied once, in order, by one process at a time, never over a newer or changed database."""

import asyncio
import sys

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mediaplane.errors import DatabaseUnavailable, SchemaOutOfDate
from mediaplane.postgres import connect, migrate, open_pool, pending_migrations
from mediaplane.postgres.migrate import Migration

MIGRATIONS = sys.modules["mediaplane.postgres.migrate"]  # the package shows the function under the module's name


def as_release(monkeypatch, **files: str) -> None:
    """Let the release consist of these files; `__` in a name stands for a dot."""
    made = [Migration.of(f"{name.replace('__', '.')}.sql".removeprefix("m"), text) for name, text in files.items()]
    monkeypatch.setattr(MIGRATIONS, "_migrations", lambda: iter(made))


async def test_migrate_fresh_database_applies_each_file_once(empty_dsn):
    """All files are pending, then applied in order, then none is."""
    pending = await pending_migrations(empty_dsn)
    assert pending[0] == "0001_catalog.pre.sql"
    assert await migrate(empty_dsn) == pending
    assert await pending_migrations(empty_dsn) == []
    assert await migrate(empty_dsn) == []


async def test_migrate_leaves_other_schemas_alone(empty_dsn):
    """Everything is made in the schema mediaplane."""
    await migrate(empty_dsn)
    async with await psycopg.AsyncConnection.connect(empty_dsn) as conn:
        rows = await conn.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'")
        assert await rows.fetchall() == [("mediaplane",)]


async def test_migrate_many_processes_at_once_apply_once(empty_dsn):
    """Of several that start together one applies the files; the others wait and find nothing to do."""
    results = await asyncio.gather(*(migrate(empty_dsn) for _ in range(5)))
    assert sorted(map(len, results))[:-1] == [0, 0, 0, 0]
    assert max(map(len, results)) > 0


async def test_migrate_pre_comes_before_post_of_its_number(empty_dsn, monkeypatch):
    """Files run by number, within a number pre before post, whatever the alphabet says."""
    as_release(
        monkeypatch,
        m0002_b__pre="CREATE TABLE b (x int)",
        m0001_a__post="ALTER TABLE a DROP COLUMN old",
        m0001_a__pre="CREATE TABLE a (old int, new int)",
    )
    assert await migrate(empty_dsn) == ["0001_a.pre.sql", "0001_a.post.sql", "0002_b.pre.sql"]


async def test_migrate_failing_file_leaves_nothing_of_itself(empty_dsn, monkeypatch):
    """A file that fails is undone wholly; those before it stay, and a mended one is applied later."""
    as_release(monkeypatch, m0001_a__pre="CREATE TABLE a (x int)", m0002_b__pre="CREATE TABLE b (x int); SELECT 1/0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_dsn)
    as_release(monkeypatch, m0001_a__pre="CREATE TABLE a (x int)", m0002_b__pre="CREATE TABLE b (x int)")
    assert await migrate(empty_dsn) == ["0002_b.pre.sql"]


async def test_migrate_changed_file_is_refused(empty_dsn, monkeypatch):
    """An applied file whose text has changed stops everything and is named."""
    as_release(monkeypatch, m0001_a__pre="CREATE TABLE a (x int)")
    await migrate(empty_dsn)
    as_release(monkeypatch, m0001_a__pre="CREATE TABLE a (x bigint)")
    for call in (migrate, pending_migrations):
        with pytest.raises(SchemaOutOfDate, match=r"0001_a\.pre\.sql has changed"):
            await call(empty_dsn)


async def test_migrate_newer_database_is_refused(empty_dsn, monkeypatch):
    """An older release does not touch the database of a newer one."""
    as_release(monkeypatch, m0001_a__pre="SELECT 1", m0002_b__pre="SELECT 1")
    await migrate(empty_dsn)
    as_release(monkeypatch, m0001_a__pre="SELECT 1")
    for call in (migrate, pending_migrations):
        with pytest.raises(SchemaOutOfDate, match=r"newer than this release: it has 0002_b\.pre\.sql"):
            await call(empty_dsn)


async def test_migrate_by_a_user_without_rights_says_what_to_grant(empty_dsn):
    """A database user that may not create schemas gets a sentence, not a traceback."""
    user = "test_" + make_conninfo(empty_dsn).rpartition("test_")[2][:16].split()[0]
    async with await psycopg.AsyncConnection.connect(empty_dsn, autocommit=True) as conn:
        await conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'").format(sql.Identifier(user)))
        try:
            with pytest.raises(DatabaseUnavailable, match="GRANT CREATE ON DATABASE"):
                await migrate(make_conninfo(empty_dsn, user=user, password="p"))
        finally:
            await conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(user)))


async def test_times_are_utc_whatever_zone_the_server_is_in(dsn):
    """Tables and sentences that say UTC print what they are given."""
    async with await connect(f"{dsn} options='-c timezone=Asia/Kolkata'") as conn:
        (moment,) = await (await conn.execute("SELECT '2026-11-21 12:00+00'::timestamptz")).fetchone()
    assert f"{moment:%H:%M}" == "12:00"


async def test_connection_keeps_our_schema_and_the_options_given(dsn):
    """search_path is ours after RESET ALL too, and options in DATABASE_URL still count."""
    given = make_conninfo(dsn, options="-c statement_timeout=4321", application_name="mine")
    async with open_pool(given, max_size=1) as pool, pool.connection() as conn:
        await conn.execute("SET search_path = public")
        await conn.execute("RESET ALL")
        row = await conn.execute(
            "SELECT current_setting('search_path'), current_setting('statement_timeout'), "
            "current_setting('application_name')"
        )
        assert await row.fetchone() == ("mediaplane", "4321ms", "mine")
        assert conn.autocommit


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/db",
        "postgresql://me:s3cret@[broken/db",
        "host=/nowhere password=s3cret dbname=db",
    ],
)
async def test_database_out_of_reach_names_the_setting_and_hides_the_password(url):
    """Whoever cannot connect learns which setting to look at; the password is not in the message."""
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL") as caught:
        await connect(url)
    assert "s3cret" not in caught.value.message
    with pytest.raises(DatabaseUnavailable):
        async with open_pool(url):
            pass
