"""What is sent in for a task: whether the task takes it, and the submission that begins with the upload."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mediaplane.access.principals import Principal, Role
from mediaplane.access.wishes import Wish
from mediaplane.catalog import submissions, tasks
from mediaplane.catalog.direct_uploads import DirectUpload
from mediaplane.catalog.submissions import Submission
from mediaplane.catalog.tasks import Task
from mediaplane.errors import (
    SubmissionClosed,
    SubmissionDuplicate,
    SubmissionNotFound,
    TaskClosed,
    TaskError,
    TaskFull,
    UploadTooLarge,
    UploadTypeRefused,
)
from mediaplane.media.types import is_allowed
from mediaplane.postgres import Connection


@dataclass(frozen=True, slots=True)
class Target:
    """What an upload is for: a task, and the submission that it goes on with, if it does."""

    task: Task
    owner: str
    submission_id: str | None

    async def attach(self, conn: Connection, upload: DirectUpload) -> DirectUpload:
        """Begin the submission (or its next round) with the upload, and return the upload that knows of it."""
        begun = await self._begin(conn, upload.asset_id)
        return await submissions.link_upload(conn, upload.upload_id, begun.submission_id)

    async def submit_known(self, conn: Connection, asset_id: str) -> str:
        """Send in an asset whose bytes are there already; return the submission's id.

        Raises:
            SubmissionDuplicate: it was sent in for the task before.
        """
        if await submissions.has_bytes(conn, self.task.task_id, asset_id, but=self.submission_id):
            raise SubmissionDuplicate("the same bytes were sent in for this task before")
        begun = await self._begin(conn, asset_id)
        await submissions.follow_asset(conn, asset_id)
        return begun.submission_id

    async def _begin(self, conn: Connection, asset_id: str) -> Submission:
        if self.submission_id is None:
            return await submissions.open_for(conn, self.task, owner=self.owner, asset_id=asset_id)
        return await submissions.open_again(conn, self.submission_id, self.task, asset_id=asset_id)


def require_no_task(principal: Principal, wish: Wish, *, needs_task: bool) -> None:
    """Return if an upload that is for no task may be so.

    Raises:
        TaskError: contributors have to name a task, or a submission was named without one.
    """
    if wish.submission or (needs_task and principal.role is Role.CONTRIBUTOR):
        raise TaskError("say in `task` which task the upload is for: GET /v1/tasks lists them")


async def admit(conn: Connection, principal: Principal, wish: Wish) -> Target:
    """Return what an upload for a task is for. To be called in the transaction of its rows.

    Others who send something in for the same task wait until that ends, so that no limit is ever passed.

    Raises:
        TaskNotFound: the principal's team has no such task.
        TaskClosed, TaskFull: the task takes no more.
        UploadTypeRefused, UploadTooLarge: the task does not take this.
        SubmissionNotFound, SubmissionClosed: the submission to go on with is another's, or takes no upload now.
    """
    task = await tasks.get(conn, wish.task, team=None if principal.only_own else principal.team)
    await tasks.lock(conn, task.task_id)
    _check_open(task)
    _check_wish(task, wish)
    if wish.submission:
        await _check_submission(conn, principal, task, wish.submission)
    else:
        await _check_room(conn, principal, task)
    return Target(task, principal.owner, wish.submission or None)


def _check_open(task: Task) -> None:
    if task.state != tasks.OPEN:
        raise TaskClosed("the task is closed: it takes no more submissions")
    if task.deadline is not None and task.deadline <= datetime.now(UTC):
        raise TaskClosed(f"the task took submissions until {task.deadline:%Y-%m-%d %H:%M} UTC")


def _check_wish(task: Task, wish: Wish) -> None:
    if not is_allowed(wish.content_type, task.types):
        taken = ", ".join(task.types)
        raise UploadTypeRefused(f"the task does not take files of type {wish.content_type}, but those of {taken}")
    if task.max_bytes is not None and wish.size_bytes is not None and wish.size_bytes > task.max_bytes:
        raise UploadTooLarge(f"a file of {wish.size_bytes} bytes is too large: the task takes {task.max_bytes}")


async def _check_submission(conn: Connection, principal: Principal, task: Task, submission_id: str) -> None:
    team = None if principal.only_own else principal.team
    found = await submissions.get(conn, submission_id, owner=principal.owner, team=team)
    if found.owner != principal.owner or found.task_id != task.task_id:
        raise SubmissionNotFound(submission_id)
    if found.state != "needs_changes":
        raise SubmissionClosed(f"the submission is {found.state}: it takes another upload only when it needs changes")


async def _check_room(conn: Connection, principal: Principal, task: Task) -> None:
    if task.max_submissions is None and task.max_per_contributor is None:
        return
    count = await tasks.count(conn, task.task_id, principal.owner)
    if task.max_per_contributor is not None and count.own >= task.max_per_contributor:
        raise TaskFull(
            f"you have sent in {count.own} submissions for this task, which takes no more of one contributor"
        )
    if task.max_submissions is not None and count.counted >= task.max_submissions:
        raise TaskFull(f"the task has the {task.max_submissions} submissions that it takes")


async def limits_of(
    conn: Connection, upload: DirectUpload, *, types: tuple[str, ...], largest_bytes: int
) -> tuple[tuple[str, ...], int]:
    """Return which types and how many bytes an upload may turn out to have: the task's own, where it is for one."""
    if upload.submission_id is None:
        return types, largest_bytes
    task = await submissions.task_of(conn, upload.submission_id)
    if task is None:  # the submission is gone, and the upload with it soon
        return types, largest_bytes
    return tuple(task.types), min(largest_bytes, task.max_bytes or largest_bytes)
