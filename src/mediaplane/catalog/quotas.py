"""Quotas: whether what a transaction writes fits into what an account may use.

The database counts (`usage.py`), and the count itself is compared, before and after: nothing is estimated beside it.
What exists already, or is made of what was taken on, is counted and never refused.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mediaplane.catalog import plan_holders, usage
from mediaplane.catalog.usage import Account, Usage
from mediaplane.errors import QuotaExceeded
from mediaplane.media.quotas import COUNTED, UNLIMITED, Plans, Resource, Terms, read_limits, shown
from mediaplane.postgres import Connection


@dataclass(frozen=True, slots=True)
class Room:
    """What an account may still take: its terms, and its usage when the account was locked."""

    plans: Plans
    terms: Terms
    usage: Usage

    def left(self, resource: Resource) -> float | None:
        """Return how much fits, None where nothing limits it."""
        limit = self.terms.limit(resource)
        return None if limit is None else limit - self.usage.amount(resource)

    def reservation(self, size_bytes: int | None, *, most_bytes: int) -> int:
        """Return how many bytes to reserve for a file; of a size that nobody knows, as much as there may be.

        Raises:
            QuotaExceeded: the file is larger than one may be, or there is no room for any.
        """
        largest = self.terms.limit(Resource.LARGEST_BYTES)
        if size_bytes is not None:
            if largest is not None and size_bytes > largest:
                raise self.refusal(Resource.LARGEST_BYTES, size_bytes)
            return size_bytes
        left = self.left(Resource.STORED_BYTES)
        if left is not None and left < 1:
            raise self.refusal(Resource.STORED_BYTES, 1)
        return min(int(bound) for bound in (most_bytes, largest, left) if bound is not None)

    def require(self, resource: Resource) -> None:
        """Return if anything at all fits.

        Raises:
            QuotaExceeded: nothing does.
        """
        left = self.left(resource)
        if left is not None and left <= 0:
            raise self.refusal(resource, 0)

    def compare(self, after: Usage) -> None:
        """Return if what was taken meanwhile fits.

        Raises:
            QuotaExceeded: it does not. What became less, or stayed as it was, is no matter, however much it is.
        """
        for resource in COUNTED:
            limit, used = self.terms.limit(resource), after.amount(resource)
            requested = used - self.usage.amount(resource)
            if limit is not None and requested > 0 and used > limit:
                raise self.refusal(resource, requested)

    def refusal(self, resource: Resource, requested: float) -> QuotaExceeded:
        """Return why so much more does not fit."""
        limit, used = self.terms.limit(resource) or 0, self.usage.amount(resource)
        larger = self.plans.that_hold(resource, used + requested, but=self.terms.plan)
        return QuotaExceeded(
            _sentence(self.terms.plan, resource, limit=limit, used=used, requested=requested, larger=larger),
            resource=resource.value,
            limit=limit,
            usage=_rounded(used),
            requested=_rounded(requested),
            plan=self.terms.plan,
            larger_plans=larger,
        )


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas of one deployment."""

    plans: Plans = UNLIMITED

    async def terms(self, conn: Connection, account: Account) -> Terms:
        """Return what holds for the account now."""
        if not self.plans.by_name:
            return Terms()
        holding = await plan_holders.find(conn, *account)
        if holding is None:
            return self.plans.terms(None, {}, None)
        return self.plans.terms(holding.plan, read_limits(holding.overrides), holding.since)

    @asynccontextmanager
    async def within(self, conn: Connection, owner: str, team: str) -> AsyncIterator[Room]:
        """Let a block write only what fits; to be used in a transaction, and after all other locks of it.

        Others who take something for the account wait until the transaction ends.

        Raises:
            QuotaExceeded: it took more; the transaction must be undone.
        """
        account = Account(owner, team)
        terms = await self.terms(conn, account)
        if terms.is_unlimited:
            yield Room(self.plans, terms, Usage())
            return
        await usage.lock_account(conn, account)
        room = Room(self.plans, terms, await usage.read(conn, account))
        yield room
        room.compare(await usage.read(conn, account))


def _sentence(
    plan: str, resource: Resource, *, limit: float, used: float, requested: float, larger: tuple[str, ...]
) -> str:
    advice = f"it fits into the plan {' or '.join(larger)}" if larger else _ADVICE[resource]
    if resource is Resource.LARGEST_BYTES:
        most = shown(resource, limit)
        return f"the plan {plan} takes files of at most {most}, and this one has {shown(resource, requested)}: {advice}"
    allowed = f"the plan {plan} allows {_NAMES[resource].format(shown(resource, limit))}"
    if not requested:
        return f"{allowed}, and all of it is used: {advice}"
    return f"{allowed}: {shown(resource, used)} used, {shown(resource, requested)} more do not fit: {advice}"


_NAMES = {
    Resource.STORED_BYTES: "{} of stored media",
    Resource.CLIPS: "{} clips",
    Resource.MINUTES_PER_MONTH: "{} of processing a month",
    Resource.UPLOADS_IN_FLIGHT: "{} uploads at a time",
}
_ADVICE = {
    Resource.STORED_BYTES: "delete something first; bytes count until they are gone",
    Resource.LARGEST_BYTES: "send a smaller one",
    Resource.CLIPS: "delete some, or wait until they expire",
    Resource.MINUTES_PER_MONTH: "wait for the next month, or ask for a higher limit",
    Resource.UPLOADS_IN_FLIGHT: "complete or abort one first",
}


def _rounded(amount: float) -> float:
    return int(amount) if amount == int(amount) else round(amount, 3)
