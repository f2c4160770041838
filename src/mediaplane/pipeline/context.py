"""What every stage gets: stores, database, settings, and ways to write files that are never orphaned."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mediaplane.catalog import assets, objects
from mediaplane.catalog.objects import Object
from mediaplane.catalog.runs import StageRun
from mediaplane.media.keys import ObjectKey, uid_of
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.results import Probe
from mediaplane.postgres import Connection, Pool
from mediaplane.settings import Settings
from mediaplane.storage.open import OpenStore
from mediaplane.storage.placement import Placement
from mediaplane.storage.store import ObjectInfo

READ_BYTES = 1 << 20
PUTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Written:
    """Files of one role that are in the store and wait to be settled with the run."""

    store: str
    infos: tuple[ObjectInfo, ...]

    async def settle(self, conn: Connection, asset_id: str) -> None:
        """Settle the rows; the bytes of a row that is gone are on the outbox already."""
        await objects.settle(conn, store=self.store, asset_id=asset_id, infos=self.infos)


@dataclass(frozen=True, slots=True)
class StageContext:
    """Means of the stages: one for the life of a worker."""

    pool: Pool
    stores: dict[str, OpenStore]
    placement: Placement
    settings: Settings
    work_root: Path

    @property
    def limits(self) -> Limits:
        """Limits of a tool's process."""
        megabytes = self.settings.max_decode_mb
        return Limits(seconds=self.settings.max_decode_seconds, address_space_mb=megabytes, output_mb=megabytes * 8)

    @property
    def ca_file(self) -> str | None:
        """The certificate authority of the store's HTTPS, where it is not one the system knows."""
        return self.settings.s3_ca_file or None

    def key(self, run: StageRun, role: str, **fields: str | int) -> ObjectKey:
        """Return the key of `role` for the run's asset and its owner.

        Raises:
            InvalidKey: the layout has no such role, or makes a bad key.
        """
        return self.settings.layout.key(role, asset_id=run.asset_id, uid=uid_of(run.owner), **fields)

    def keeps(self, role: str) -> bool:
        """Tell whether the deployment's layout has a place for `role`; an older layout may lack newer roles."""
        return role in self.settings.layout.templates

    @contextmanager
    def work_dir(self, run: StageRun) -> Iterator[Path]:
        """Give an empty directory that is removed when the stage ends, whatever happens."""
        self.work_root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.work_root, prefix=f"{run.stage}-", ignore_cleanup_errors=True) as name:
            yield Path(name)

    async def original(self, asset_id: str) -> Object:
        """Return the asset's original.

        Raises:
            ObjectNotFound: it has none.
        """
        async with self.pool.connection() as conn:
            return await objects.original(conn, asset_id)

    def source_url(self, stored: Object) -> str:
        """Return what ffmpeg reads: a signed URL, or the path of a local file."""
        return self.stores[stored.store].source_url(ObjectKey(stored.key))

    async def write(
        self,
        run: StageRun,
        role: str,
        files: Sequence[tuple[ObjectKey, Path]],
        *,
        content_type: str,
    ) -> Written:
        """Put files into their role's store: intents first, then the bytes; the caller settles them with its run.

        Raises:
            AssetNotFound: the asset was deleted.
            StorageError: the store failed.
        """
        place = self.placement.store_for(run.asset_id, role)
        if not files:
            return Written(place, ())
        async with self.pool.connection() as conn:
            await objects.intend(
                conn,
                store=place,
                asset_id=run.asset_id,
                role=role,
                keys=[key for key, _ in files],
                content_type=content_type,
                run_id=run.run_id,
            )
        gate = asyncio.Semaphore(PUTS_AT_ONCE)
        store = self.stores[place].store

        async def put(key: ObjectKey, path: Path) -> ObjectInfo:
            async with gate:
                return await store.put(key, read_file(path), content_type=content_type)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(put(key, path)) for key, path in files]
        return Written(place, tuple(task.result() for task in tasks))


async def read_file(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes without holding up the loop."""
    with path.open("rb") as file:  # opening is quick, reading goes to a thread
        while block := await asyncio.to_thread(file.read, READ_BYTES):
            yield block


async def read_probe(context: StageContext, asset_id: str) -> Probe:
    """Return what the stage `probe` found out."""
    async with context.pool.connection() as conn:
        asset = await assets.get(conn, asset_id)
    assert asset.probe is not None, "flow plans nothing behind probe before it is done"
    return Probe.from_json(asset.probe)
