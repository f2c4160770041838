"""Workers on a real PostgreSQL: leases, cancel, stop, outages, sharing, periodic tasks."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest

from mediaplane import cancellation
from mediaplane.catalog import runs
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import DatabaseUnavailable, ToolFailed
from mediaplane.jobs import worker
from mediaplane.jobs.queue import enqueue, take
from mediaplane.jobs.sweeper import Sweeper
from mediaplane.jobs.worker import Outcome, Work, work
from mediaplane.postgres import Connection
from tests.services.jobs import (
    LEASE,
    Endless,
    Line,
    add_asset,
    claim,
    emptied,
    eventually,
    job_database,
    nothing,
    until_state,
    value,
    wanted,
    working,
    writes,
)

_ANY_ID = UUID(int=1)


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    yield from job_database(postgres_server, migrated_template)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    """One database for this file, emptied before each test."""
    return emptied(shared_dsn)


@pytest.fixture
async def line(dsn: str, tmp_path: Path) -> AsyncIterator[Line]:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("needs unix sockets")
    made = Line(dsn, tmp_path)
    await made.mend()
    yield made
    await made.cut()
    await asyncio.sleep(0.05)


# leases


async def test_lease_of_dead_worker(dsn, conn):
    """A run whose worker died is run by another once the lease is over; the attempt counts."""
    (run,) = await enqueue(conn, [wanted()])
    taken = await take(conn, ["probe"], most=5, worker="dead", worker_id=_ANY_ID, lease=timedelta(seconds=1))
    assert [one.run_id for one in taken.runs] == [run.run_id]
    async with working(dsn, {"probe": writes()}):
        done = await until_state(conn, run.run_id, "done")
    assert (done.attempt, done.worker) == (2, "w")
    assert done.started_at >= taken.runs[0].lease_until


async def test_lease_lost_too_often(conn):
    """A run that took its worker down at every attempt fails in the end, and what follows is planned."""
    ended = []

    async def after(inner: Connection, run: StageRun) -> None:
        ended.append((run.run_id, run.state, run.error_code))

    sweeper = Sweeper(after, most_attempts=3, lost_after=timedelta(seconds=10))
    (run,) = await enqueue(conn, [wanted()])
    for _ in range(3):
        assert ended == []
        await claim(conn, run, lease=timedelta(0))
        await sweeper.sweep(conn)
    assert ended == [(run.run_id, "failed", "worker_lost")]


async def test_lease_kept_while_working(dsn, conn):
    """A stage that takes longer than the lease keeps its run, and nobody else begins it."""
    began = []

    async def stage(chore: Work) -> Outcome:
        began.append(chore.run.attempt)
        await asyncio.sleep(2.5)
        return await writes()(chore)

    (run,) = await enqueue(conn, [wanted()])
    short = {"lease": timedelta(seconds=1)}
    async with working(dsn, {"probe": stage}, **short), working(dsn, {"probe": stage}, name="w2", **short):
        await until_state(conn, run.run_id, "done")
    assert began == [1]


async def test_progress_written(dsn, conn):
    """Progress is written while the stage works, at most twice a second however often it is told."""

    async def stage(chore: Work) -> Outcome:
        for step in range(1000):
            chore.progress(step / 1000)
            await asyncio.sleep(0.002)
        await asyncio.sleep(3600)
        return Outcome({})

    (run,) = await enqueue(conn, [wanted()])
    began_at = monotonic()
    async with working(dsn, {"probe": stage}, lease=timedelta(seconds=60)):
        shares = set()

        async def check():
            shares.add(round((await runs.get(conn, run.run_id)).progress, 3))
            return 0.999 in shares

        await eventually(check)
    assert 3 <= len(shares) <= 3 + 2 * (monotonic() - began_at)


async def test_lease_transaction_left_standing(dsn, conn):
    """The server ends a transaction that a worker leaves standing, and with it the lock on the asset."""
    inside, let_go = asyncio.Event(), asyncio.Event()

    async def stage(chore: Work) -> Outcome:
        async def commit(inner: Connection) -> None:
            await writes_row(inner, chore)
            if not inside.is_set():
                inside.set()
                await let_go.wait()

        return Outcome({}, commit)

    async def writes_row(inner: Connection, chore: Work) -> None:
        await inner.execute("INSERT INTO effects VALUES (%s, '')", [chore.run.run_id])

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}):
        await asyncio.wait_for(inside.wait(), 60)
        await asyncio.wait_for(conn.execute("SELECT 1 FROM assets WHERE asset_id = 'a' FOR UPDATE"), 60)
        let_go.set()
        await until_state(conn, run.run_id, "done")
    assert await value(conn, "SELECT count(*) FROM effects") == 1


# cancel


async def test_cancel_running(dsn, conn):
    """Cancelling ends the stage soon; nothing of it is written and it is not tried again."""
    stage = Endless()
    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}):
        await asyncio.wait_for(stage.began.wait(), 60)
        assert await runs.cancel(conn, "a") == 1
        await asyncio.wait_for(stage.cancelled.wait(), 60)
        await asyncio.sleep(0.3)
    found = await runs.get(conn, run.run_id)
    assert (found.state, found.attempt) == ("cancelled", 1)


async def test_cancel_queued(dsn, conn):
    """A cancelled run that waits is never begun."""
    stage = Endless()
    (run,) = await enqueue(conn, [wanted()])
    await runs.cancel(conn, "a")
    idle = asyncio.Event()
    async with working(dsn, {"probe": stage}, on_idle=idle.set):
        await asyncio.wait_for(idle.wait(), 60)
    assert not stage.began.is_set()
    assert (await runs.get(conn, run.run_id)).state == "cancelled"


async def test_cancel_by_deleting_the_asset(dsn, conn):
    """Deleting the asset ends its running stages quietly; the worker does the next job."""
    stage = Endless()
    await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage, "plan": writes()}):
        await asyncio.wait_for(stage.began.wait(), 60)
        await conn.execute("DELETE FROM assets WHERE asset_id = 'a'")
        await asyncio.wait_for(stage.cancelled.wait(), 60)
        await add_asset(conn, "b")
        (run,) = await enqueue(conn, [wanted("b", stage="plan")])
        await until_state(conn, run.run_id, "done")


async def test_cancel_ignored_by_stage(dsn, conn):
    """A stage that swallows the cancellation and returns all the same writes nothing."""
    began = asyncio.Event()

    async def stage(chore: Work) -> Outcome:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        return await writes()(chore)

    await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}):
        await asyncio.wait_for(began.wait(), 60)
        await runs.cancel(conn, "a")
        await asyncio.sleep(1.5)
    assert await value(conn, "SELECT count(*) FROM effects") == 0


# stopping


async def test_stop_gives_back(dsn, conn):
    """What runs when the grace is over goes back to the queue at once, and the attempt is not counted."""
    stage = Endless()
    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}, lease=timedelta(seconds=60), grace=timedelta(seconds=0.2)):
        await asyncio.wait_for(stage.began.wait(), 60)
    assert stage.cancelled.is_set()
    found = await runs.get(conn, run.run_id)
    assert (found.state, found.attempt, found.token, found.error_code) == ("queued", 0, None, None)
    async with working(dsn, {"probe": writes()}, name="w2"):
        done = await until_state(conn, run.run_id, "done")
    assert (done.attempt, done.worker) == (1, "w2")


async def test_stop_fails_while_ending(dsn, conn):
    """What a stage raises because it was ended, say that its tool was killed, is no failure of the run."""
    began = asyncio.Event()

    async def stage(_: Work) -> Outcome:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ToolFailed("the tool was killed") from None
        return Outcome({})

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}):
        await asyncio.wait_for(began.wait(), 60)
    found = await runs.get(conn, run.run_id)
    assert (found.state, found.attempt, found.error_code) == ("queued", 0, None)


async def test_stop_lets_finish(dsn, conn):
    """What ends within the grace is finished; nothing new is begun."""
    began = asyncio.Event()

    async def stage(chore: Work) -> Outcome:
        began.set()
        await asyncio.sleep(0.5)
        return await writes()(chore)

    first, second = await enqueue(conn, [wanted(chunk=0), wanted(chunk=1)])
    async with working(dsn, {"probe": stage}, slots=1, grace=timedelta(seconds=10)):
        await asyncio.wait_for(began.wait(), 60)
    assert (await runs.get(conn, first.run_id)).state == "done"
    assert (await runs.get(conn, second.run_id)).state == "queued"


async def test_stop_by_cancelling_the_worker(dsn, conn):
    """Ctrl-C, which cancels the worker itself, leaves the run queued as well."""
    stage = Endless()
    (run,) = await enqueue(conn, [wanted()])
    task = asyncio.create_task(
        work(
            dsn,
            stages={"probe": stage},
            after=nothing,
            slots=1,
            lease=timedelta(seconds=60),
            retry_waits=[],
            worker_name="w",
            stop=asyncio.Event(),
            grace=timedelta(0),
        )
    )
    await asyncio.wait_for(stage.began.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await runs.get(conn, run.run_id)
    assert (found.state, found.attempt) == ("queued", 0)


async def test_stop_although_a_stage_and_a_periodic_task_go_on(dsn, conn, monkeypatch):
    """A cancellation that got lost, in the connection pool say, is asked for again: the worker ends."""
    monkeypatch.setattr(worker, "INTERRUPT_SECONDS", 0.1)
    monkeypatch.setattr(cancellation, "AGAIN_SECONDS", 0.1)
    stage, task = HardOfHearing(), HardOfHearing()

    async def perform(_: Work) -> Outcome:
        await stage.work()
        return Outcome({})

    (run,) = await enqueue(conn, [wanted()])
    periodic = {"deaf": (timedelta(seconds=60), lambda _: task.work())}
    async with working(dsn, {"probe": perform}, periodic=periodic):
        await asyncio.gather(stage.began.wait(), task.began.wait())
    assert (stage.asked, task.asked) == (2, 2)
    assert (await runs.get(conn, run.run_id)).state == "queued"


class HardOfHearing:
    """Work that goes on for some seconds when it is cancelled for the first time."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.asked = 0

    async def work(self) -> None:
        self.began.set()
        for _ in range(2):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                self.asked += 1
                if self.asked > 1:
                    raise
        raise asyncio.CancelledError


