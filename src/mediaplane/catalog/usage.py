"""Usage: what accounts (an owner in a team) have and do, counted by the database as it changes.

Triggers add entries to a ledger and never wait; `fold` sums them up. Whoever takes something new locks the account
first (`lock_account`), the last lock of its transaction, so that two who ask for the last gigabyte come one after the
other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import class_row

from mediaplane.media.quotas import Resource
from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("usage")
FOLD_BATCH = 10_000


class Account(NamedTuple):
    """Whose usage is counted together."""

    owner: str
    team: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account uses now."""

    objects_bytes: int = 0  # of all roles, in all stores
    outbox_bytes: int = 0  # deleted and not yet removed, or held until a URL that could write them has ended
    reserved_bytes: int = 0  # by uploads under way
    clips: int = 0  # but for those that failed
    processed_ms: int = 0  # this calendar month in UTC
    uploads: int = 0  # under way

    @property
    def stored_bytes(self) -> int:
        """All bytes that count."""
        return self.objects_bytes + self.outbox_bytes + self.reserved_bytes

    def amount(self, resource: Resource) -> float:
        """Return how much of the resource is used, in its unit."""
        return {
            Resource.STORED_BYTES: self.stored_bytes,
            Resource.LARGEST_BYTES: 0,
            Resource.CLIPS: self.clips,
            Resource.MINUTES_PER_MONTH: self.processed_ms / 60_000,
            Resource.UPLOADS_IN_FLIGHT: self.uploads,
        }[resource]


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what its rows say."""

    owner: str
    team: str
    resource: str
    period: str
    counted: int
    recounted: int


class Held(NamedTuple):
    """An asset that was not processed for want of quota; 0: no header tells its length."""

    asset_id: str
    duration_ms: int


async def lock_account(conn: Connection, account: Account) -> None:
    """Make others who take something new for the account wait until this transaction ends."""
    await conn.execute(SQL["lock_account"], account._asdict())


async def read(conn: Connection, account: Account) -> Usage:
    """Return what the account uses, the caller's own transaction included."""
    rows = await (await conn.execute(SQL["of_account"], account._asdict())).fetchall()
    return Usage(**dict(rows))


async def read_all(conn: Connection, accounts: Sequence[Account] | None = None) -> dict[Account, Usage]:
    """Return what these accounts use, or all that ever used anything, by name."""
    owners = None if accounts is None else [account.owner for account in accounts]
    teams = None if accounts is None else [account.team for account in accounts]
    found: dict[Account, dict[str, int]] = {}
    for owner, team, resource, amount in await (
        await conn.execute(SQL["of_accounts"], {"owners": owners, "teams": teams})
    ).fetchall():
        found.setdefault(Account(owner, team), {})[resource] = amount
    return {account: Usage(**amounts) for account, amounts in found.items()}


async def teams(conn: Connection, owner: str) -> list[str]:
    """Return the teams in which the owner uses anything."""
    return [row[0] for row in await (await conn.execute(SQL["teams"], {"owner": owner})).fetchall()]


async def fold(conn: Connection) -> set[Account]:
    """Sum up the ledger and return whose entries stood in it."""
    touched: set[Account] = set()
    while True:
        rows = await (await conn.execute(SQL["fold"], {"limit": FOLD_BATCH})).fetchall()
        touched |= {Account(owner, team) for owner, team, _ in rows}
        if sum(entries for _, _, entries in rows) < FOLD_BATCH:
            return touched


async def differences(conn: Connection) -> list[Difference]:
    """Return where the counters are not what a recount gives. Reads all objects, uploads, clips and the outbox."""
    async with conn.cursor(row_factory=class_row(Difference)) as cursor:
        return await (await cursor.execute(SQL["differences"])).fetchall()


async def repair(conn: Connection) -> int:
    """Make the counters what a recount gives; return how many were not."""
    return (await conn.execute(SQL["repair"])).rowcount


async def take_on(conn: Connection, account: Account, asset_id: str, digest: str, duration_ms: int) -> bool:
    """Count the media as processed this month; False where it was counted before."""
    values = {"asset_id": asset_id, "digest": digest, "duration_ms": duration_ms}
    return await _exists(conn, "take_on", {**account._asdict(), **values})


async def is_taken_on(conn: Connection, asset_id: str, digest: str) -> bool:
    """Return whether the media was counted as processed."""
    row = await (await conn.execute(SQL["is_taken_on"], {"asset_id": asset_id, "digest": digest})).fetchone()
    return bool(row and row[0])


async def measure(conn: Connection, asset_id: str) -> None:
    """Count the length of media whose headers told none, now that the asset's is known."""
    await conn.execute(SQL["measure"], {"asset_id": asset_id})


async def held_accounts(conn: Connection) -> list[Account]:
    """Return accounts with assets that were not processed for want of quota."""
    return [Account(*row) for row in await (await conn.execute(SQL["held_accounts"])).fetchall()]


async def held_assets(conn: Connection, account: Account, *, most_ms: int | None, limit: int) -> list[Held]:
    """Return the account's assets that were not processed and are no longer than this, the oldest first."""
    values = {**account._asdict(), "most_ms": most_ms, "limit": limit}
    return [Held(*row) for row in await (await conn.execute(SQL["held_assets"], values)).fetchall()]


async def reach(
    conn: Connection, account: Account, resource: str, period: str, *, percent: int, event: str, data: Mapping[str, Any]
) -> bool:
    """Tell that a share of a limit was reached; False where that was told before."""
    values = {"resource": resource, "period": period, "percent": percent, "type": event, "data": Jsonb(dict(data))}
    return (await conn.execute(SQL["reach"], {**account._asdict(), **values})).rowcount == 1


async def fall_below(conn: Connection, account: Account, resource: str, *, percent: int) -> None:
    """Note that this share, and larger ones, are not reached any more."""
    await conn.execute(SQL["fall_below"], {**account._asdict(), "resource": resource, "percent": percent})


async def noticed(conn: Connection, accounts: Sequence[Account]) -> set[tuple[Account, str, str, int]]:
    """Return which shares were told: account, resource, period and percent."""
    values = {"owners": [account.owner for account in accounts], "teams": [account.team for account in accounts]}
    rows = await (await conn.execute(SQL["noticed"], values)).fetchall()
    return {(Account(owner, team), resource, period, percent) for owner, team, resource, period, percent in rows}


async def _exists(conn: Connection, name: str, values: Mapping[str, Any]) -> bool:
    return await (await conn.execute(SQL[name], values)).fetchone() is not None
