"""`plan ls|holders|set|unset|show` and `usage`: who may use how much, and how much they do."""

from datetime import UTC, datetime
from typing import Any

import typer

from mediaplane.access.quotas import Report, find_account, give_plan, report, reports
from mediaplane.catalog import audit, plan_holders, usage
from mediaplane.catalog.plan_holders import EVERY, Holding
from mediaplane.cli.output import console, notes, print_json, print_table
from mediaplane.cli.session import operator, with_plane
from mediaplane.media.quotas import Resource, read_limit, shown, sorted_limits
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
OWNER = typer.Argument(help="Whose; `*` is all owners of the team", metavar="OWNER")
EXAMPLE = "see docs/quotas.md for [plans.NAME] of a profile"

app = typer.Typer(
    name="plan", help="Plans: who may use how much.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.command()
def ls(as_json: bool = JSON) -> None:
    """List the plans of the profile, with their limits and how many were given each."""

    async def read(plane: Plane) -> tuple[Plane, dict[str, int]]:
        async with plane.pool.connection() as conn:
            return plane, await plan_holders.counts(conn)

    plane, holders = with_plane(read)
    plans = plane.quotas.plans.by_name.values()
    unknown = sorted(set(holders) - {plan.name for plan in plans})
    if as_json:
        found = [
            {
                "plan": plan.name,
                "title": plan.title,
                "default": plan.is_default,
                "limits": dict(sorted_limits(plan.limits)),
                "holders": holders.get(plan.name, 0),
            }
            for plan in plans
        ]
        print_json({"plans": found, "unknown": unknown})
        return
    if not plans:
        console.print(f"the profile {plane.settings.profile} declares no plans, so everything is unlimited: {EXAMPLE}")
    else:
        rows = [
            (plan.name, plan.title, *(_limit(plan.limits, resource) for resource in Resource), _holders(plan, holders))
            for plan in plans
        ]
        print_table(("plan", "title", *Resource, "holders"), rows, numeric=tuple(Resource))
    for name in unknown:
        notes.print(
            f"{holders[name]} were given the plan {name}, which the profile does not have: they have the default"
        )


@app.command(name="holders")
def list_holders(
    owner: str = typer.Option("", "--owner", help="Only what this owner was given"),
    past: bool = typer.Option(False, "--past", help="Also what does not hold any more"),
    as_json: bool = JSON,
) -> None:
    """List who was given which plan, from when, with limits that differ from the plan's."""

    async def read(plane: Plane) -> list[Holding]:
        async with plane.pool.connection() as conn:
            return await plan_holders.page(conn, owner=owner or None, past=past, limit=100_000)

    found = with_plane(read)
    if as_json:
        print_json({"holders": [_holding(row) for row in found]})
        return
    if not found:
        console.print("nobody was given a plan: mediaplane plan set OWNER PLAN")
        return
    rows = [(row.owner, row.team, row.plan or "(none)", _moment(row.since), _differing(row)) for row in found]
    print_table(("owner", "team", "plan", "since (UTC)", "own limits"), rows)


@app.command(name="set")
def give(
    owner: str = OWNER,
    plan: str = typer.Argument(help="A plan of the profile, as `mediaplane plan ls` lists them", metavar="PLAN"),
    team: str = typer.Option(EVERY, "--team", help="Only in this team [default: in all]"),
    since: str = typer.Option("", "--from", help="From this day or moment on, in UTC: 2026-12-01 [default: now]"),
    limit: list[str] = typer.Option(
        [], "--limit", help="A limit that differs, may be given again: clips=500, stored_bytes=2TB, clips=unlimited"
    ),
    as_json: bool = JSON,
) -> None:
    """Give an owner a plan; what waits for quota goes on within a minute."""
    _say(_give(owner, team, plan, _overrides(limit), _since(since)), as_json=as_json)


@app.command()
def unset(
    owner: str = OWNER,
    team: str = typer.Option(EVERY, "--team", help="What was given in this team [default: in all]"),
    as_json: bool = JSON,
) -> None:
    """Take back what was given: the owner has the default plan again."""
    _say(_give(owner, team, None, {}, None), as_json=as_json)


@app.command()
def show(
    owner: str = OWNER,
    team: str = typer.Option("", "--team", help="In this team [default: the one where the owner uses anything]"),
    as_json: bool = JSON,
) -> None:
    """Show an owner's plan, and how much of it is used."""
    _show(_report(owner, team), as_json=as_json)


def show_usage(
    owner: str = typer.Argument("", help="Whose; without it, everybody's", metavar="[OWNER]"),
    team: str = typer.Option("", "--team", help="In this team [default: the one where the owner uses anything]"),
    check: bool = typer.Option(
        False, "--check", help="Count everybody's rows anew and compare; exit status 1 if wrong"
    ),
    repair: bool = typer.Option(False, "--repair", help="Count anew, and make the counters what the rows say"),
    as_json: bool = JSON,
) -> None:
    """Show what owners use of what they may use, or check that it was counted rightly."""
    if check or repair:
        _check(repair=repair, as_json=as_json)
    elif owner:
        _show(_report(owner, team), as_json=as_json)
    else:
        _list(as_json=as_json)


def _give(
    owner: str, team: str, plan: str | None, overrides: dict[Resource, int | None], since: datetime | None
) -> Holding:
    async def put(plane: Plane) -> Holding:
        async with plane.pool.connection() as conn:
            await audit.act_as(conn, operator())
            return await give_plan(
                conn, plane.quotas.plans, owner=owner, team=team, plan=plan, overrides=overrides, since=since
            )

    return with_plane(put)


def _report(owner: str, team: str) -> Report:
    async def read(plane: Plane) -> Report:
        async with plane.pool.connection() as conn:
            return await report(conn, plane.quotas, await find_account(conn, owner, team))

    return with_plane(read)


def _list(*, as_json: bool) -> None:
    async def read(plane: Plane) -> list[Report]:
        async with plane.pool.connection() as conn:
            return await reports(conn, plane.quotas)

    found = with_plane(read)
    if as_json:
        print_json({"accounts": [_document(one) for one in found]})
        return
    if not found:
        console.print("nobody uses anything yet")
        return
    rows = []
    for one in found:
        amounts = {amount.resource: amount for amount in one.amounts}
        rows.append((*one.account, one.terms.plan or "unlimited", *(_used(amounts[name]) for name in amounts)))
    print_table(("owner", "team", "plan", *(amount.resource for amount in found[0].amounts)), rows)


def _show(one: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(one))
        return
    since = f" since {_moment(one.terms.since)}" if one.terms.since else ""
    console.print(f"{one.account.owner} in {one.account.team}: {one.terms.plan or 'unlimited'}{since}")
    rows = [
        (amount.resource, shown(amount.resource, amount.usage), _or_unlimited(amount.resource, amount.limit),
         "" if amount.percent is None else f"{amount.percent:.0f}%")
        for amount in one.amounts
    ]  # fmt: skip
    print_table(("", "used", "limit", ""), rows, numeric=("used", "limit"))
    largest = one.terms.limit(Resource.LARGEST_BYTES)
    kept = one.usage
    stored = (
        ("objects", kept.objects_bytes),
        ("waits to be removed", kept.outbox_bytes),
        ("reserved", kept.reserved_bytes),
    )
    parts = ", ".join(f"{name} {shown(Resource.STORED_BYTES, size_bytes)}" for name, size_bytes in stored)
    console.print(f"stored: {parts}; largest file: {_or_unlimited(Resource.LARGEST_BYTES, largest)}")


def _check(*, repair: bool, as_json: bool) -> None:
    async def compare(plane: Plane) -> list[usage.Difference]:
        async with plane.pool.connection() as conn:
            found = await usage.differences(conn)
            if repair and found:
                await usage.repair(conn)
        return found

    found = with_plane(compare)
    if as_json:
        print_json({"differences": [_difference(one) for one in found], "repaired": repair and bool(found)})
    elif not found:
        console.print("every counter is what its rows say")
    else:
        rows = [(one.owner, one.team, one.resource, one.period, one.counted, one.recounted) for one in found]
        print_table(("owner", "team", "what", "month", "counted", "rows say"), rows, numeric=("counted", "rows say"))
        console.print("repaired" if repair else "mend it with `mediaplane usage --repair`")
    if found and not repair:
        raise typer.Exit(1)


def _overrides(given: list[str]) -> dict[Resource, int | None]:
    found: dict[Resource, int | None] = {}
    for entry in given:
        name, _, value = entry.partition("=")
        try:
            found[Resource(name)] = read_limit(name, value)
        except ValueError as error:
            known = ", ".join(Resource)
            text = str(error) if name in list(Resource) else f"write NAME=LIMIT with one of {known}, not {entry!r}"
            raise typer.BadParameter(text, param_hint="--limit") from None
    return found


def _since(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problem = f"write a day or a moment, such as 2026-12-01 or 2026-12-01T12:00+02:00, not {text!r}"
        raise typer.BadParameter(problem, param_hint="--from") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _say(made: Holding, *, as_json: bool) -> None:
    if as_json:
        print_json(_holding(made))
        return
    where = "" if made.team == EVERY else f" in {made.team}"
    what = f"has the plan {made.plan}" if made.plan else "has what the profile gives by default"
    own = f", with {_differing(made)}" if made.overrides else ""
    console.print(f"{made.owner}{where} {what} from {_moment(made.since)} UTC{own}")


def _holding(row: Holding) -> dict[str, Any]:
    return {"owner": row.owner, "team": row.team, "plan": row.plan, "since": row.since, "limits": row.overrides}


def _document(one: Report) -> dict[str, Any]:
    return {
        "owner": one.account.owner,
        "team": one.account.team,
        "plan": one.terms.plan or None,
        "since": one.terms.since,
        "resources": {
            amount.resource.value: {"usage": amount.usage, "limit": amount.limit, "left": amount.left}
            for amount in one.amounts
        },
        "largest_bytes": one.terms.limit(Resource.LARGEST_BYTES),
        "stored": {
            name: getattr(one.usage, name) for name in ("objects_bytes", "outbox_bytes", "reserved_bytes")
        },
        "month_ends_at": one.month_ends_at,
    }  # fmt: skip


def _difference(one: usage.Difference) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("owner", "team", "resource", "period", "counted", "recounted")}


def _holders(plan: Any, holders: dict[str, int]) -> str:
    return f"{holders.get(plan.name, 0)}{' and all others' if plan.is_default else ''}"


def _limit(limits: Any, resource: Resource) -> str:
    return _or_unlimited(resource, limits.get(resource))


def _or_unlimited(resource: Resource, limit: int | None) -> str:
    return "unlimited" if limit is None else shown(resource, limit)


def _used(amount: Any) -> str:
    used = shown(amount.resource, amount.usage)
    return used if amount.limit is None else f"{used} of {shown(amount.resource, amount.limit)}"


def _differing(row: Holding) -> str:
    return ", ".join(f"{name}={'unlimited' if limit is None else limit}" for name, limit in row.overrides.items())


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else ""
