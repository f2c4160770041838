"""Jobs on a real PostgreSQL: enqueue, order, finish, failures, messages lost and repeated."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest

from mediaplane.catalog import runs
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import LeaseLost, MediaUnreadable, ObjectNotFound, RunCancelled, ToolFailed
from mediaplane.jobs import ending
from mediaplane.jobs.queue import NAMES, enqueue, post, queries
from mediaplane.jobs.sweeper import Sweeper
from mediaplane.jobs.worker import Outcome, Work
from mediaplane.postgres import Connection, connect
from tests.services.jobs import (
    SOON,
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


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    yield from job_database(postgres_server, migrated_template)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    """One database for this file, emptied before each test."""
    return emptied(shared_dsn)


# the queue's tables


async def test_queue_schema_declared(conn):
    """The migration made exactly what the installed PgQueuer declares; otherwise its upgrade statements show up."""
    assert (await queries(conn).plan_upgrade()).statements == ()


async def test_queue_names_foreign_environment(conn, monkeypatch):
    """Variables of the environment that PgQueuer would read do not rename its tables in this process."""
    for variable in ("PGQUEUER_PREFIX", "QUEUE_TABLE", "FUNCTION", "PGQUEUER_CHANNEL", "PGQUEUER_SCHEMA"):
        monkeypatch.setenv(variable, "elsewhere")
    assert (NAMES.qualified.queue_table, NAMES.channel) == ("mediaplane.pgqueuer", "mediaplane_jobs")
    await enqueue(conn, [wanted()])
    assert await value(conn, "SELECT count(*) FROM mediaplane.pgqueuer") == 1


async def test_queue_everything_in_our_schema(conn):
    """No table, type, function or trigger of ours or the queue's stands outside our schema."""
    outside = """SELECT count(*) FROM (
        SELECT relnamespace AS place FROM pg_class UNION ALL SELECT typnamespace FROM pg_type
        UNION ALL SELECT pronamespace FROM pg_proc) AS things JOIN pg_namespace ON pg_namespace.oid = place
        WHERE nspname NOT IN ('mediaplane', 'pg_catalog', 'information_schema', 'pg_toast')"""
    assert await value(conn, outside) == 0


# enqueue


async def test_enqueue_rolled_back(conn):
    """A run and its message come and go with the caller's transaction."""
    with contextlib.suppress(ZeroDivisionError):
        async with conn.transaction():
            await enqueue(conn, [wanted()])
            assert await value(conn, "SELECT count(*) FROM pgqueuer") == 1
            raise ZeroDivisionError
    assert await value(conn, "SELECT count(*) FROM stage_runs") == 0
    assert await value(conn, "SELECT count(*) FROM pgqueuer") == 0


async def test_enqueue_active_run_left_alone(conn):
    """While a run is queued or running, asking for it again gives the same one, whatever the inputs."""
    (first,) = await enqueue(conn, [wanted()])
    (again,) = await enqueue(conn, [wanted(digest="other")])
    running = await claim(conn, first)
    (once_more,) = await enqueue(conn, [wanted()])
    assert first.run_id == again.run_id == once_more.run_id
    assert once_more.token == running.token
    assert await value(conn, "SELECT count(*) FROM pgqueuer") == 1


async def test_enqueue_done_with_same_inputs_reused(conn):
    """A run that is done with the same inputs stands for the one asked for; with other inputs it is run anew."""
    (first,) = await enqueue(conn, [wanted()])
    await ending.finish(conn, await claim(conn, first), Outcome({"x": 1}), nothing)
    (same,) = await enqueue(conn, [wanted()])
    assert (same.run_id, same.state, same.outputs) == (first.run_id, "done", {"x": 1})
    (other,) = await enqueue(conn, [wanted(digest="other")])
    assert (other.run_id != first.run_id, other.state) == (True, "queued")


async def test_enqueue_failed_or_cancelled_runs_anew(conn):
    """What failed or was cancelled is run again when it is asked for again."""
    (first,) = await enqueue(conn, [wanted()])
    await ending.give_up(conn, await claim(conn, first), MediaUnreadable("no decoder"), nothing)
    (second,) = await enqueue(conn, [wanted()])
    assert await runs.cancel(conn, "a") == 1
    (third,) = await enqueue(conn, [wanted()])
    assert len({first.run_id, second.run_id, third.run_id}) == 3
    assert third.state == "queued"


