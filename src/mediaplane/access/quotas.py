"""What accounts may use and do use, as people and programs read it; and who gets which plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mediaplane.catalog import plan_holders, usage
from mediaplane.catalog.plan_holders import EVERY, Holding
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.usage import Account, Usage
from mediaplane.errors import InvalidQuery, PlanNotFound
from mediaplane.media.quotas import COUNTED, Plans, Resource, Terms, end_of_month
from mediaplane.postgres import Connection


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of one resource is used; None: nothing limits it."""

    resource: Resource
    usage: float
    limit: int | None

    @property
    def left(self) -> float | None:
        """How much more fits."""
        return None if self.limit is None else max(0.0, round(self.limit - self.usage, 3))

    @property
    def percent(self) -> float | None:
        """The share of the limit that is used; more than 100 where it was lowered, or derived objects were added."""
        if self.limit is None:
            return None
        return round(100 * self.usage / self.limit, 1) if self.limit else 100.0


@dataclass(frozen=True, slots=True)
class Report:
    """One account's usage against its terms."""

    account: Account
    terms: Terms
    usage: Usage
    month_ends_at: datetime

    @property
    def amounts(self) -> list[Amount]:
        """Everything that is counted, in the order of `Resource`."""
        return [
            Amount(resource, round(self.usage.amount(resource), 3), self.terms.limit(resource)) for resource in COUNTED
        ]


async def report(conn: Connection, quotas: Quotas, account: Account) -> Report:
    """Return one account's usage."""
    terms = await quotas.terms(conn, account)
    return Report(account, terms, await usage.read(conn, account), end_of_month(datetime.now(UTC)))


async def reports(conn: Connection, quotas: Quotas, accounts: Sequence[Account] | None = None) -> list[Report]:
    """Return the usage of these accounts, or of all that ever used anything, by name."""
    ends = end_of_month(datetime.now(UTC))
    found = await usage.read_all(conn, accounts)
    return [Report(account, await quotas.terms(conn, account), used, ends) for account, used in found.items()]


async def find_account(conn: Connection, owner: str, team: str | None) -> Account:
    """Return the owner's account in the team; without one, where the owner uses anything, or the owner's own.

    Raises:
        InvalidQuery: there are several.
    """
    if team:
        return Account(owner, team)
    teams = await usage.teams(conn, owner)
    if len(teams) > 1:
        raise InvalidQuery(f"{owner} uses something in several teams, name one: {', '.join(teams)}")
    return Account(owner, teams[0] if teams else owner)


async def give_plan(
    conn: Connection,
    plans: Plans,
    *,
    owner: str,
    team: str = EVERY,
    plan: str | None,
    overrides: Mapping[Resource, int | None],
    since: datetime | None,
) -> Holding:
    """Give the owner (in all teams, or in one) a plan, or None to take it away, from a moment on.

    Raises:
        PlanNotFound: the profile has none of the name.
        InvalidQuery: everybody's plan is the default one of the profile.
    """
    if plan is not None and plan not in plans.by_name:
        raise PlanNotFound(plan, tuple(plans.by_name))
    if owner == EVERY and team == EVERY:
        raise InvalidQuery("name an owner or a team: everybody has the plan with `default = true` in the profile")
    named = {resource.value: limit for resource, limit in overrides.items()}
    return await plan_holders.put(conn, owner=owner, team=team, plan=plan, overrides=named, since=since)
