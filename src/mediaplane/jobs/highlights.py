"""`highlights.json` of an asset, read and written: by the detector's stage, and by whoever knows better.

The bytes of one key are written again and again, so the row of the object is locked while they are: one writer after
the other, each only if the version that is there is the one it has read. A writer that is killed leaves the old file
or the new one, whole, and a row that stands for either.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from mediaplane.catalog import objects
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.objects import Object
from mediaplane.errors import AssetNotFound, HighlightsChanged, ObjectNotFound
from mediaplane.jobs.withdrawal import Connect
from mediaplane.media.highlights import CONTENT_TYPE, MAX_BYTES, etag_of
from mediaplane.media.keys import Layout, ObjectKey, uid_of
from mediaplane.postgres import Connection
from mediaplane.storage.open import OpenStore
from mediaplane.storage.placement import Placement

ROLE = "highlights"


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it is, its version, and whether the detector wrote it."""

    content: bytes
    etag: str
    detected: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """When a file may be written: over the version `match` (`*`: over any), else where there is none yet.

    Nobody's work is lost to somebody who has not seen it.
    """

    match: str | None = None


@dataclass(frozen=True, slots=True)
class HighlightsFile:
    """Reads and writes the files of one deployment; `connect` lends connections that see the rows in question."""

    connect: Connect
    stores: Mapping[str, OpenStore]
    placement: Placement
    layout: Layout

    async def read(self, asset_id: str) -> Content | None:
        """Return the asset's file, None where it has none.

        Raises:
            StorageError, AccessDenied: the store failed.
        """
        async with self.connect() as conn:
            row = await _row(conn, asset_id)
        return None if row is None or row.state != "stored" else await self._content(row)

    async def write(
        self, asset: Asset, content: bytes, condition: Condition | None, *, run_id: str | None = None
    ) -> Content:
        """Write the file and return it as it is then; a run, which has no condition, leaves alone what people wrote.

        Raises:
            HighlightsChanged: the version that is there is not the one of the condition; nothing was written.
            AssetNotFound: the asset was deleted.
            InvalidKey: the layout has no place for it.
            StorageError, AccessDenied: the store failed; what was there is still there.
        """
        place, key = await self._intend(asset, run_id)
        async with self.connect() as conn, conn.transaction():
            try:
                row = await objects.lock(conn, place, key)
            except ObjectNotFound:
                raise AssetNotFound(asset.asset_id) from None
            there = await self._content(row) if row.state == "stored" else None
            if condition is not None:
                _check(there, condition)
            elif there is not None and not there.detected:
                return there
            info = await self.stores[place].store.put(key, _whole(content), content_type=CONTENT_TYPE)
            await objects.set_writer(conn, place, key, run_id=run_id)
            await objects.settle(conn, store=place, asset_id=asset.asset_id, infos=[info])
        return Content(content, etag_of(content), run_id is not None)

    async def _intend(self, asset: Asset, run_id: str | None) -> tuple[str, ObjectKey]:
        """Return where the file lies, or will: its row is there before its bytes are."""
        async with self.connect() as conn:
            row = await _row(conn, asset.asset_id)
            if row is not None and row.state == "stored":
                return row.store, ObjectKey(row.key)
            place = row.store if row else self.placement.store_for(asset.asset_id, ROLE)
            key = self.layout.key(ROLE, asset_id=asset.asset_id, uid=uid_of(asset.owner))
            await objects.intend(
                conn,
                store=place,
                asset_id=asset.asset_id,
                role=ROLE,
                keys=[key],
                content_type=CONTENT_TYPE,
                run_id=run_id,
            )
        return place, key

    async def _content(self, row: Object) -> Content | None:
        store, found = self.stores[row.store].store, bytearray()
        try:
            async for chunk in store.read(ObjectKey(row.key), length=MAX_BYTES + 1):
                found += chunk
        except ObjectNotFound:
            return None  # removed by hand: whoever writes it anew mends it
        content = bytes(found)
        return Content(content, etag_of(content), row.run_id is not None)


def _check(there: Content | None, condition: Condition) -> None:
    if condition.match is None:
        if there is not None:
            raise HighlightsChanged("there are highlights already: send If-Match with their ETag, or * to replace them")
        return
    if there is None:
        raise HighlightsChanged("there are no highlights to replace: send no If-Match, or If-None-Match: *")
    if condition.match not in ("*", there.etag):
        raise HighlightsChanged("somebody else wrote the highlights meanwhile: read them again and send their new ETag")


async def _row(conn: Connection, asset_id: str) -> Object | None:
    rows = await objects.of_asset(conn, asset_id, ROLE)
    return rows[0] if rows else None


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