async def test_enqueue_answers_in_order(conn):
    """Each asked run gets its own answer, in the order asked; the same one twice gets one run."""
    await add_asset(conn, "b")
    asked = [
        wanted(chunk=2),
        wanted("b", chunk=1),
        wanted(),
        wanted(chunk=2),
        wanted(subject="clip-1", params={"p": 1}),
    ]
    got = await enqueue(conn, asked)
    assert [(run.asset_id, run.chunk, run.subject) for run in got] == [(n.asset_id, n.chunk, n.subject) for n in asked]
    assert got[0].run_id == got[3].run_id
    assert got[4].params == {"p": 1}
    assert await value(conn, "SELECT count(*) FROM pgqueuer") == 4


async def test_enqueue_at_once_from_many(dsn, conn):
    """Of many who ask for the same run at the same time, one adds it and all get it."""
    conns = [await connect(dsn) for _ in range(6)]
    got = await asyncio.gather(*(enqueue(one, [wanted(chunk=c) for c in range(20)]) for one in conns))
    assert len({tuple(run.run_id for run in one) for one in got}) == 1
    assert await value(conn, "SELECT count(*) FROM stage_runs") == 20
    for one in conns:
        await one.close()


# order and delay


async def test_order_priority_then_age(dsn, conn):
    """Larger priorities go first; equal ones in the order they were queued."""
    order: list[int | None] = []

    async def stage(chore: Work) -> Outcome:
        order.append(chore.run.chunk)
        return Outcome({})

    async with conn.transaction():
        await enqueue(conn, [wanted(chunk=0), wanted(chunk=1)])
        await enqueue(conn, [wanted(chunk=2, priority=5), wanted(chunk=3, priority=-1), wanted(chunk=4, priority=5)])
    idle = asyncio.Event()
    async with working(dsn, {"probe": stage}, slots=1, on_idle=idle.set):
        await asyncio.wait_for(idle.wait(), 60)
    assert order == [2, 4, 0, 1, 3]


async def test_order_all_slots_used(dsn, conn):
    """A worker runs as many at once as it has slots, and never more."""
    now = most = 0

    async def stage(chore: Work) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        return Outcome({})

    await enqueue(conn, [wanted(chunk=c) for c in range(15)])
    idle = asyncio.Event()
    async with working(dsn, {"probe": stage}, slots=3, on_idle=idle.set):
        await asyncio.wait_for(idle.wait(), 60)
    assert most == 3


async def test_delay_respected(dsn, conn):
    """A delayed run begins after its wait, even where a second message comes early."""
    (run,) = await enqueue(conn, [wanted(wait=timedelta(seconds=1.5))])
    await conn.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint, payload) VALUES (0, 'queued', 'probe', %s)",
        [run.run_id.encode()],
    )
    async with working(dsn, {"probe": writes()}):
        done = await until_state(conn, run.run_id, "done")
    assert 1.5 <= (done.started_at - run.created_at).total_seconds() < 4


async def test_unknown_stage_left_for_others(dsn, conn):
    """A worker takes only stages it knows; the others wait for one who does."""
    strange, known = await enqueue(conn, [wanted(stage="strange"), wanted()])
    async with working(dsn, {"probe": writes()}):
        await until_state(conn, known.run_id, "done")
    assert (await runs.get(conn, strange.run_id)).state == "queued"
    async with working(dsn, {"strange": writes()}):
        await until_state(conn, strange.run_id, "done")


# finish


async def test_finish_in_one_transaction(dsn, conn):
    """Effect, state and what follows appear together; `after` sees the run done and may queue the next."""
    seen = []

    async def after(inner: Connection, run: StageRun) -> None:
        await inner.execute("SELECT 1 FROM assets WHERE asset_id = %s FOR UPDATE", [run.asset_id])
        effects = await value(inner, "SELECT count(*) FROM effects")
        seen.append((run.stage, run.state, run.outputs, run.progress, effects))
        if run.stage == "probe":
            await enqueue(inner, [wanted(stage="plan")])

    await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": writes("p"), "plan": writes("q")}, after=after):
        await eventually(lambda: value(conn, "SELECT count(*) = 2 FROM stage_runs WHERE state = 'done'"))
    assert seen == [("probe", "done", {"note": "p"}, 1.0, 1), ("plan", "done", {"note": "q"}, 1.0, 2)]


async def test_finish_after_breaks(dsn, conn):
    """Where planning what follows breaks, nothing of the run is kept, and it is tried again."""
    calls = 0

    async def after(inner: Connection, run: StageRun) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": writes()}, after=after):
        done = await until_state(conn, run.run_id, "done")
    assert (done.attempt, done.error_code) == (2, None)
    assert await value(conn, "SELECT count(*) FROM effects") == 1


