"""An original has arrived: asset, object and first run in one transaction, whoever noticed it.

The completion of uploads, the scanner and the notices of buckets all register it here, in whatever order they come.
"""

from collections.abc import Sequence
from typing import Protocol

from mediaplane.catalog import arrivals, assets, objects
from mediaplane.catalog.arrivals import Arrival
from mediaplane.errors import InvalidKey
from mediaplane.postgres import Connection

__all__ = ["Advance", "Arrival", "register", "register_all"]

_TRIES = 5  # an asset may be deleted, and added anew, in between


class Advance(Protocol):
    """Plans what assets need next."""

    async def __call__(self, conn: Connection, /, *asset_ids: str) -> None: ...


async def register(conn: Connection, arrival: Arrival, advance: Advance) -> bool:
    """Note the arrival and plan its first run; False where nothing is new about it.

    An original that was overwritten with other bytes is processed anew under its old id.

    Raises:
        InvalidKey: the key belongs to another asset.
    """
    async with conn.transaction():
        return bool(await register_all(conn, [arrival], advance))


async def register_all(conn: Connection, arrived: Sequence[Arrival], advance: Advance) -> set[str]:
    """Do the same for many, in the caller's transaction; return the assets of which it was news.

    Raises:
        InvalidKey: a key belongs to another asset; the transaction must be undone.
    """
    if not arrived:
        return set()
    added = await _lock_or_add(conn, arrived)
    news = await arrivals.note(conn, arrived)
    for arrival in arrived:
        if arrival.asset_id not in news and (arrival.asset_id in added or not await _is_known(conn, arrival)):
            key = arrival.info.key
            raise InvalidKey(f"a key of {arrival.asset_id} (original) belongs to another asset or role already: {key}")
    if news:
        await advance(conn, *sorted(news))
    return news


async def _lock_or_add(conn: Connection, arrived: Sequence[Arrival]) -> set[str]:
    """Lock the assets and return those that are new. Of many who register one at once, one adds it.

    Raises:
        InvalidKey: an asset is there and cannot be seen, so it is another's.
    """
    missing, added = {arrival.asset_id: arrival for arrival in arrived}, set[str]()
    for _ in range(_TRIES):
        for asset in await assets.lock_all(conn, list(missing)):
            del missing[asset.asset_id]
        if missing:
            new = await arrivals.add(conn, list(missing.values()))
            added |= new
            missing = {asset_id: arrival for asset_id, arrival in missing.items() if asset_id not in new}
        if not missing:
            return added
    raise InvalidKey(f"assets of others have these ids: {', '.join(missing)}")


async def _is_known(conn: Connection, arrival: Arrival) -> bool:
    row = (await objects.known(conn, arrival.store, [arrival.info.key])).get(arrival.info.key)
    known = row and (row.state, row.etag, row.size_bytes)
    return known == ("stored", arrival.info.etag, arrival.info.size_bytes)
