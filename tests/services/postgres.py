"""PostgreSQL for tests: one server a session, one fresh migrated database a test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.postgres import Connection, Pool, connect, migrate, open_pool

TEST_SERVER_VARIABLE = "MEDIAPLANE_TEST_DATABASE_URL"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory) -> Iterator[str]:
    """DSN of a server on which databases may be made: ours, or that of MEDIAPLANE_TEST_DATABASE_URL."""
    if given := os.environ.get(TEST_SERVER_VARIABLE):
        yield given
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("server")) as server:
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            # Nothing here has to outlive the machine; the kernel still keeps what a killed server has written.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                conn.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            conn.execute("SELECT pg_reload_conf()")
        yield server.dsn


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """Name of a migrated database from which the tests' databases are copied."""
    name = create_database(postgres_server)
    asyncio.run(migrate(make_conninfo(postgres_server, dbname=name)))
    yield name
    drop_database(postgres_server, name)


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """A fresh database without our schema."""
    name = create_database(postgres_server)
    yield make_conninfo(postgres_server, dbname=name)
    drop_database(postgres_server, name)


@pytest.fixture
def dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database of the test's own."""
    name = create_database(postgres_server, template=migrated_template)
    yield make_conninfo(postgres_server, dbname=name)
    drop_database(postgres_server, name)


@pytest.fixture(scope="module")
def module_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database that the tests of one module share: making one costs a second on a busy machine."""
    name = create_database(postgres_server, template=migrated_template)
    yield make_conninfo(postgres_server, dbname=name)
    drop_database(postgres_server, name)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on the test's database, as the program opens it."""
    async with open_pool(dsn) as opened:
        yield opened


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    """One connection to the test's database: autocommit, search_path on our schema."""
    connection = await connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def create_database(server: str, *, template: str = "template0") -> str:
    """Make a database on `server` and return its name."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    return name


def drop_database(server: str, name: str) -> None:
    """Drop the database, whoever is still connected to it."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