async def test_finish_twice_counts_once(conn):
    """Finishing again after a commit whose answer was lost changes nothing and is no error."""
    (run,) = await enqueue(conn, [wanted()])
    held = await claim(conn, run)
    outcome = await writes()(Work(held))
    for _ in range(2):
        async with conn.transaction():
            await ending.finish(conn, held, outcome, nothing)
    assert await value(conn, "SELECT count(*) FROM effects") == 1


async def test_finish_fenced(conn):
    """Who lost the lease cannot finish, fail, retry or release the run that another has now."""
    (run,) = await enqueue(conn, [wanted()])
    old = await claim(conn, run, lease=timedelta(0))
    new = await claim(conn, run)
    assert (old.token != new.token, new.attempt) == (True, 2)
    error = ToolFailed("x")
    for end in (
        ending.finish(conn, old, await writes()(Work(old)), nothing),
        ending.retry(conn, old, error, SOON),
        ending.give_up(conn, old, error, nothing),
        ending.release(conn, old),
    ):
        with pytest.raises(LeaseLost):
            async with conn.transaction():
                await end
    assert await value(conn, "SELECT count(*) FROM effects") == 0
    assert (await runs.get(conn, run.run_id)).token == new.token


async def test_finish_deleted_asset(conn):
    """A run that went with its asset cannot be finished: it counts as cancelled."""
    (run,) = await enqueue(conn, [wanted()])
    held = await claim(conn, run)
    await conn.execute("DELETE FROM assets")
    with pytest.raises(RunCancelled):
        await ending.finish(conn, held, Outcome({}), nothing)


async def test_finish_in_parallel_no_deadlock(dsn, conn):
    """Many runs of one asset end at once, each locking the asset and touching its other runs, without a deadlock."""
    await enqueue(conn, [wanted(stage="chunk", chunk=c) for c in range(60)])
    failures = []

    async def after(inner: Connection, run: StageRun) -> None:
        try:
            await inner.execute("SELECT 1 FROM assets WHERE asset_id = %s FOR UPDATE", [run.asset_id])
            await inner.execute("UPDATE stage_runs SET params = '{}' WHERE asset_id = %s", [run.asset_id])
            if all(one.state == "done" for one in await runs.of_asset(inner, "a")):
                await enqueue(inner, [wanted(stage="assemble")])
        except Exception as error:
            failures.append(error)
            raise

    stages = {"chunk": writes(), "assemble": writes()}
    async with working(dsn, stages, after=after, slots=8), working(dsn, stages, after=after, slots=8, name="w2"):
        await eventually(lambda: value(conn, "SELECT count(*) = 61 FROM stage_runs WHERE state = 'done'"), 20)
    assert failures == []
    assert await value(conn, "SELECT count(*) = 61 AND count(DISTINCT run_id) = 61 FROM effects")


# failures


async def test_failure_retried_then_failed(dsn, conn):
    """An error that may pass is retried after each wait, its text kept to be shown; then the run fails for good."""
    ended, texts = [], []

    async def stage(chore: Work) -> Outcome:
        texts.append(chore.run.error_message)
        raise ToolFailed(f"attempt {chore.run.attempt}")

    async def after(inner: Connection, run: StageRun) -> None:
        ended.append((run.state, run.error_code, run.error_message, run.attempt))

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}, after=after, retry_waits=[SOON, SOON, SOON]):
        await until_state(conn, run.run_id, "failed")
    assert texts == [None, "attempt 1", "attempt 2", "attempt 3"]
    assert ended == [("failed", "tool_failed", "attempt 4", 4)]


async def test_failure_waits_with_jitter(conn):
    """The waits before the retries are those given, give or take a fifth, and there are no more than those."""
    waits = [timedelta(minutes=m) for m in (1, 5, 15)]
    (run,) = await enqueue(conn, [wanted()])
    for wait in waits:
        await conn.execute("DELETE FROM pgqueuer")
        held = await claim(conn, run)
        chosen = {ending.retry_wait(held, ToolFailed("x"), waits) for _ in range(50)}
        assert len(chosen) > 10
        assert all(0.8 * wait <= one <= 1.2 * wait for one in chosen)
        async with conn.transaction():
            await ending.retry(conn, held, ToolFailed("x"), wait)
        queued = await runs.get(conn, run.run_id)
        assert (queued.state, queued.token, queued.error_code) == ("queued", None, "tool_failed")
        due = await value(conn, "SELECT execute_after FROM pgqueuer ORDER BY id DESC LIMIT 1")
        assert due == queued.run_after
        await conn.execute("UPDATE stage_runs SET run_after = now()")
    assert ending.retry_wait(await claim(conn, run), ToolFailed("x"), waits) is None


