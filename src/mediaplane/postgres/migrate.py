"""Brings a database up to this release: numbered SQL files, each applied once, in one transaction with its record.

A change comes in two files: `NNNN_name.pre.sql` (safe while the previous release still runs) and, where something
must go, `NNNN_name.post.sql` (run once that release is gone).
"""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

import psycopg
from psycopg import sql

from mediaplane.errors import DatabaseUnavailable, SchemaOutOfDate
from mediaplane.postgres.pool import SCHEMA, Connection, connect

_LOCK_KEY = 0x6D65646961  # "media": any number, the same in every release
_FILE_NAME = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+\.(?P<phase>pre|post)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `checksum` is that of its text, so that a change to an applied one is noticed."""

    name: str
    text: str
    checksum: str

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        """Make one from a file's name and text."""
        return cls(name, text, hashlib.sha256(text.encode()).hexdigest())


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return the names of it, in order. Safe to call from several processes at once.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or its user may not create our schema.
        SchemaOutOfDate: the database is newer than this release, or an applied file has been changed since.
    """
    async with _connected(dsn) as conn:
        await conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])  # until the connection closes
        await _create_record(conn)
        missing = _missing(await _applied(conn))
        for migration in missing:
            await _apply(conn, migration)
        if missing:
            await admit_gateway(conn)  # to the new tables; what it lacks is said when the gateway starts
        return [migration.name for migration in missing]


async def pending_migrations(dsn: str) -> list[str]:
    """Return the names of the files `migrate` would apply; changes nothing.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
        SchemaOutOfDate: as `migrate`.
    """
    async with _connected(dsn) as conn:
        return [migration.name for migration in _missing(await _applied(conn))]


async def admit_gateway(conn: Connection) -> str:
    """Let the gateway's role into every table, narrowed; return what is missing for it, empty where all is well."""
    found = await (await conn.execute("SELECT to_regprocedure('admit_gateway()') IS NOT NULL")).fetchone()
    if found is None or not found[0]:
        return "the database is older than accounts: run the migrations"
    row = await (await conn.execute("SELECT admit_gateway()")).fetchone()
    return str(row[0]) if row and row[0] else ""


def _read_migrations() -> list[Migration]:
    """Return the migrations of this release in the order they are applied."""
    return sorted(_migrations(), key=lambda migration: _order(migration.name))


def _migrations() -> Iterator[Migration]:
    for file in (files("mediaplane.postgres") / "migrations").iterdir():
        if file.name.endswith(".sql"):
            yield Migration.of(file.name, file.read_text())


def _order(name: str) -> tuple[int, bool]:
    match = _FILE_NAME.match(name)
    if match is None:
        raise ValueError(f"a migration is named NNNN_name.pre.sql or NNNN_name.post.sql, not {name}")
    return int(match["number"]), match["phase"] == "post"


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    conn = await connect(dsn)
    try:
        yield conn
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"PostgreSQL went away while migrating: {error}") from error
    finally:
        await conn.close()


async def _create_record(conn: Connection) -> None:
    try:
        # Asked first: CREATE SCHEMA IF NOT EXISTS needs the right to create even when there is nothing to do.
        if await (await conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA])).fetchone() is None:
            await conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnavailable(
            f"the database user may not create the schema {SCHEMA}: GRANT CREATE ON DATABASE … TO the user "
            "in DATABASE_URL",
            retryable=False,
        ) from error


async def _applied(conn: Connection) -> dict[str, str]:
    """Return name and checksum of what the database has; empty for one that was never migrated."""
    try:
        return dict(await (await conn.execute("SELECT name, checksum FROM migrations")).fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return {}


def _missing(applied: dict[str, str]) -> list[Migration]:
    known = _read_migrations()
    if unknown := sorted(set(applied) - {migration.name for migration in known}):
        raise SchemaOutOfDate(
            f"the database is newer than this release: it has {', '.join(unknown)}. Install the newer release"
        )
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaOutOfDate(
                f"{migration.name} has changed since it was applied to this database: undo the change and write "
                "a new migration (a database for trying things out may be dropped instead)"
            )
    return [migration for migration in known if migration.name not in applied]


async def _apply(conn: Connection, migration: Migration) -> None:
    async with conn.transaction():
        # Functions made in the file keep this path. Named last, a caller's temporary tables cannot stand before ours:
        # left out, PostgreSQL looks there first. Source: PostgreSQL manual, search_path.
        await conn.execute(sql.SQL("SET LOCAL search_path = {}, pg_temp").format(sql.Identifier(SCHEMA)))
        await conn.execute(sql.SQL(migration.text))
        await conn.execute(
            "INSERT INTO migrations (name, checksum) VALUES (%s, %s)", [migration.name, migration.checksum]
        )
