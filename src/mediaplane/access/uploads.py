"""Uploads by this process: a file goes into its store as an original, once for the same bytes.

Each is an upload session: intent rows, then bytes, then one transaction that completes it. A process that dies
in between is swept; the same bytes asked for again take over from it.
"""

import asyncio
import hashlib
import mimetypes
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from mediaplane.access.claims import renewed
from mediaplane.catalog import assets, objects, replays, uploads
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.uploads import Upload
from mediaplane.errors import StorageError
from mediaplane.jobs.arrivals import Advance, Arrival, register
from mediaplane.media.ids import new_id
from mediaplane.media.keys import Layout, ObjectKey, arrival_fields
from mediaplane.postgres import Connection, Pool
from mediaplane.storage.placement import Placement
from mediaplane.storage.store import ObjectStore

READ_BYTES = 1 << 20
TAKE_OVER_AFTER = timedelta(minutes=1)  # three missed touches: the other writer is dead
WAIT_SECONDS = 1.0
HASH_DIGITS = 16  # of a digest where it stands in a key: 64 bits, with the time beside them

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


@dataclass(frozen=True, slots=True)
class Ingested:
    """Which asset a file became; `reused` where the same bytes were there already."""

    asset_id: str
    reused: bool


@dataclass(frozen=True, slots=True)
class Uploader:
    """Writes files into the stores for one owner."""

    pool: Pool
    stores: Mapping[str, ObjectStore]
    placement: Placement
    layout: Layout
    owner: str
    team: str
    advance: Advance
    quotas: Quotas = Quotas()

    async def ingest(self, path: Path, *, title: str, on_progress: Progress = lambda _done, _all: None) -> Ingested:
        """Put the file into the store and plan its processing, unless the owner has these bytes already.

        Raises:
            OSError: the file cannot be read.
            QuotaExceeded: it does not fit into what the owner may use.
            StorageError: the store failed; nothing is left behind.
        """
        size_bytes = path.stat().st_size
        digest = await asyncio.to_thread(digest_file, path)
        opened = await self._open(path, title, digest, size_bytes)
        if isinstance(opened, Asset):
            return Ingested(opened.asset_id, reused=True)
        try:
            await self._send(opened, path, on_progress)
        except BaseException:
            await asyncio.shield(self._undo(opened))
            raise
        return Ingested(opened.asset_id, reused=False)

    async def _open(self, path: Path, title: str, digest: str, size_bytes: int) -> Asset | Upload:
        while True:
            async with self.pool.connection() as conn, conn.transaction():
                await uploads.lock_digest(conn, self.owner, digest)
                # In this order: an upload that is completed in between is then seen as an asset.
                other = await uploads.find_open(conn, self.owner, digest)
                if same := await assets.find_same_bytes(conn, self.owner, digest):
                    await replays.note_same_bytes(conn, same.asset_id)
                    return same
                if other is None or datetime.now(UTC) - other.seen_at > TAKE_OVER_AFTER:
                    if other:
                        await assets.delete(conn, other.asset_id, owner=self.owner)
                    async with self.quotas.within(conn, self.owner, self.team) as room:
                        room.reservation(size_bytes, most_bytes=size_bytes)
                        return await self._begin(conn, path, title, digest, size_bytes)
            await asyncio.sleep(WAIT_SECONDS)  # another process is sending these bytes just now

    async def _begin(self, conn: Connection, path: Path, title: str, digest: str, size_bytes: int) -> Upload:
        asset_id = new_id()
        key = self.layout.key("original", **self._key_fields(asset_id, path, digest))
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        place = {"store": self.placement.store_for(asset_id, "original"), "asset_id": asset_id}
        await assets.add(
            conn,
            asset_id=asset_id,
            owner=self.owner,
            team=self.team,
            title=title,
            status="uploading",
            digest=digest,
        )
        await objects.intend(conn, **place, role="original", keys=[key], content_type=content_type)
        return await uploads.open_for(
            conn,
            **place,
            upload_id=new_id(),
            key=key,
            size_bytes=size_bytes,
            digest=digest,
            content_type=content_type,
        )

    def _key_fields(self, asset_id: str, path: Path, digest: str) -> dict[str, str]:
        """Return what the template of an original may name; `path` is the file's own where it is relative."""
        extension = path.suffix.lstrip(".").lower()
        inside = not path.is_absolute() and ".." not in path.parts
        return {
            "asset_id": asset_id,
            "ext": extension if extension.isascii() and extension.isalnum() else "bin",
            "path": path.as_posix() if inside else path.name,
            "hash": digest.removeprefix("sha256:")[:HASH_DIGITS],
            **arrival_fields(self.owner, datetime.now(UTC)),
        }

    async def _send(self, upload: Upload, path: Path, on_progress: Progress) -> None:
        async with renewed(partial(self._touch, upload.upload_id)):
            body = _read(path, upload.size_bytes, on_progress)
            store = self.stores[upload.store]
            info = await store.put(ObjectKey(upload.key), body, content_type=upload.content_type)
        if info.size_bytes != upload.size_bytes:
            raise StorageError(f"{path} changed while it was read: {info.size_bytes} bytes, not {upload.size_bytes}")
        arrival = Arrival(
            store=upload.store,
            info=info,
            asset_id=upload.asset_id,
            owner=self.owner,
            team=self.team,
            title="",
            content_type=upload.content_type,
            digest=upload.digest,
        )
        async with self.pool.connection() as conn, conn.transaction():
            if not await uploads.complete(conn, upload.upload_id):
                raise StorageError("the upload was swept away because this process was silent too long: run it again")
            await register(conn, arrival, self.advance)

    async def _touch(self, upload_id: str) -> None:
        """Say that we are still at it: a silent upload is swept."""
        async with self.pool.connection() as conn:
            await uploads.touch(conn, upload_id)

    async def _undo(self, upload: Upload) -> None:
        """Delete the asset and so, through the outbox, the bytes that arrived; the sweeper does it if we cannot."""
        async with self.pool.connection() as conn, conn.transaction():
            if await uploads.find_open(conn, self.owner, upload.digest):
                await assets.delete(conn, upload.asset_id, owner=self.owner)


def digest_file(path: Path) -> str:
    """Return `sha256:…` of the file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


async def _read(path: Path, size_bytes: int, on_progress: Progress) -> AsyncIterator[bytes]:
    done = 0
    with path.open("rb") as file:  # opening is quick, reading goes to a thread
        while block := await asyncio.to_thread(file.read, READ_BYTES):
            done += len(block)
            on_progress(done, size_bytes)
            yield block
