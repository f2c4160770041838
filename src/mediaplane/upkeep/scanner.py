"""The scanner: finds originals that were put into a bucket by hand.

Besides the audit the only code that lists a bucket. It looks at keys of the layout's original only, keeps the
id that stands in a key (or makes one from it where the layout has none), and goes on where a scan that was cut off
had come to.
"""

import mimetypes
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from mediaplane.catalog import objects, scans
from mediaplane.errors import InvalidKey
from mediaplane.jobs.arrivals import Advance, Arrival, register
from mediaplane.media.ids import derive_id
from mediaplane.media.keys import Layout
from mediaplane.postgres import Pool
from mediaplane.storage.store import ObjectInfo, ObjectStore

BATCH = 1000
# Registered as application/… or, by some systems, as text (Qt's translations are .ts too).
_MEDIA_OF_OTHER_TYPES = (".mxf", ".ogg", ".ogv", ".rm", ".ts", ".mts", ".m2ts", ".swf", ".asf")


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found."""

    seen: int
    registered: tuple[str, ...]  # asset ids, in key order
    skipped: tuple[tuple[str, str], ...]  # key and reason


@dataclass(frozen=True, slots=True)
class Scanner:
    """Scans one store for originals; what it finds belongs to `owner` and `team`."""

    pool: Pool
    store_name: str
    store: ObjectStore
    layout: Layout
    owner: str
    team: str
    advance: Advance
    beside: tuple[str, ...] = ()  # roles whose objects lie in the same bucket: where any path may be an original's

    async def scan(self, on_progress: Callable[[int], None] = lambda _: None) -> ScanReport:
        """Look at every key under the layout's prefix and register the originals that are new.

        Raises:
            StorageError: the store failed; the next scan goes on from there.
        """
        prefix = self.layout.prefix("original")
        async with self.pool.connection() as conn:
            after = await scans.begin(conn, self.store_name, prefix)
        seen = 0
        registered: list[str] = []
        skipped: list[tuple[str, str]] = []
        async for batch in _batches(self.store.walk(prefix, after=after)):
            found, refused = await self._register_batch(batch)
            registered += found
            skipped += refused
            seen += len(batch)
            async with self.pool.connection() as conn:
                await scans.advance(conn, self.store_name, prefix, last_key=batch[-1].key, seen=len(batch))
            on_progress(seen)
        async with self.pool.connection() as conn:
            await scans.finish(conn, self.store_name, prefix)
        return ScanReport(seen, tuple(registered), tuple(skipped))

    async def _register_batch(self, batch: list[ObjectInfo]) -> tuple[list[str], list[tuple[str, str]]]:
        registered: list[str] = []
        skipped: list[tuple[str, str]] = []
        async with self.pool.connection() as conn:
            known = await objects.known(conn, self.store_name, [info.key for info in batch])
            for info in batch:
                fields = self.layout.read("original", info.key)
                if fields is None:
                    skipped.append((info.key, "it is no key of an original in this layout"))
                    continue
                if "path" in fields and any(self.layout.read(role, info.key) for role in self.beside):
                    continue  # made by us
                if "path" in fields and not _may_be_media(info.key):
                    skipped.append((info.key, "by its name it is no recording"))
                    continue
                row = known.get(info.key)
                if row and (row.state == "pending" or (row.etag, row.size_bytes) == (info.etag, info.size_bytes)):
                    continue  # an upload of ours is still writing it, or nothing is new
                asset_id = fields.get("asset_id") or (row.asset_id if row else derive_id(self.store_name, info.key))
                try:
                    if await register(conn, self._arrival(info, asset_id), self.advance):
                        registered.append(asset_id)
                except InvalidKey as error:
                    skipped.append((info.key, error.message))
        return registered, skipped

    def _arrival(self, info: ObjectInfo, asset_id: str) -> Arrival:
        return Arrival(
            store=self.store_name,
            info=info,
            asset_id=asset_id,
            owner=self.owner,
            team=self.team,
            title=asset_id if asset_id in info.key else info.key,
            content_type=mimetypes.guess_type(info.key)[0] or "application/octet-stream",
        )


def _may_be_media(key: str) -> bool:
    """Tell whether an original may have this name, where the layout leaves names to those who put files there.

    Cameras have extensions that nobody lists, so only what is known to be something else is left out.
    """
    if any(part.startswith(".") for part in key.split("/")):
        return False
    extension = PurePosixPath(key).suffix.lower()
    kind = (mimetypes.guess_type(f"x{extension}")[0] or "video").partition("/")[0]
    return kind in ("video", "audio") or extension in _MEDIA_OF_OTHER_TYPES


async def _batches(infos: AsyncIterator[ObjectInfo]) -> AsyncIterator[list[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    async for info in infos:
        batch.append(info)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
