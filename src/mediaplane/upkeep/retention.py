"""Retention: removes what the profile lets expire, rows and bytes, where and when a bucket's lifecycle would.

Rows go first, everywhere and every hour, and their bytes with them; a lifecycle rule of the bucket, which counts from
the end of the day, then finds nothing. Where the provider has no such rules, what lies under a managed prefix without
a row is looked for as well, once a day: besides scanner and audit the only listing.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediaplane.catalog import objects, outbox
from mediaplane.errors import AccessDenied
from mediaplane.logs import Logger
from mediaplane.postgres import Connection
from mediaplane.storage.bucket.wanted import Expiry
from mediaplane.storage.store import ObjectInfo, ObjectStore

BATCH = 1000
log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Retained:
    """One store and what expires in it."""

    name: str
    store: ObjectStore
    expiries: tuple[Expiry, ...]
    searched: bool  # it does not expire by itself, so bytes without a row are looked for


async def expire_rows(conn: Connection, retained: Sequence[Retained]) -> None:
    """Remove the rows of what has expired; the bytes follow through the outbox.

    Clips have rows of their own that say when (`sweeping.remove_expired_clips`). An asset whose original has expired
    stays: what was made of it, and its text, are still there.
    """
    for kept in retained:
        for expiry in kept.expiries:
            removed = 0
            while batch := await objects.delete_expired(
                conn,
                kept.name,
                role=expiry.role,
                prefix=expiry.prefix,
                age=timedelta(days=expiry.days),
                limit=BATCH,
            ):
                removed += batch
            if removed:
                log.info("objects_expired", store=kept.name, subject=expiry.subject, objects=removed)


async def expire_bytes(conn: Connection, retained: Sequence[Retained]) -> None:
    """Look under the prefixes that expire for bytes that are old and have no row, and put them on the outbox."""
    for kept in retained:
        for expiry in kept.expiries:
            if kept.searched and expiry.prefix:
                try:
                    removed = await _expire_prefix(conn, kept, expiry)
                except AccessDenied as error:
                    log.warning("expiry_not_possible", store=kept.name, prefix=expiry.prefix, error=error.message)
                    continue
                if removed:
                    log.info("unowned_bytes_expired", store=kept.name, prefix=expiry.prefix, objects=removed)


async def _expire_prefix(conn: Connection, kept: Retained, expiry: Expiry) -> int:
    before = datetime.now(UTC) - timedelta(days=expiry.days)
    removed = 0
    async for batch in _old(kept.store.walk(expiry.prefix), before):
        known = await objects.known(conn, kept.name, [info.key for info in batch])
        removed += await outbox.put_unowned(conn, kept.name, [info for info in batch if info.key not in known])
    return removed


async def _old(infos: AsyncIterator[ObjectInfo], before: datetime) -> AsyncIterator[list[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    async for info in infos:
        if info.modified_at >= before:
            continue
        batch.append(info)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
