"""What the API answers about plans and usage."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mediaplane.access.principals import MAX_NAME_CHARS
from mediaplane.access.quotas import Report
from mediaplane.gateway.views import View
from mediaplane.media.quotas import MAX_LIMIT, Plan, Resource, sorted_limits

NAME = rf"^[^\x00-\x1f\x7f]{{1,{MAX_NAME_CHARS}}}$"
OPTIONAL_NAME = rf"^[^\x00-\x1f\x7f]{{0,{MAX_NAME_CHARS}}}$"
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT)]


class AmountView(View):
    """How much of one resource is used; `limit`, `left` and `percent` are null where nothing limits it."""

    usage: float
    limit: int | None
    left: float | None
    percent: float | None


class StoredView(View):
    """What `stored_bytes` is made of."""

    objects_bytes: int = Field(description="originals and all that was made of them")
    outbox_bytes: int = Field(description="deleted and not yet removed, or held until an upload URL has ended")
    reserved_bytes: int = Field(description="of uploads under way")


class UsageView(View):
    """An account's usage against its plan; `plan` is null where nothing limits it."""

    owner: str
    team: str
    plan: str | None
    since: datetime | None = Field(description="when the plan was given; null for the default one")
    resources: dict[str, AmountView]
    largest_bytes: int | None = Field(description="of one file")
    stored: StoredView
    month_ends_at: datetime = Field(description="when minutes_per_month begins anew")


class PlanView(View):
    """A plan of the profile; what `limits` does not name is unlimited."""

    plan: str
    title: str
    is_default: bool
    limits: dict[str, int]
    holders: int = Field(description="how many were given it; those who have it by default are not counted")


class PlansView(View):
    """All plans, in the order of the profile."""

    plans: list[PlanView]


class HolderView(View):
    """What an owner was given in a team; `*` is all of them, and `plan` null where it was taken away."""

    owner: str
    team: str
    plan: str | None
    since: datetime
    limits: dict[str, int | None] = Field(validation_alias="overrides", description="that differ; null: unlimited")


class HoldersPage(View):
    """What was given, by owner and team, the newest first."""

    holders: list[HolderView]
    next: str | None


class HolderRequest(BaseModel):
    """Give a plan, or take it away with null; what was to follow later is dropped."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"owner": "anna", "plan": "pro", "limits": {"clips": 500}}]},
    )

    owner: str = Field(pattern=NAME, description="`*`: all owners of the team")
    team: str = Field(default="*", pattern=NAME, description="`*`: all teams of the owner")
    plan: str | None = Field(max_length=64, pattern=r"^[^\x00]*$")
    since: AwareDatetime | None = Field(default=None, description="from then on; null: from now on")
    limits: dict[Resource, Limit | None] = Field(default_factory=dict, description="that differ; null: unlimited")


def usage_view(report: Report) -> UsageView:
    """Return the usage as the API answers it."""
    return UsageView(
        owner=report.account.owner,
        team=report.account.team,
        plan=report.terms.plan or None,
        since=report.terms.since,
        resources={amount.resource.value: AmountView.model_validate(amount) for amount in report.amounts},
        largest_bytes=report.terms.limit(Resource.LARGEST_BYTES),
        stored=StoredView.model_validate(report.usage),
        month_ends_at=report.month_ends_at,
    )


def plan_view(plan: Plan, holders: int) -> PlanView:
    """Return a plan as the API answers it."""
    limits: dict[str, Any] = {resource.value: limit for resource, limit in sorted_limits(plan.limits)}
    return PlanView(plan=plan.name, title=plan.title, is_default=plan.is_default, limits=limits, holders=holders)