# outages


async def test_outage_at_start(tmp_path):
    """A worker that cannot reach its database at the start says so at once."""
    with pytest.raises(DatabaseUnavailable):
        await work(
            f"host={tmp_path} dbname=none connect_timeout=2",
            stages={},
            after=nothing,
            slots=1,
            lease=LEASE,
            retry_waits=[],
            worker_name="w",
            stop=asyncio.Event(),
        )


async def test_outage_survived(dsn, conn, line):
    """All connections drop and come back: the running stage finishes, later jobs are done, promptly again."""
    began, go = asyncio.Event(), asyncio.Event()

    async def stage(chore: Work) -> Outcome:
        began.set()
        await go.wait()
        return await writes()(chore)

    (run,) = await enqueue(conn, [wanted()])
    async with working(line.dsn, {"probe": stage, "plan": writes()}, lease=timedelta(seconds=8), slots=2):
        await asyncio.wait_for(began.wait(), 60)
        await line.cut()
        go.set()  # it ends while nobody answers
        await asyncio.sleep(1.5)
        await line.mend()
        done = await until_state(conn, run.run_id, "done")
        assert done.attempt == 1
        (later,) = await enqueue(conn, [wanted(stage="plan")])
        await until_state(conn, later.run_id, "done")
    assert await value(conn, "SELECT count(*) FROM effects") == 2


