"""Submissions: what was sent in for tasks and what became of it. They begin with an upload (`POST /v1/uploads`)."""

from typing import Annotated

from fastapi import APIRouter, Query

from mediaplane.access.rules import Action, Reach, reach
from mediaplane.catalog import submissions
from mediaplane.catalog.submissions import Step, Submission
from mediaplane.gateway.context import Id
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.review_views import (
    By,
    StepView,
    SubmissionDetail,
    SubmissionsPage,
    SubmissionState,
    SubmissionView,
)
from mediaplane.gateway.who import May, Permit

router = APIRouter(prefix="/v1/submissions", tags=["submissions"])

TaskId = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="only those for this task")]


@router.get("")
async def list_submissions(
    permit: May.read,
    task_id: TaskId = None,
    state: SubmissionState | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> SubmissionsPage:
    """Return submissions, newest first: one's own, the team's, or those approved that one asked for; by role."""
    after, whose = read_asset_page(page), permit.viewer
    async with permit.rows() as conn:
        rows = await submissions.page(
            conn, owner=whose.owner, team=whose.team, task_id=task_id, state=state, after=after, limit=limit + 1
        )
    last = rows[limit - 1] if len(rows) > limit else None
    return SubmissionsPage(
        submissions=[_view(permit, row) for row in rows[:limit]],
        next=write_page(last.created_at.isoformat(), last.submission_id) if last else None,
    )


@router.get("/{submission_id}")
async def show_submission(permit: May.read, submission_id: Id) -> SubmissionDetail:
    """Return one submission with its history."""
    async with permit.rows() as conn:
        found = await submissions.get(conn, submission_id, owner=permit.viewer.owner, team=permit.viewer.team)
        steps = await submissions.steps(conn, submission_id)
    told = [_step(permit, step) for step in steps if _is_told(permit, found, step)]
    return SubmissionDetail(**_view(permit, found).model_dump(), steps=told)


def _view(permit: Permit, row: Submission) -> SubmissionView:
    view = SubmissionView.model_validate(row)
    if _manages(permit) or row.owner == permit.principal.owner:
        view.contributor = row.owner
    elif not _sees_team(permit):  # who asked for it: what was said to the contributor is not for them
        view.reason_codes, view.note = [], ""
    return view


def _is_told(permit: Permit, row: Submission, step: Step) -> bool:
    if _sees_team(permit):
        return True
    if row.owner != permit.principal.owner:
        return step.to_state == "approved"
    return step.from_state != step.to_state  # how far it has come inside of a review is the validators' business


def _step(permit: Permit, step: Step) -> StepView:
    view = StepView(
        at=step.at,
        from_state=step.from_state,
        to_state=step.to_state,
        round=step.round,
        by=_by(step),
        reason_codes=step.reason_codes,
        note=step.note,
    )
    if _manages(permit):
        view.subject = step.subject
    return view


def _by(step: Step) -> By:
    if step.subject.startswith("link:"):
        return "link"
    return step.role if step.role is not None else "system"  # type: ignore[return-value]  # a role is one of By


def _sees_team(permit: Permit) -> bool:
    return reach(permit.principal, Action.READ) >= Reach.TEAM


def _manages(permit: Permit) -> bool:
    """Return whether names are told: to who sees the team's things and does not review them blind."""
    return _sees_team(permit) and reach(permit.principal, Action.TASKS) is not Reach.NONE
