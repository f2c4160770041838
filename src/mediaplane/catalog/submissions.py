"""Submissions: uploads made for a task, and every step that they take.

Which steps there are, and that each has its cause, the database itself sees to (migration `0009_review`): here is what
begins a submission and what reads it. Deciding is in `reviews.py`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from mediaplane.catalog.direct_uploads import DirectUpload
from mediaplane.catalog.tasks import Task
from mediaplane.errors import SubmissionClosed, SubmissionNotFound
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("submissions")

STATES = ("open", "uploaded", "processing", "in_review", "approved", "rejected", "needs_changes")
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Submission:
    """One row of `submissions`; `owner` is the contributor, `holder` the validator who has it on the desk."""

    submission_id: str
    task_id: str
    owner: str
    team: str
    task_owner: str
    state: str
    round: int
    tiers: int
    tier: int
    asset_id: str | None
    reason_codes: list[str]
    note: str
    holder: str | None
    lease_until: datetime | None
    waiting_since: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a submission; `tier` where it was in review, `role` None where no person but a worker took it."""

    step_id: int
    at: datetime
    from_state: str | None
    to_state: str
    round: int
    tier: int | None
    subject: str
    role: str | None
    reason_codes: list[str]
    note: str


@dataclass(frozen=True, slots=True)
class Approved:
    """An approved submission with its original, as datasets take it."""

    submission_id: str
    task_id: str
    owner: str
    team: str
    task_owner: str
    round: int
    approved_at: datetime
    asset_id: str
    title: str
    kind: str
    digest: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    store: str
    key: str
    size_bytes: int
    etag: str | None
    content_type: str


async def open_for(conn: Connection, task: Task, *, owner: str, asset_id: str) -> Submission:
    """Begin a submission for the task with this asset, whose bytes may still have to come."""
    values = {"submission_id": new_id(), "task_id": task.task_id, "owner": owner, "team": task.team}
    more = {"task_owner": task.owner, "tiers": task.review_tiers, "asset_id": asset_id}
    return (await _all(conn, "open", {**values, **more}))[0]


async def open_again(conn: Connection, submission_id: str, task: Task, *, asset_id: str) -> Submission:
    """Begin the next round of a submission with other media.

    Raises:
        SubmissionClosed: it does not need changes any more.
    """
    values = {"submission_id": submission_id, "asset_id": asset_id, "tiers": task.review_tiers}
    rows = await _all(conn, "open_again", values)
    if not rows:
        raise SubmissionClosed("the submission takes no other upload now")
    return rows[0]


async def link_upload(conn: Connection, upload_id: str, submission_id: str) -> DirectUpload:
    """Say for which submission the upload is: it follows it from now on."""
    async with conn.cursor(row_factory=class_row(DirectUpload)) as cursor:
        values = {"upload_id": upload_id, "submission_id": submission_id}
        found = await (await cursor.execute(SQL["link_upload"], values)).fetchone()
    assert found is not None
    return found


async def follow_asset(conn: Connection, asset_id: str) -> None:
    """Take the submissions of an asset that was there before as far as it has come."""
    await conn.execute(SQL["follow_asset"], {"asset_id": asset_id})


async def has_bytes(conn: Connection, task_id: str, asset_id: str, *, but: str | None) -> bool:
    """Return whether the asset was sent in for the task before, in another submission than `but`."""
    values = {"task_id": task_id, "asset_id": asset_id, "submission_id": but}
    row = await (await conn.execute(SQL["has_bytes"], values)).fetchone()
    return bool(row and row[0])


async def get(conn: Connection, submission_id: str, *, owner: str | None, team: str | None) -> Submission:
    """Return the submission; None for owner or team: anybody's. Who asked for it has it once it is approved.

    Raises:
        SubmissionNotFound: there is none, or it is not to be seen.
    """
    return await _one(conn, "get", {"submission_id": submission_id, "owner": owner, "team": team})


async def lock(conn: Connection, submission_id: str, *, owner: str | None, team: str | None) -> Submission:
    """Return the submission, locked until the caller's transaction ends.

    Raises:
        SubmissionNotFound: there is none, or it is another owner's, or team's.
    """
    return await _one(conn, "lock", {"submission_id": submission_id, "owner": owner, "team": team})


async def page(
    conn: Connection,
    *,
    owner: str | None,
    team: str | None,
    task_id: str | None = None,
    state: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[Submission]:
    """Return submissions, newest first, behind the place `after` (created_at, submission_id)."""
    before, before_id = after or (None, None)
    whose = {"owner": owner, "team": team, "task_id": task_id, "state": state}
    return await _all(conn, "page", {**whose, "before": before, "before_id": before_id, "limit": limit})


async def steps(conn: Connection, submission_id: str) -> list[Step]:
    """Return what became of the submission, oldest first."""
    async with conn.cursor(row_factory=class_row(Step)) as cursor:
        return await (await cursor.execute(SQL["steps"], {"submission_id": submission_id})).fetchall()


async def task_of(conn: Connection, submission_id: str) -> Task | None:
    """Return the task that the submission is for, None where there is no submission."""
    async with conn.cursor(row_factory=class_row(Task)) as cursor:
        return await (await cursor.execute(SQL["task_of"], {"submission_id": submission_id})).fetchone()


async def approved(
    conn: Connection, *, task_id: str | None = None, task_owner: str | None = None, team: str | None = None
) -> AsyncIterator[Approved]:
    """Give what datasets may take, by id and in constant memory: approved, with media that is there and whole."""
    values = {"task_id": task_id, "task_owner": task_owner, "team": team, "limit": BATCH}
    after = ""
    while True:
        async with conn.cursor(row_factory=class_row(Approved)) as cursor:
            rows = await (await cursor.execute(SQL["approved"], {**values, "after": after})).fetchall()
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        after = rows[-1].submission_id


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> Submission:
    rows = await _all(conn, name, values)
    if not rows:
        raise SubmissionNotFound(str(values["submission_id"]))
    return rows[0]


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Submission]:
    async with conn.cursor(row_factory=class_row(Submission)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
