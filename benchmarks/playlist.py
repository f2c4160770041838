"""One answer of the gateway: a playlist of 1,000 signed segments, processor time of application and client together."""

import asyncio
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from mediaplane.catalog import assets, playback
from mediaplane.catalog.playback import Rendition
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.gateway.app import create_app
from mediaplane.logs import set_up_logging
from mediaplane.postgres import migrate
from mediaplane.settings import load_settings
from mediaplane.wiring import Plane, open_plane

RUNS = 41
SEGMENTS = 1000
ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"


def main() -> None:
    """Print the figure."""
    set_up_logging(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres(Path(directory)) as postgres:
        environ = {
            "MEDIAPLANE_STATE_DIR": directory,
            "DATABASE_URL": postgres.dsn,
            "MEDIAPLANE_PUBLIC_URL": "http://127.0.0.1:8420",
            "S3_ENDPOINT": "http://127.0.0.1:1",
            "S3_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "S3_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        }
        taken_ms = asyncio.run(_measure(environ))
    ours = round(statistics.median(taken_ms), 2)
    figure = {"name": "playlist_1000_ms", "value": ours, "ours": ours, "peer": None, "peer_name": None}
    print(json.dumps({**figure, "unit": "ms CPU a request", "runs": RUNS}))


async def _measure(environ: dict[str, str]) -> list[float]:
    settings = load_settings(environ)
    await migrate(settings.database_url)
    async with open_plane(settings) as plane:
        await _fill(plane)
        url = plane.playback_url(ASSET).replace("index.m3u8", "360p.m3u8")
        transport = httpx.ASGITransport(create_app(plane))
        async with httpx.AsyncClient(transport=transport) as client:
            return [await _cost_ms(client, url) for _ in range(RUNS)]


async def _cost_ms(client: httpx.AsyncClient, url: str) -> float:
    began = time.process_time()
    answer = await client.get(url)
    spent_ms = (time.process_time() - began) * 1000
    assert answer.text.count("X-Amz-Signature=") == SEGMENTS + 1
    return spent_ms


async def _fill(plane: Plane) -> None:
    segments = [(f"videos/proxy/{ASSET}/360p/c00000_{number:05}.m4s", 6_000_000, 300_000) for number in range(SEGMENTS)]
    row = Rendition("360p", "video", 640, 360, 30.0, 800_000, "avc1.64001e")
    init_key = f"videos/proxy/{ASSET}/360p/init.mp4"
    async with plane.pool.connection() as conn:
        owner = {"owner": "local", "team": "local", "title": "", "status": "ready", "digest": None}
        await assets.add(conn, asset_id=ASSET, **owner)
        await playback.put_rendition(conn, ASSET, row)
        place = {"rendition": "360p", "chunk": 0, "store": "s3", "init_key": init_key}
        await playback.replace_segments(conn, ASSET, **place, segments=segments)


if __name__ == "__main__":
    main()