async def test_outage_backends_killed(dsn, conn):
    """The server ends every connection, again and again, as a restart does: everything is done once."""
    await enqueue(conn, [wanted(chunk=c) for c in range(300)])
    async with working(dsn, {"probe": writes()}, lost_after=timedelta(seconds=1)):
        for _ in range(5):
            await asyncio.sleep(0.15)
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await eventually(lambda: value(conn, "SELECT count(*) = 300 FROM stage_runs WHERE state = 'done'"), 20)
    assert await value(conn, "SELECT count(*) = 300 AND count(DISTINCT run_id) = 300 FROM effects")


async def test_outage_longer_than_lease(dsn, conn, line):
    """Cut off until its lease is over, the stage is ended: it must not write beside its successor."""
    stage = Endless()
    (run,) = await enqueue(conn, [wanted()])
    async with working(line.dsn, {"probe": stage}):
        await asyncio.wait_for(stage.began.wait(), 60)
        lease_until = (await runs.get(conn, run.run_id)).lease_until
        await line.cut()
        await asyncio.wait_for(stage.cancelled.wait(), 2 * LEASE.total_seconds())
        now = await value(conn, "SELECT now()")
        assert now < (await runs.get(conn, run.run_id)).lease_until
        assert (await runs.get(conn, run.run_id)).lease_until >= lease_until
        async with working(dsn, {"probe": writes()}, name="w2"):
            done = await until_state(conn, run.run_id, "done")
        assert done.worker == "w2"
        await line.mend()
        await asyncio.sleep(0.2)


