"""Tasks: what contributors are asked to send in. Everybody in a team sees its tasks."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from mediaplane.catalog import tasks
from mediaplane.catalog.tasks import Task
from mediaplane.gateway.context import Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_asset_page, write_page
from mediaplane.gateway.review_views import TaskChange, TaskDetail, TaskRequest, TasksPage, TaskState, TaskView
from mediaplane.gateway.who import May, Permit
from mediaplane.postgres import Connection

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])


@router.post("", status_code=201, response_model=TaskDetail)
async def add_task(permit: May.tasks, wanted: TaskRequest, once: JustOnce) -> Response:
    """Make a task for the contributors of one's own team."""
    who = permit.principal
    values = wanted.model_dump()
    values["review_tiers"] = wanted.review_tiers or permit.here.plane.settings.review_tiers

    async def add() -> tuple[int, TaskDetail]:
        async with permit.rows() as conn:
            made = await tasks.add(conn, owner=who.owner, team=who.team, **values)
            return 201, await _detail(conn, permit, made)

    return await once.answer(add)


@router.get("")
async def list_tasks(
    permit: May.read,
    state: TaskState | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> TasksPage:
    """Return the team's tasks, newest first."""
    after = read_asset_page(page)
    async with permit.rows() as conn:
        rows = await tasks.page(conn, team=permit.viewer.team, state=state, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return TasksPage(
        tasks=[TaskView.model_validate(row) for row in rows[:limit]],
        next=write_page(last.created_at.isoformat(), last.task_id) if last else None,
    )


@router.get("/{task_id}")
async def show_task(permit: May.read, task_id: Id) -> TaskDetail:
    """Return one task of the team."""
    async with permit.rows() as conn:
        return await _detail(conn, permit, await tasks.get(conn, task_id, team=permit.viewer.team))


@router.patch("/{task_id}")
async def change_task(permit: May.tasks, task_id: Id, wanted: TaskChange) -> TaskDetail:
    """Change a task, close it or open it again; what was sent in before goes on."""
    whose = permit.viewer
    async with permit.rows() as conn:
        changed = await tasks.change(conn, task_id, wanted.changes(), owner=whose.owner, team=whose.team)
        return await _detail(conn, permit, changed)


async def _detail(conn: Connection, permit: Permit, task: Task) -> TaskDetail:
    count = await tasks.count(conn, task.task_id, permit.principal.owner)
    view = TaskView.model_validate(task).model_dump()
    return TaskDetail(**view, submissions=count.counted, own_submissions=count.own)
