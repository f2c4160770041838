"""The queue under fire: 10,000 jobs, workers killed and frozen under load, messages lost and repeated."""

import asyncio
import logging
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic, sleep
from typing import Any

import psycopg
import structlog

from mediaplane.catalog.runs import NewRun, StageRun
from mediaplane.jobs.queue import enqueue
from mediaplane.jobs.worker import Outcome, Work, work
from mediaplane.postgres import Connection, connect

JOBS = 10_000
CHUNKS = 20  # of an asset
WORKERS = 3
SLOTS = 16
LEASE = timedelta(seconds=2)
QUIET_SECONDS = 3.0  # without progress for this long, the next attack comes all the same
DEADLINE_SECONDS = 600  # about fifteen times what a quiet machine with two cores needs

_SPAWN = multiprocessing.get_context("forkserver")  # a new worker costs a fork, not a new interpreter


# what the workers do


async def _stage(chore: Work) -> Outcome:
    async def commit(conn: Connection) -> None:
        await conn.execute("INSERT INTO effects VALUES (%s, %s)", [chore.run.run_id, chore.run.attempt])

    if random.random() < 0.02:  # some are at work when they are killed or frozen, not only between two statements
        await asyncio.sleep(random.uniform(0, 1))
    return Outcome({"attempt": chore.run.attempt}, commit)


async def _after(conn: Connection, run: StageRun) -> None:
    await conn.execute("UPDATE assets SET width = coalesce(width, 0) + 1 WHERE asset_id = %s", [run.asset_id])


def _run_worker(dsn: str, name: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(_work(dsn, name))


async def _work(dsn: str, name: str) -> None:
    await work(
        dsn,
        stages={"noop": _stage},
        after=_after,
        slots=SLOTS,
        lease=LEASE,
        retry_waits=[timedelta(0)] * 1000,  # however often it is killed, a run here is never given up
        worker_name=name,
        stop=asyncio.Event(),
        lost_after=timedelta(seconds=1),
    )


# what is done to them


class Fleet:
    """The worker processes, and who is frozen until when."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._started = 0
        self._workers = [self._start() for _ in range(WORKERS)]
        self._frozen: dict[Any, float] = {}
        self.killed = self.thawed = 0

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL a worker, whatever it is at, and start another in its place."""
        victim = chance.choice(self._workers)
        self._frozen.pop(victim, None)
        victim.kill()
        victim.join()
        self._workers[self._workers.index(victim)] = self._start()
        self.killed += 1

    def freeze_one(self, chance: random.Random) -> None:
        """SIGSTOP a worker for longer than its lease: it wakes up believing that its runs are still its own."""
        if len(self._frozen) < WORKERS - 1:
            victim = chance.choice([worker for worker in self._workers if worker not in self._frozen])
            os.kill(victim.pid, signal.SIGSTOP)
            self._frozen[victim] = monotonic() + LEASE.total_seconds() + 1

    def thaw(self) -> None:
        """Let those go on whose time is over."""
        for worker in [one for one, until in self._frozen.items() if monotonic() > until]:
            del self._frozen[worker]
            os.kill(worker.pid, signal.SIGCONT)
            self.thawed += 1

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join()

    def _start(self) -> Any:
        self._started += 1
        worker = _SPAWN.Process(target=_run_worker, args=(self._dsn, f"w{self._started}"), daemon=True)
        worker.start()
        return worker


@contextmanager
def _fleet(dsn: str) -> Iterator[Fleet]:
    fleet = Fleet(dsn)
    try:
        yield fleet
    finally:
        fleet.end()


def _lose_messages(conn: psycopg.Connection) -> int:
    return conn.execute(
        "DELETE FROM pgqueuer WHERE id IN (SELECT id FROM pgqueuer ORDER BY random() LIMIT 40 FOR UPDATE SKIP LOCKED)"
    ).rowcount


def _repeat_messages(conn: psycopg.Connection) -> int:
    return conn.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint, payload) "
        "SELECT 1, 'queued', 'noop', convert_to(run_id, 'UTF8') FROM stage_runs ORDER BY random() LIMIT 40"
    ).rowcount


async def _enqueue_all(dsn: str) -> None:
    conn = await connect(dsn)
    await conn.execute("CREATE TABLE effects (run_id text, attempt integer)")  # nothing in it forbids a second row
    await conn.execute(
        "INSERT INTO assets (asset_id, owner, team, status) SELECT 'a' || n, 'o', 't', 'processing' "
        "FROM generate_series(0, %s) n",
        [JOBS // CHUNKS - 1],
    )
    for first in range(0, JOBS // CHUNKS, 50):
        assets = [f"a{n}" for n in range(first, first + 50)]
        await enqueue(conn, [NewRun(a, "o", "t", "noop", "d", chunk=c) for a in assets for c in range(CHUNKS)])
    await conn.close()


def _counts(conn: psycopg.Connection) -> dict[str, int]:
    queries = {
        "done": "SELECT count(*) FROM stage_runs WHERE state = 'done'",
        "effects": "SELECT count(*) FROM effects",
        "effects_distinct": "SELECT count(DISTINCT run_id) FROM effects",
        "planned": "SELECT sum(width) FROM assets",
        "attempts": "SELECT sum(attempt) FROM stage_runs",
        "messages": "SELECT count(*) FROM pgqueuer",
    }
    return {name: conn.execute(query).fetchone()[0] for name, query in queries.items()}


def test_queue_under_fire(dsn):
    """Whatever is killed, frozen, lost or repeated: each job has its effect once, and none is missing."""
    seed = int(os.environ.get("MEDIAPLANE_TEST_SEED") or random.randrange(1 << 32))
    print(f"MEDIAPLANE_TEST_SEED={seed}")
    chance = random.Random(seed)
    _SPAWN.set_forkserver_preload(["__main__", __name__])  # imported once, not by each worker
    asyncio.run(_enqueue_all(dsn))
    began_at = attacked_at = monotonic()
    done = target = lost = repeated = 0
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=mediaplane") as conn, _fleet(dsn) as fleet:
        while done < JOBS:
            assert monotonic() - began_at < DEADLINE_SECONDS, f"seed {seed}: {_counts(conn)}"
            sleep(0.05)
            fleet.thaw()
            done = conn.execute("SELECT count(*) FROM stage_runs WHERE state = 'done'").fetchone()[0]
            # Attacks follow the work done, so that they meet workers under load on a slow machine as well.
            if done >= target or monotonic() - attacked_at > QUIET_SECONDS:
                attacked_at, target = monotonic(), done + chance.randrange(100, 400)
                chance.choices([fleet.kill_one, fleet.freeze_one], [3, 1])[0](chance)
                lost += _lose_messages(conn)
                repeated += _repeat_messages(conn)
        seconds = monotonic() - began_at
        counts = _counts(conn)
    print(
        {
            "seconds": round(seconds, 1),
            "killed": fleet.killed,
            "thawed": fleet.thawed,
            "lost": lost,
            "repeated": repeated,
            **counts,
        }
    )
    assert (counts["done"], counts["effects"], counts["effects_distinct"], counts["planned"]) == (JOBS,) * 4, seed
    assert fleet.killed >= 10
    assert lost >= 100
    assert counts["attempts"] > JOBS, "nothing was ever interrupted: the test proves nothing"
