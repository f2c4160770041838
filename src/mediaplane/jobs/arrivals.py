"""An original has arrived: asset, object and first run in one transaction, whoever noticed it.

The upload's completion, the scanner and the notices of buckets all call `register`, in whatever order they come.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mediaplane.catalog import assets, objects
from mediaplane.errors import AssetNotFound
from mediaplane.postgres import Connection
from mediaplane.storage.store import ObjectInfo

Advance = Callable[[Connection, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An original seen in a store."""

    store: str
    info: ObjectInfo
    asset_id: str
    owner: str
    team: str
    title: str
    content_type: str
    digest: str | None = None  # of the bytes, where we saw them pass

    @property
    def fingerprint(self) -> str:
        """What the bytes are, as well as we know it."""
        return self.digest or f"etag:{self.info.etag}:{self.info.size_bytes}"


async def register(conn: Connection, arrival: Arrival, advance: Advance) -> bool:
    """Note the arrival and plan its first run; False where nothing is new about it.

    An original that was overwritten with other bytes is processed anew under its old id.

    Raises:
        InvalidKey: the key belongs to another asset.
    """
    async with conn.transaction():
        if not await _is_news(conn, arrival):
            return False
        place = {"store": arrival.store, "asset_id": arrival.asset_id}
        keys = [arrival.info.key]
        await objects.intend(conn, **place, role="original", keys=keys, content_type=arrival.content_type)
        await objects.settle(conn, **place, infos=[arrival.info])
        await assets.begin_processing(conn, arrival.asset_id, arrival.fingerprint)
        await advance(conn, arrival.asset_id)
    return True


async def _is_news(conn: Connection, arrival: Arrival) -> bool:
    if await _is_added(conn, arrival):
        return True
    known = (await objects.known(conn, arrival.store, [arrival.info.key])).get(arrival.info.key)
    if known is None or known.state == "pending":
        return True
    return (known.etag, known.size_bytes) != (arrival.info.etag, arrival.info.size_bytes)


async def _is_added(conn: Connection, arrival: Arrival) -> bool:
    """Return whether the asset is new; one that was there is locked. Of many who arrive at once, one adds it."""
    while True:
        try:
            await assets.lock(conn, arrival.asset_id)
        except AssetNotFound:
            if await assets.add_if_new(
                conn,
                asset_id=arrival.asset_id,
                owner=arrival.owner,
                team=arrival.team,
                title=arrival.title,
                status="processing",
                digest=arrival.fingerprint,
            ):
                return True
        else:
            return False
