"""Purges carried out: rows, uploads in flight, bytes; then the stores are asked whether anything is left.

Whoever is killed at it leaves a purge that is not done, and whoever comes next goes on: every step may be done again.
Bytes are removed by the outbox, which tries until they are gone; a purge waits for that and says what it waits for.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json import dumps

from mediaplane.catalog import assets, audit, direct_uploads, lexicon, objects, outbox, purges
from mediaplane.catalog.audit import NewRecord
from mediaplane.catalog.purges import Purge
from mediaplane.errors import AccessDenied, AssetNotFound, MediaplaneError, ObjectNotFound
from mediaplane.logs import Logger
from mediaplane.media.keys import Layout, ObjectKey, uid_of
from mediaplane.postgres import Connection, Pool
from mediaplane.storage.open import OpenStore
from mediaplane.storage.store import ObjectInfo

BATCH = 500
_NOT_AHEAD = timedelta(seconds=-5)  # a store's clock may be
log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the stores said: how many keys are still there, of how many they say neither, and what was listed."""

    left_over: int
    unproven: int
    prefixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Purging:
    """Carries purges out on the stores of one deployment."""

    pool: Pool
    stores: Mapping[str, OpenStore]
    layout: Layout

    async def carry_out_all(self) -> None:
        """Take every purge that is under way as far as it goes now; one that cannot go on does not stop the others."""
        async with self.pool.connection() as conn:
            open_purges = await purges.under_way(conn)
        for purge in open_purges:
            try:
                await self.carry_out(purge)
            except MediaplaneError as error:
                log.warning("purge_waits", purge=purge.purge_id, problem=error.message)

    async def carry_out(self, purge: Purge) -> Purge:
        """Take a purge as far as it goes now and return it; two at once do not get into each other's way.

        Raises:
            StorageError, AccessDenied: a store failed; the purge says so, and goes on when it is asked to again.
        """
        async with self._alone(purge) as (conn, alone):
            current = await purges.get(conn, purge.purge_id)  # another may have ended it since it was read
            if not alone or current.state == "done":
                return current
            try:
                await self._go_on(conn, current)
            except MediaplaneError as error:
                await purges.note_state(conn, current, "removing", problem=error.message)
                raise
            return await purges.get(conn, purge.purge_id)

    @asynccontextmanager
    async def _alone(self, purge: Purge) -> AsyncIterator[tuple[Connection, bool]]:
        async with self.pool.connection() as conn:
            alone = await purges.try_lock(conn, purge.purge_id)
            try:
                yield conn, alone
            finally:
                if alone and not conn.closed:
                    await purges.unlock(conn, purge.purge_id)

    async def _go_on(self, conn: Connection, purge: Purge) -> None:
        await self._delete_rows(conn, purge)
        waiting = await purges.waiting(conn, purge)
        if waiting.keys:
            problem = waiting.last_error or f"{waiting.keys} keys wait for a worker to remove their bytes"
            await purges.note_state(conn, purge, "removing", problem=problem)
            return
        looked = await self._look(conn, purge)
        if looked.left_over:
            problem = f"{looked.left_over} keys were there still, or again: they are removed once more"
            await purges.note_state(conn, purge, "verifying", problem=problem, left_over=looked.left_over)
            return
        await self._finish(conn, purge, looked, waiting.watched_until)

    async def _delete_rows(self, conn: Connection, purge: Purge) -> None:
        while found := await purges.assets_left(conn, purge, limit=BATCH):
            for asset_id in found:
                await self._abort_parts(conn, asset_id)
                async with conn.transaction():
                    await _act_as(conn, purge)
                    await _delete_asset(conn, purge, asset_id)
        if purge.asset_id is None:
            async with conn.transaction():
                await _act_as(conn, purge)
                await purges.note_rows(conn, purge, await purges.forget_owner(conn, purge))
        await lexicon.recount_owner(conn, purge.owner)

    async def _abort_parts(self, conn: Connection, asset_id: str) -> None:
        for store, key, reference in await purges.end_uploads(conn, asset_id):
            await self.stores[store].intake.abort(ObjectKey(key), reference)

    async def _look(self, conn: Connection, purge: Purge) -> Looked:
        """Ask every store: list what begins as the owner's or the asset's keys do, ask for each other key by itself."""
        prefixes = _prefixes(self.layout, purge)
        left_over, listed = 0, set()
        for names in self._places():
            for prefix in prefixes:
                found = await self._list(self.stores[names[0]], prefix)
                if found is not None:
                    listed |= {(name, prefix) for name in names}
                    left_over += await _take_unowned(conn, purge, names, found)
                await self._abort_unknown(conn, names, prefix)
        missing, unproven = await self._ask_for_each(conn, purge, listed)
        return Looked(left_over + missing, unproven, frozenset(prefix for _, prefix in listed))

    def _places(self) -> list[list[str]]:
        """Return the stores' names, those together that are one bucket or directory: a store is but a name."""
        places: dict[str, list[str]] = {}
        for name, opened in self.stores.items():
            places.setdefault(opened.media_url(ObjectKey("sample")), []).append(name)
        return list(places.values())

    def _beside(self, store: str) -> list[str]:
        return next(names for names in self._places() if store in names)

    async def _list(self, opened: OpenStore, prefix: str) -> list[ObjectInfo] | None:
        """Return what is there, None where the store's keys may not list."""
        try:
            return [info async for info in opened.store.walk(prefix)]
        except AccessDenied as error:
            if not error.keys_known:
                raise
            return None

    async def _abort_unknown(self, conn: Connection, names: Sequence[str], prefix: str) -> None:
        """Abort uploads in parts that no row knows of: who began them was killed before it could note them down."""
        endpoint = self.stores[names[0]].endpoint
        if endpoint is None:
            return
        from mediaplane.storage import buckets  # with it comes boto3, which is slow to import

        known = {reference for name in names for reference in await direct_uploads.open_refs(conn, name)}
        with suppress(AccessDenied):  # keys that may not: the bucket's own lifecycle rule aborts them
            await asyncio.to_thread(buckets.abort_uploads, endpoint, older_than=_NOT_AHEAD, keep=known, prefix=prefix)

    async def _ask_for_each(self, conn: Connection, purge: Purge, listed: set[tuple[str, str]]) -> tuple[int, int]:
        """Return how many keys outside of what was listed are still there, and of how many that cannot be said."""
        place, left_over, unproven = ("", ""), 0, 0
        while keys := await purges.keys_behind(conn, purge, place, limit=BATCH):
            place = keys[-1]
            unlisted = [(store, key) for store, key in keys if not _is_covered(store, key, listed)]
            for store, key in unlisted:
                try:
                    info = await self.stores[store].store.stat(ObjectKey(key))
                except ObjectNotFound:
                    continue
                except AccessDenied as error:
                    if not error.keys_known:
                        raise
                    unproven += 1
                    continue
                beside = [name for name in self._beside(store) if name != store]
                left_over += await _take_unowned(conn, purge, [store, *beside], [info])
        return left_over, unproven

    async def _finish(self, conn: Connection, purge: Purge, looked: Looked, watched_until: datetime | None) -> None:
        async with conn.transaction():
            done = await purges.finish(
                conn,
                purge,
                stores=list(self.stores),
                prefixes=sorted(looked.prefixes),
                unproven=looked.unproven,
                watched_until=watched_until,
                finished_at=datetime.now(UTC),
            )
            await audit.add(conn, [finished_record(done)])
        log.info("purged", purge=done.purge_id, objects=done.objects, size_bytes=done.size_bytes)