# several workers


async def test_workers_share(dsn, conn):
    """Two workers on one database both take part, and no run is executed by both."""
    done_by: list[tuple[str, str]] = []

    def stage(name: str):
        async def execute(chore: Work) -> Outcome:
            done_by.append((name, chore.run.run_id))
            await asyncio.sleep(0.03)
            return Outcome({})

        return {"probe": execute}

    idle = asyncio.Event()
    async with working(dsn, stage("w1"), slots=1), working(dsn, stage("w2"), slots=1, name="w2"):
        await asyncio.sleep(0.3)
        await enqueue(conn, [wanted(chunk=c) for c in range(40)])
        await eventually(lambda: value(conn, "SELECT count(*) = 40 FROM stage_runs WHERE state = 'done'"))
    assert not idle.is_set()
    assert len(done_by) == len({run_id for _, run_id in done_by}) == 40
    shares = [sum(name == who for name, _ in done_by) for who in ("w1", "w2")]
    assert min(shares) >= 10


async def test_workers_woken(dsn, conn, monkeypatch):
    """An idle worker begins a new job at once, not at its next look."""
    monkeypatch.setattr(worker, "POLL_SECONDS", 3600.0)
    idle = asyncio.Event()
    async with working(dsn, {"probe": writes()}, on_idle=idle.set):
        await asyncio.wait_for(idle.wait(), 60)
        for chunk in range(5):
            await asyncio.sleep(0.2)
            (run,) = await enqueue(conn, [wanted(chunk=chunk)])
            await until_state(conn, run.run_id, "done", seconds=60)


# periodic tasks


async def test_periodic_one_at_a_time(dsn, conn):
    """Two workers run a task at its interval, one of them at a time."""
    now = most = 0
    began: list[float] = []

    async def task(inner: Connection) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        began.append(monotonic())
        await asyncio.sleep(0.2)
        now -= 1

    periodic = {"tidy": (timedelta(seconds=0.4), task)}
    async with working(dsn, {}, periodic=periodic), working(dsn, {}, name="w2", periodic=periodic):
        await asyncio.sleep(2.5)
    assert most == 1
    assert 4 <= len(began) <= 7
    assert min(b - a for a, b in pairwise(began)) > 0.3


async def test_periodic_remembers(dsn, conn):
    """When a task last ran outlives the workers."""
    count = 0

    async def task(inner: Connection) -> None:
        nonlocal count
        count += 1

    for name in ("w1", "w2", "w3"):
        looks: list[float] = []

        async def look(inner: Connection, seen: list[float] = looks) -> None:
            seen.append(monotonic())

        periodic = {"daily": (timedelta(days=1), task), f"look of {name}": (timedelta(seconds=0.1), look)}
        async with working(dsn, {}, name=name, periodic=periodic):
            await eventually(lambda seen=looks: looked_twice(seen))
    assert count == 1
    row = await (
        await conn.execute(
            "SELECT last_error, last_ended_at >= last_started_at FROM periodic_tasks WHERE name = 'daily'"
        )
    ).fetchone()
    assert row == (None, True)


async def looked_twice(seen: list[float]) -> bool:
    """Return whether a worker has had time to begin all that it does again and again."""
    return len(seen) >= 2


async def test_periodic_failure(dsn, conn):
    """A task that fails is tried again at its interval; the worker and its jobs do not mind."""
    count = 0

    async def task(inner: Connection) -> None:
        nonlocal count
        count += 1
        raise KeyError("hunter2")

    async with working(dsn, {"probe": writes()}, periodic={"bad": (timedelta(seconds=0.2), task)}):
        await asyncio.sleep(0.8)
        (run,) = await enqueue(conn, [wanted()])
        await until_state(conn, run.run_id, "done")
    assert count >= 2
    assert await value(conn, "SELECT last_error FROM periodic_tasks WHERE name = 'bad'") == "KeyError"
