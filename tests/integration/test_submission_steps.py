"""The steps of a submission in PostgreSQL itself: whatever statement is typed, no step is taken that is none."""

import itertools
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediaplane.catalog import submissions
from mediaplane.catalog.submissions import STATES
from mediaplane.postgres import Connection, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Every step that an UPDATE may take by itself; approval and rejection need their decisions besides.
FREE = {
    ("open", "uploaded"),
    ("uploaded", "processing"),
    ("processing", "in_review"),
    ("in_review", "needs_changes"),
    ("open", "needs_changes"),
    ("uploaded", "needs_changes"),
    ("processing", "needs_changes"),
}
DECIDED = {("in_review", "approved"): "approve", ("in_review", "rejected"): "reject"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def conn(module_dsn) -> AsyncIterator[Connection]:
    connection = await connect(module_dsn)
    await connection.execute(
        "INSERT INTO tasks (task_id, owner, team, title, types) VALUES ('t', 'c', 'x', '', '{*/*}')"
    )
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def undone(conn) -> AsyncIterator[Connection]:
    """The connection in a transaction that leaves nothing behind."""
    async with conn.transaction(force_rollback=True):
        yield conn


async def put_at(conn: Connection, state: str, *, tiers: int = 1) -> None:
    """Have a submission in this state, without the steps to it: as a mistake of ours would leave it."""
    asset = "'a'" if state not in ("approved", "rejected", "needs_changes") else "NULL"
    await conn.execute("SET LOCAL session_replication_role = replica")  # no trigger looks
    await conn.execute(
        "INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, state, asset_id, "
        "waiting_since) "
        f"VALUES ('s', 't', 'o', 'x', 'c', {tiers}, %s, {asset}, CASE WHEN %s = 'in_review' THEN now() END)",
        [state, state],
    )
    await conn.execute("SET LOCAL session_replication_role = origin")


async def attempt(conn: Connection, statement: str, *values: object) -> str | None:
    """Run the statement; return why it was refused."""
    try:
        async with conn.transaction():
            await conn.execute(statement, values)
    except (psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege) as error:
        return str(error)
    return None


async def hold(conn: Connection, name: str = "v") -> None:
    await conn.execute("UPDATE submissions SET holder = %s, lease_until = now() + interval '1 hour'", [name])


DECIDE = (
    "INSERT INTO review_decisions (submission_id, owner, team, round, tier, verdict, reason_codes, validator, subject) "
    "VALUES ('s', 'o', 'x', 1, %s, %s, %s, %s, 'psql')"
)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATES, STATES)))
async def test_every_pair_of_states(undone, before, after):
    """An UPDATE of the state goes through for the steps that there are, and for no other pair."""
    await put_at(undone, before)
    rounds = int((before, after) == ("needs_changes", "open"))
    statement = "UPDATE submissions SET state = %s, round = round + %s, asset_id = 'a' WHERE submission_id = 's'"
    if after not in ("open", "uploaded") or before == "open":
        statement = "UPDATE submissions SET state = %s, round = round + %s WHERE submission_id = 's'"
    problem = await attempt(undone, statement, after, rounds)
    allowed = (before, after) in FREE or before == after or rounds == 1
    assert (problem is None) == allowed, problem


@pytest.mark.parametrize("state", [state for state in STATES if state != "open"])
async def test_beginning(undone, state):
    """A submission begins open, and nowhere else."""
    insert = (
        "INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, state, asset_id, "
        "waiting_since) "
        "VALUES ('s', 't', 'o', 'x', 'c', 1, %s, 'a', CASE WHEN %s = 'in_review' THEN now() END)"
    )
    assert "begins open" in str(await attempt(undone, insert, state, state))


@pytest.mark.parametrize(("step", "verdict"), list(DECIDED.items()))
async def test_decided_steps(undone, step, verdict):
    """A decision of who holds the submission takes it there; that of anybody else, or for another tier, does not."""
    await put_at(undone, "in_review")
    assert await attempt(undone, DECIDE, 1, verdict, ["other"], "v")
    await hold(undone)
    assert await attempt(undone, DECIDE, 1, verdict, ["other"], "w")
    assert await attempt(undone, DECIDE, 2, verdict, ["other"], "v")
    assert await attempt(undone, DECIDE, 1, verdict, ["other"], "v") is None
    found = await submissions.get(undone, "s", owner=None, team=None)
    assert (found.state, found.holder) == (step[1], None)
    assert await attempt(undone, DECIDE, 1, verdict, ["other"], "v"), "and once"


