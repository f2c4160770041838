"""Deletion of bytes: empties the outbox that the catalog's trigger fills."""

from collections.abc import Mapping

from mediaplane.catalog import outbox
from mediaplane.errors import MediaplaneError
from mediaplane.logs import Logger
from mediaplane.postgres import Connection, Pool
from mediaplane.storage.store import ObjectStore

BATCH = 500
log = Logger(__name__)


async def drain_outbox(pool: Pool, stores: Mapping[str, ObjectStore]) -> None:
    """Remove the bytes of every key that is due.

    The keys stay locked until their bytes are gone, so that whoever writes one of them anew waits. A store that
    fails has its keys postponed; one that is not configured keeps them until it is.
    """
    async with pool.connection() as conn:
        for name in await outbox.stores_due(conn):
            if name not in stores:
                log.warning("outbox_store_unknown", store=name)
                continue
            while batch := await _remove_batch(conn, name, stores[name]):
                log.info("outbox_drained", store=name, keys=batch)


async def _remove_batch(conn: Connection, name: str, store: ObjectStore) -> int:
    async with conn.transaction():
        keys = await outbox.take(conn, name, limit=BATCH)
        if not keys:
            return 0
        try:
            await store.delete(keys)
        except MediaplaneError as error:
            log.warning("outbox_delete_failed", store=name, keys=len(keys), error=error.message)
            await outbox.postpone(conn, name, keys, error=error.message)
            return 0
        await outbox.mark_done(conn, name, keys)
    return len(keys)