@pytest.mark.parametrize(
    "error", [MediaUnreadable("no decoder"), ObjectNotFound("videos/x"), ToolFailed("x", retryable=False)]
)
async def test_failure_that_cannot_heal(dsn, conn, error):
    """Bad media, a missing object and whatever says so of itself are not retried."""

    async def stage(chore: Work) -> Outcome:
        raise error

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}):
        failed = await until_state(conn, run.run_id, "failed")
    assert (failed.attempt, failed.error_code, failed.error_message) == (1, error.code, error.message)


async def test_failure_unforeseen(dsn, conn):
    """An exception nobody foresaw is retried, the worker lives, and its text, which may hold secrets, is not kept."""

    async def stage(chore: Work) -> Outcome:
        if chore.run.attempt == 1:
            raise KeyError("hunter2")
        return await writes()(chore)

    async def rude(chore: Work) -> Outcome:
        if chore.run.attempt == 1:
            raise asyncio.CancelledError
        return Outcome({})

    run, other = await enqueue(conn, [wanted(), wanted(stage="rude")])
    async with working(dsn, {"probe": stage, "rude": rude}, retry_waits=[timedelta(seconds=1)]):
        queued = await eventually(lambda: _with_error(conn, run))
        await until_state(conn, run.run_id, "done")
        await until_state(conn, other.run_id, "done")
    assert queued.error_code == "unexpected"
    assert "hunter2" not in queued.error_message


async def _with_error(conn: Connection, run: StageRun) -> StageRun | None:
    found = await runs.get(conn, run.run_id)
    return found if found and found.error_code else None


async def test_failure_plan_breaks(dsn, conn):
    """A run ends as failed even where planning what follows its failure breaks."""

    async def stage(chore: Work) -> Outcome:
        raise MediaUnreadable("no decoder")

    async def after(inner: Connection, run: StageRun) -> None:
        raise ZeroDivisionError

    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": stage}, after=after):
        assert (await until_state(conn, run.run_id, "failed")).error_code == "media_unreadable"


# messages lost and repeated


async def test_message_repeated(dsn, conn):
    """A run whose message comes many times, before and after it is done, is executed once."""
    count = 0

    async def stage(chore: Work) -> Outcome:
        nonlocal count
        count += 1
        await asyncio.sleep(0.2)
        return await writes()(chore)

    async def repeat() -> None:
        for _ in range(10):
            await conn.execute(
                "INSERT INTO pgqueuer (priority, status, entrypoint, payload) VALUES (0, 'queued', 'probe', %s)",
                [run.run_id.encode()],
            )

    (run,) = await enqueue(conn, [wanted()])
    await repeat()
    async with working(dsn, {"probe": stage}):
        await until_state(conn, run.run_id, "done")
        await repeat()
        await eventually(lambda: value(conn, "SELECT count(*) = 0 FROM pgqueuer"))
    assert count == 1


async def test_message_of_nothing(dsn, conn):
    """Messages about no run at all are dropped, and work goes on."""
    await conn.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint, payload) VALUES (9, 'queued', 'probe', 'gone'), "
        "(9, 'queued', 'probe', NULL)"
    )
    (run,) = await enqueue(conn, [wanted()])
    async with working(dsn, {"probe": writes()}):
        await until_state(conn, run.run_id, "done")


async def test_message_lost(dsn, conn):
    """A run whose message the queue lost is found by the sweeper."""
    (run,) = await enqueue(conn, [wanted()])
    await conn.execute("DELETE FROM pgqueuer")
    async with working(dsn, {"probe": writes()}):
        await until_state(conn, run.run_id, "done")


async def test_message_one_per_run(conn):
    """Posting a waiting run again adds no second message; a long backlog is not posted by the sweeper."""
    waiting = await enqueue(conn, [wanted(chunk=c) for c in range(5)])
    await post(conn, waiting)
    await conn.execute("UPDATE stage_runs SET run_after = now() - interval '1 hour'")
    assert await runs.forgotten(conn, late=timedelta(seconds=1), limit=100) == []
    assert await value(conn, "SELECT count(*) FROM pgqueuer") == 5


async def test_messages_log_pruned(conn):
    """The queue's old log lines are removed, fresh ones stay."""
    await enqueue(conn, [wanted(), wanted(stage="plan")])
    await conn.execute(
        "UPDATE pgqueuer_log SET created = now() - interval '2 hours' WHERE id = (SELECT min(id) FROM pgqueuer_log)"
    )
    await Sweeper(nothing, most_attempts=4, lost_after=timedelta(seconds=10)).sweep(conn)
    assert await value(conn, "SELECT count(*) FROM pgqueuer_log") == 1
