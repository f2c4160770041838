"""The gateway for tests: a real uvicorn on a free loopback port, around a plane of real parts."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

from mediaplane.catalog import assets, objects, playback
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.playback import Rendition
from mediaplane.gateway.serve import listen, serve
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.tools.results import EncodedRendition
from mediaplane.settings import load_settings
from mediaplane.storage.open import OpenStore
from mediaplane.wiring import Plane, open_plane

SIGNING_KEY = "a key for tests only"


@dataclass(frozen=True)
class Gateway:
    """A gateway that answers at `url`, and the plane behind it."""

    url: str
    plane: Plane

    @property
    def opened(self) -> OpenStore:
        return self.plane.store_for("any", "original")

    async def add_asset(self, asset_id: str, **fields: str) -> Asset:
        """Add a ready video of the local owner."""
        values = {"owner": "local", "team": "local", "title": asset_id, "status": "ready", "digest": None, **fields}
        async with self.plane.pool.connection() as conn:
            return await assets.add(conn, asset_id=asset_id, **values)

    async def put(self, asset_id: str, key: str, body: bytes, *, role: str, content_type: str) -> ObjectKey:
        """Put one object the way the pipeline does: intent, bytes, settled."""
        place = ObjectKey(key)
        async with self.plane.pool.connection() as conn:
            where = {"store": self.opened.name, "asset_id": asset_id}
            await objects.intend(conn, **where, role=role, keys=[place], content_type=content_type)
            info = await self.opened.store.put(place, _whole(body), content_type=content_type)
            await objects.settle(conn, **where, infos=[info])
        return place

    async def add_rendition(
        self, asset_id: str, name: str, segments: list[tuple[str, int, int]], *, init_key: str, chunk: int = 0
    ) -> None:
        """Add rows of one rendition; the segments are (key, duration in µs, size in bytes)."""
        sound = name == "audio"
        row = Rendition(
            name=name,
            kind="audio" if sound else "video",
            width=None if sound else 640,
            height=None if sound else 360,
            frame_rate=None if sound else 30.0,
            bandwidth=100_000 if sound else 800_000,
            codecs="mp4a.40.2" if sound else "avc1.64001e",
        )
        await self._add_rows(asset_id, row, segments, init_key=init_key, chunk=chunk)

    async def add_encoded(self, asset_id: str, encoded: EncodedRendition, directory: Path, *, chunk: int = 0) -> None:
        """Put what an encoder made for one chunk, files and rows."""
        prefix = f"videos/proxy/{asset_id}/{encoded.name}"
        for name in (encoded.init_file, *(segment.file for segment in encoded.segments)):
            body = (directory / name).read_bytes()
            await self.put(asset_id, f"{prefix}/{name}", body, role="segment", content_type="video/mp4")
        row = Rendition(
            name=encoded.name,
            kind="audio" if encoded.width is None else "video",
            width=encoded.width,
            height=encoded.height,
            frame_rate=encoded.frame_rate,
            bandwidth=encoded.bandwidth,
            codecs=encoded.codecs,
        )
        rows = [(f"{prefix}/{part.file}", part.duration_us, part.size_bytes) for part in encoded.segments]
        await self._add_rows(asset_id, row, rows, init_key=f"{prefix}/{encoded.init_file}", chunk=chunk)

    async def _add_rows(
        self, asset_id: str, rendition: Rendition, segments: list[tuple[str, int, int]], *, init_key: str, chunk: int
    ) -> None:
        async with self.plane.pool.connection() as conn, conn.transaction():
            await playback.put_rendition(conn, asset_id, rendition)
            await playback.replace_segments(
                conn,
                asset_id,
                rendition=rendition.name,
                chunk=chunk,
                store=self.opened.name,
                init_key=init_key,
                segments=segments,
            )


@asynccontextmanager
async def running_gateway(dsn: str, state_dir: Path, environ: Mapping[str, str]) -> AsyncIterator[Gateway]:
    """Serve a plane with these settings until the end of the block."""
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    named = {
        "MEDIAPLANE_STATE_DIR": str(state_dir),
        "MEDIAPLANE_PUBLIC_URL": url,
        "MEDIAPLANE_SIGNING_KEY": SIGNING_KEY,
    }
    with closing(listener):
        settings = replace(load_settings({**named, **environ}), database_url=dsn)
        async with open_plane(settings) as plane:
            stop, ready = asyncio.Event(), asyncio.Event()
            serving = asyncio.create_task(serve(plane, "", 0, stop, lambda _port: ready.set(), listener=listener))
            try:
                await asyncio.wait_for(ready.wait(), 60)
                yield Gateway(url, plane)
            finally:
                stop.set()
                await serving


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