def finished_record(purge: Purge) -> NewRecord:
    """Return the audit record of a purge that is done: the receipt's digest, and what it says in short."""
    by = purge.requested_by
    return NewRecord(
        subject=by.get("subject") or "worker",
        subject_owner=by.get("owner"),
        subject_team=by.get("team"),
        role=by.get("role"),
        action="purge.finished",
        kind="purge",
        thing=purge.purge_id,
        owner=purge.owner,
        team=purge.team or None,
        details={
            "asset_id": purge.asset_id,
            "objects": purge.objects,
            "size_bytes": purge.size_bytes,
            "keys_digest": purge.keys_digest,
            "receipt_digest": purge.receipt_digest,
        },
    )


async def _act_as(conn: Connection, purge: Purge) -> None:
    """Have the database's own records of this transaction name who asked."""
    await conn.execute("SELECT set_config('mediaplane.actor', %s, true)", [dumps(purge.requested_by)])


async def _delete_asset(conn: Connection, purge: Purge, asset_id: str) -> None:
    """Delete an asset and what names it, count it, and note its keys: all of it or nothing."""
    try:
        await assets.lock(conn, asset_id)
    except AssetNotFound:
        return
    counts = await purges.gather(conn, purge, asset_id)
    await assets.delete(conn, asset_id, owner=purge.owner)
    told = await purges.forget_told(conn, purge, asset_id)
    await purges.note_rows(conn, purge, {**counts, **told})


async def _take_unowned(conn: Connection, purge: Purge, names: Sequence[str], found: Sequence[ObjectInfo]) -> int:
    """Have what nobody owns removed; return how much that is. What has a row is another asset's, or came later.

    `names` are those of one bucket or directory.
    """
    if not found:
        return 0
    owned = {key for name in names for key in await objects.known(conn, name, [info.key for info in found])}
    unowned = [info for info in found if info.key not in owned]
    if unowned:
        async with conn.transaction():
            await outbox.put_unowned(conn, names[0], unowned)
            await purges.add_found(conn, purge, names[0], unowned)
    return len(unowned)


def _prefixes(layout: Layout, purge: Purge) -> set[str]:
    uid = uid_of(purge.owner)
    if purge.asset_id is None:
        return layout.prefixes("uid", uid=uid)
    return layout.prefixes("asset_id", uid=uid, asset_id=purge.asset_id)


def _is_covered(store: str, key: str, listed: set[tuple[str, str]]) -> bool:
    return any(store == name and key.startswith(prefix) for name, prefix in listed)
