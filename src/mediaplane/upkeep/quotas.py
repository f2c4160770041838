"""Quotas, again and again: sums up what was counted, tells of limits that are near, begins what waited for quota."""

from collections.abc import Collection
from datetime import UTC, datetime

from mediaplane.catalog import usage
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.usage import Account, Usage
from mediaplane.jobs.arrivals import Advance
from mediaplane.logs import Logger
from mediaplane.media.quotas import Resource, Terms, month_of
from mediaplane.postgres import Connection

SHARES = ((80, "quota.near"), (100, "quota.reached"))  # percent of a limit, and what is told then
SLACK_PERCENT = 5  # usage falls this far below before the same share is told again: one that hovers is told once
TOLD = (Resource.STORED_BYTES, Resource.CLIPS, Resource.MINUTES_PER_MONTH)  # uploads reach their limit by being uploads
HELD_BATCH = 100  # assets of one account begun at once

log = Logger(__name__)


async def sum_up(conn: Connection, quotas: Quotas) -> None:
    """Add the ledger up, and tell those whose usage changed of limits they have come near."""
    touched = await usage.fold(conn)
    if touched and quotas.plans.by_name:
        await _tell(conn, quotas, sorted(touched))


async def tell_everybody(conn: Connection, quotas: Quotas) -> None:
    """Tell everybody of limits they have come near: plans may have changed, or a month begun."""
    if quotas.plans.by_name:
        await _tell(conn, quotas, None)


async def resume_held(conn: Connection, quotas: Quotas, advance: Advance) -> None:
    """Begin assets that were not processed for want of quota and fit by now, the oldest first."""
    for account in await usage.held_accounts(conn):
        terms = await quotas.terms(conn, account)
        limit = terms.limit(Resource.MINUTES_PER_MONTH)
        left_ms = None if limit is None else limit * 60_000 - (await usage.read(conn, account)).processed_ms
        if left_ms is not None and left_ms <= 0:
            continue
        begun = 0
        for held in await usage.held_assets(conn, account, most_ms=left_ms, limit=HELD_BATCH):
            if left_ms is not None:
                if held.duration_ms > left_ms:
                    continue
                left_ms -= held.duration_ms
            async with conn.transaction():
                await advance(conn, held.asset_id)
            begun += 1
        if begun:
            log.info("held_assets_begun", owner=account.owner, team=account.team, assets=begun)


async def _tell(conn: Connection, quotas: Quotas, accounts: list[Account] | None) -> None:
    found = await usage.read_all(conn, accounts)
    told = await usage.noticed(conn, list(found))
    for account, used in found.items():
        terms = await quotas.terms(conn, account)
        for resource in TOLD:
            own = {percent for whose, name, _, percent in told if whose == account and name == resource}
            await _compare(conn, account, resource, terms=terms, used=used, told=own)


async def _compare(
    conn: Connection, account: Account, resource: Resource, *, terms: Terms, used: Usage, told: Collection[int]
) -> None:
    limit, amount = terms.limit(resource), used.amount(resource)
    share = 100 * amount / limit if limit else 0.0
    if fallen := [percent for percent in told if share < percent - SLACK_PERCENT]:
        await usage.fall_below(conn, account, resource.value, percent=min(fallen))
    for percent, event in SHARES:
        if limit and share >= percent and (percent not in told or resource is Resource.MINUTES_PER_MONTH):
            data = {"resource": resource.value, "percent": percent, "limit": limit, "usage": round(amount, 3)}
            period = month_of(datetime.now(UTC)) if resource is Resource.MINUTES_PER_MONTH else ""
            await usage.reach(
                conn, account, resource.value, period, percent=percent, event=event, data={**data, "plan": terms.plan}
            )
