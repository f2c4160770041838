"""Reviews: which validator has which submission on the desk, what was decided, and links for those without an account.

A submission is on one desk at most: the validator's name stands in its row, until a time. Who decides inserts a row
into `review_decisions`, and triggers do the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.errors import CheckViolation, UniqueViolation
from psycopg.rows import class_row

from mediaplane.catalog.submissions import Submission
from mediaplane.errors import ReviewLinkNotFound, ReviewNotHeld
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("reviews")

APPROVE, REJECT, NEEDS_CHANGES = "approve", "reject", "needs_changes"
VERDICTS = (APPROVE, REJECT, NEEDS_CHANGES)
REASONS: Mapping[str, str] = {
    "off_topic": "it is not what the task asks for",
    "incomplete": "something that the task asks for is missing",
    "low_quality": "picture or sound is too bad to be used",
    "technical_fault": "it stutters, breaks off, or is out of step",
    "duplicate": "it was sent in before",
    "rights_unclear": "others may have rights to it",
    "personal_data": "it shows people or data that it must not",
    "inappropriate": "nobody should have to see it",
    "other": "the note says what",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What one tier decided in one round; `validator` answers for it, `subject` is who or which link it was."""

    round: int
    tier: int
    verdict: str
    reason_codes: list[str]
    note: str
    validator: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReviewLink:
    """One row of `review_links`."""

    link_id: str
    submission_id: str
    owner: str
    team: str
    validator: str
    may_decide: bool
    round: int
    tier: int
    title: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


async def held(conn: Connection, holder: str, *, team: str | None, task_id: str | None = None) -> list[Submission]:
    """Return what the validator has on the desk now."""
    return await _submissions(conn, "held", {"holder": holder, "team": team, "task_id": task_id})


async def lock_desk(conn: Connection, holder: str) -> None:
    """Make others who put something on this desk wait until the caller's transaction ends."""
    await conn.execute(SQL["lock_desk"], {"holder": holder})


async def is_held(conn: Connection, submission_id: str, holder: str) -> bool:
    """Return whether the submission lies on the validator's desk."""
    row = await (await conn.execute(SQL["is_held"], {"submission_id": submission_id, "holder": holder})).fetchone()
    return bool(row and row[0])


async def take(
    conn: Connection,
    holder: str,
    *,
    tier: int,
    lease: timedelta,
    owner: str | None,
    team: str | None,
    task_id: str | None = None,
    submission_id: str | None = None,
    alone: bool = False,
) -> Submission | None:
    """Put the next submission on the validator's desk and return it, None where nothing waits for this tier.

    Whoever takes at the same moment gets another one. `alone` is for who has nobody else to review.
    """
    place = {"owner": owner, "team": team, "task_id": task_id, "submission_id": submission_id}
    rows = await _submissions(conn, "take", {"holder": holder, "tier": tier, "lease": lease, "alone": alone, **place})
    return rows[0] if rows else None


async def renew(conn: Connection, submission_id: str, holder: str, *, lease: timedelta) -> Submission | None:
    """Keep it on the desk for another lease; None where it is not there."""
    rows = await _submissions(conn, "renew", {"submission_id": submission_id, "holder": holder, "lease": lease})
    return rows[0] if rows else None


async def release(conn: Connection, submission_id: str, holder: str) -> Submission | None:
    """Take it off the desk; None where it is not there."""
    rows = await _submissions(conn, "release", {"submission_id": submission_id, "holder": holder})
    return rows[0] if rows else None


async def decide(
    conn: Connection,
    submission: Submission,
    *,
    verdict: str,
    reason_codes: Sequence[str],
    note: str,
    validator: str,
    subject: str,
) -> None:
    """Decide on the submission, which the caller has locked and the validator on the desk.

    Raises:
        ReviewNotHeld: it is not there (any more), or was decided; the caller's transaction cannot go on.
    """
    place = {"submission_id": submission.submission_id, "owner": submission.owner, "team": submission.team}
    asked = {"round": submission.round, "tier": submission.tier, "validator": validator, "subject": subject}
    decided = {"verdict": verdict, "reason_codes": list(reason_codes), "note": note}
    try:
        await conn.execute(SQL["decide"], {**place, **asked, **decided})
    except (CheckViolation, UniqueViolation) as error:
        raise ReviewNotHeld("the submission is not on your desk any more, or was decided") from error


async def decisions(conn: Connection, submission_id: str) -> list[Decision]:
    """Return what was decided on the submission, oldest first."""
    async with conn.cursor(row_factory=class_row(Decision)) as cursor:
        return await (await cursor.execute(SQL["decisions"], {"submission_id": submission_id})).fetchall()


async def count_waiting(conn: Connection, *, tier: int, owner: str | None, team: str | None) -> int:
    """Return how many submissions wait for a validator of this tier."""
    row = await (await conn.execute(SQL["waiting"], {"tier": tier, "owner": owner, "team": team})).fetchone()
    assert row is not None
    return int(row[0])


async def add_link(
    conn: Connection, submission: Submission, *, validator: str, may_decide: bool, title: str, expires_at: datetime
) -> ReviewLink:
    """Add a link to the submission as it stands now: for this round and this tier."""
    values = {
        "link_id": new_id(),
        "submission_id": submission.submission_id,
        "owner": submission.owner,
        "team": submission.team,
        "validator": validator,
        "may_decide": may_decide,
        "round": submission.round,
        "tier": submission.tier,
        "title": title,
        "expires_at": expires_at,
    }
    return (await _links(conn, "add_link", values))[0]


async def links(conn: Connection, submission_id: str) -> list[ReviewLink]:
    """Return the submission's links, oldest first."""
    return await _links(conn, "links", {"submission_id": submission_id})


async def link(conn: Connection, link_id: str) -> ReviewLink:
    """Return a link.

    Raises:
        ReviewLinkNotFound: there is none.
    """
    return _only(await _links(conn, "link", {"link_id": link_id}), link_id)


async def revoke_link(conn: Connection, submission_id: str, link_id: str, *, lease: timedelta) -> ReviewLink:
    """End a link; a desk that it kept occupied is kept for an ordinary lease from now on.

    Raises:
        ReviewLinkNotFound: the submission has none with the id.
    """
    revoked = _only(await _links(conn, "revoke_link", {"link_id": link_id, "submission_id": submission_id}), link_id)
    if revoked.may_decide:
        values = {"submission_id": submission_id, "holder": revoked.validator, "lease": lease}
        await conn.execute(SQL["shorten_lease"], values)
    return revoked


def _only(rows: list[ReviewLink], link_id: str) -> ReviewLink:
    if not rows:
        raise ReviewLinkNotFound(link_id)
    return rows[0]


async def _links(conn: Connection, name: str, values: Mapping[str, Any]) -> list[ReviewLink]:
    async with conn.cursor(row_factory=class_row(ReviewLink)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()


async def _submissions(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Submission]:
    async with conn.cursor(row_factory=class_row(Submission)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