async def test_expired_lease_decides_nothing(undone):
    """The database looks at the clock itself."""
    await put_at(undone, "in_review")
    await undone.execute("UPDATE submissions SET holder = 'v', lease_until = clock_timestamp() - interval '1 ms'")
    assert "on the desk" in str(await attempt(undone, DECIDE, 1, "approve", [], "v"))


async def test_no_tier_is_left_out(undone):
    """With three tiers three approve, in order; nothing else makes it approved."""
    await put_at(undone, "in_review", tiers=3)
    assert await attempt(undone, "UPDATE submissions SET tier = 2")
    for tier in (1, 2, 3):
        assert await attempt(undone, "UPDATE submissions SET state = 'approved'")
        await hold(undone, f"v{tier}")
        assert await attempt(undone, DECIDE, tier, "approve", [], f"v{tier}") is None
    assert (await submissions.get(undone, "s", owner=None, team=None)).state == "approved"


async def test_desk_is_not_taken_over(undone):
    """While a lease lasts no statement puts another name there; when it has ended one may."""
    await put_at(undone, "in_review")
    await hold(undone)
    assert "another validator" in str(await attempt(undone, "UPDATE submissions SET holder = 'w'"))
    await undone.execute("UPDATE submissions SET lease_until = clock_timestamp() - interval '1 ms'")
    assert await attempt(undone, "UPDATE submissions SET holder = 'w'") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE submissions SET owner = 'else'",
        "UPDATE submissions SET round = 2",
        "UPDATE submissions SET asset_id = 'other'",
        "UPDATE submissions SET task_owner = 'else'",
        "UPDATE submission_steps SET subject = 'nobody'",
        "DELETE FROM submission_steps",
        "UPDATE review_decisions SET verdict = 'reject'",
        "DELETE FROM review_decisions",
        "TRUNCATE submission_steps",
        "TRUNCATE submissions CASCADE",
    ],
)
async def test_what_is_written_stays(undone, statement):
    """Whose a submission is, its history and its decisions are changed by no statement."""
    await put_at(undone, "in_review", tiers=2)
    await hold(undone)
    assert await attempt(undone, DECIDE, 1, "approve", [], "v") is None
    assert await attempt(undone, statement)


async def test_history_goes_with_its_submission(undone):
    """A submission that is deleted takes its history along; the task stays as long as anything was sent in for it."""
    await put_at(undone, "in_review")
    await undone.execute("UPDATE submissions SET state = 'needs_changes', asset_id = NULL")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with undone.transaction():
            await undone.execute("DELETE FROM tasks")
    assert len(await submissions.steps(undone, "s")) == 1
    await undone.execute("DELETE FROM submissions")
    assert await submissions.steps(undone, "s") == []


VERDICTS = {"approved": "approve", "rejected": "reject"}
MOVES = st.lists(st.tuples(st.sampled_from(STATES), st.booleans()), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_whatever_is_tried_in_a_row(conn, moves):
    """However statements follow each other, the history is a walk along steps that there are, and ends where it is."""
    async with conn.transaction(force_rollback=True):
        await conn.execute(
            "INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, asset_id) "
            "VALUES ('s', 't', 'o', 'x', 'c', 1, 'a')"
        )
        for target, decides in moves:
            if decides and target in ("approved", "rejected"):
                await attempt(conn, "UPDATE submissions SET holder = 'v', lease_until = now() + interval '1 hour'")
                await attempt(conn, DECIDE, 1, VERDICTS[target], ["other"], "v")
            else:
                await attempt(
                    conn, "UPDATE submissions SET state = %s, round = round + (%s = 'open')::int", target, target
                )
        steps = await submissions.steps(conn, "s")
        walk = [step.to_state for step in steps]
        assert walk[0] == "open" and walk[-1] == (await submissions.get(conn, "s", owner=None, team=None)).state
        legal = FREE | set(DECIDED) | {("needs_changes", "open")}
        assert set(itertools.pairwise(walk)) <= legal
