"""Plans and usage: what one uses of what one may use; for operators, what others do and who has which plan."""

from typing import Annotated

from fastapi import APIRouter, Query

from mediaplane.access.quotas import find_account, give_plan, report
from mediaplane.access.rules import Action, viewer
from mediaplane.catalog import plan_holders
from mediaplane.catalog.usage import Account
from mediaplane.errors import NotPermitted
from mediaplane.gateway.context import Here
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_holder_page, write_page
from mediaplane.gateway.usage_views import (
    OPTIONAL_NAME,
    HolderRequest,
    HoldersPage,
    HolderView,
    PlansView,
    UsageView,
    plan_view,
    usage_view,
)
from mediaplane.gateway.who import May

router = APIRouter(prefix="/v1", tags=["usage"])

Name = Annotated[str, Query(pattern=OPTIONAL_NAME)]


@router.get("/usage")
async def show_usage(here: Here, permit: May.read, owner: Name = "", team: Name = "") -> UsageView:
    """Return the caller's usage and limits.

    An operator may name another `owner`, and the `team` where there are several. Bytes count until they are gone;
    `minutes_per_month` counts the calendar month in UTC.
    """
    who, asked = permit.principal, owner or permit.principal.owner
    if asked == who.owner and team in ("", who.team):
        async with permit.rows() as conn:
            return usage_view(await report(conn, here.plane.quotas, Account(who.owner, who.team)))
    if not permit.allows(Action.OPERATE, owner=asked, team=team):
        raise NotPermitted("the usage of others is shown to operators")
    async with here.rows(viewer(who, Action.OPERATE)) as conn:
        return usage_view(await report(conn, here.plane.quotas, await find_account(conn, asked, team)))


@router.get("/plans")
async def list_plans(here: Here, permit: May.operate) -> PlansView:
    """Return the plans of the profile, and how many were given each."""
    async with permit.rows() as conn:
        holders = await plan_holders.counts(conn)
    plans = here.plane.quotas.plans.by_name.values()
    return PlansView(plans=[plan_view(plan, holders.get(plan.name, 0)) for plan in plans])


@router.get("/plans/holders")
async def list_holders(
    permit: May.operate,
    *,
    owner: Name = "",
    team: Name = "",
    past: Annotated[bool, Query(description="also what does not hold any more")] = False,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> HoldersPage:
    """Return who was given which plan, from when, and which limits of theirs differ."""
    async with permit.rows() as conn:
        rows = await plan_holders.page(
            conn, owner=owner or None, team=team or None, past=past, after=read_holder_page(page), limit=limit + 1
        )
    last = rows[limit - 1] if len(rows) > limit else None
    return HoldersPage(
        holders=[HolderView.model_validate(row) for row in rows[:limit]],
        next=write_page(last.owner, last.team, last.since.isoformat()) if last else None,
    )


@router.put("/plans/holders")
async def put_holder(here: Here, permit: May.operate, wanted: HolderRequest) -> HolderView:
    """Give an owner a plan, or take it away. What waits for quota goes on within a minute; the audit log has it."""
    if not permit.allows(Action.OPERATE, owner=wanted.owner, team=wanted.team):
        raise NotPermitted("the plans of others are given by operators")
    async with permit.rows() as conn:
        made = await give_plan(
            conn,
            here.plane.quotas.plans,
            owner=wanted.owner,
            team=wanted.team,
            plan=wanted.plan,
            overrides=wanted.limits,
            since=wanted.since,
        )
    return HolderView.model_validate(made)
