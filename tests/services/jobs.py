"""What the tests of jobs share: runs to ask for, stages, workers in this process, a line that can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mediaplane.catalog import runs
from mediaplane.catalog.runs import NewRun, StageRun
from mediaplane.jobs.worker import Outcome, Work, work
from mediaplane.postgres import Connection
from tests.services.postgres import create_database, drop_database

LEASE = timedelta(seconds=2)
SOON = timedelta(milliseconds=50)


def wanted(asset: str = "a", stage: str = "probe", digest: str = "d", **more) -> NewRun:
    return NewRun(asset_id=asset, owner="o", team="t", stage=stage, inputs_digest=digest, **more)


async def add_asset(conn: Connection, asset_id: str) -> None:
    await conn.execute(
        "INSERT INTO assets (asset_id, owner, team, status) VALUES (%s, 'o', 't', 'processing')", [asset_id]
    )


async def value(conn: Connection, query: str):
    return (await (await conn.execute(query)).fetchone())[0]


async def eventually(check: Callable[[], Awaitable[object]], seconds: float = 60):
    """Wait until the check returns something true, and return it."""
    deadline = monotonic() + seconds
    while not (found := await check()):
        assert monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.03)
    return found


async def until_state(conn: Connection, run_id: str, *states: str, seconds: float = 60) -> StageRun:
    async def check():
        run = await runs.get(conn, run_id)
        return run if run and run.state in states else None

    return await eventually(check, seconds)


def writes(note: str = "") -> Callable[[Work], Awaitable[Outcome]]:
    """A stage whose effect is one row."""

    async def stage(chore: Work) -> Outcome:
        async def commit(conn: Connection) -> None:
            await conn.execute("INSERT INTO effects VALUES (%s, %s)", [chore.run.run_id, note])

        return Outcome({"note": note}, commit)

    return stage


class Endless:
    """A stage that never ends by itself and tells what happened to it."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _: Work) -> Outcome:
        self.began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Outcome({})


async def nothing(conn: Connection, run: StageRun) -> None:
    """Plan nothing after a run."""


@asynccontextmanager
async def working(dsn: str, stages, *, after=nothing, name: str = "w", **more) -> AsyncIterator[asyncio.Event]:
    """A worker in this process, stopped at the end of the block; its stop event."""
    stop = asyncio.Event()
    more = {"slots": 4, "lease": LEASE, "retry_waits": [SOON] * 3, "lost_after": timedelta(seconds=1), **more}
    more.setdefault("grace", timedelta(0))
    task = asyncio.create_task(work(dsn, stages=stages, after=after, worker_name=name, stop=stop, **more))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def claim(conn: Connection, run: StageRun, *, lease: timedelta = LEASE) -> StageRun:
    """Take the run as a worker would."""
    (claimed,) = await runs.claim(conn, [run.run_id], worker="by hand", lease=lease)
    return claimed


class Line:
    """A way to the server's socket that can be cut and mended."""

    def __init__(self, dsn: str, directory: Path) -> None:
        given = conninfo_to_dict(dsn)
        self._target = given["host"], int(given.get("port") or 5432)
        self.dsn = make_conninfo(dsn, host=str(directory), port=5432, hostaddr="")
        self._path = directory / ".s.PGSQL.5432"
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self._path)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target
        if host.startswith("/"):
            there, away = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there, away = await asyncio.open_connection(host, port)
        self._open |= {writer, away}
        await asyncio.gather(self._copy(reader, away), self._copy(there, writer))
        self._open -= {writer, away}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


def job_database(server: str, template: str) -> Iterator[str]:
    """One database for a file of tests, as a fixture's generator: making one takes longer than most tests."""
    name = create_database(server, template=template)
    yield make_conninfo(server, dbname=name)
    drop_database(server, name)


def emptied(dsn: str) -> str:
    """Leave one asset, `a`, and an empty table of effects in the database; return its DSN."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=mediaplane") as conn:
        conn.execute("DELETE FROM assets; DELETE FROM pgqueuer; DELETE FROM pgqueuer_log; DELETE FROM periodic_tasks")
        conn.execute("DROP TABLE IF EXISTS effects; CREATE TABLE effects (run_id text, note text)")
        conn.execute("INSERT INTO assets (asset_id, owner, team, status) VALUES ('a', 'o', 't', 'processing')")
    return dsn
