"""The storage half of `bookmarkai`: from a directory to S3 in steps and back, with everything readable at each step."""

import asyncio
import re
import struct
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urljoin

import imageio_ffmpeg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mediaplane.catalog import objects
from mediaplane.media.keys import ObjectKey
from mediaplane.servers import find_services
from mediaplane.settings import load_settings
from mediaplane.storage.placement import read_placement
from mediaplane.wiring import open_plane
from tests.acceptance.plane import MEDIAPLANE, START_SECONDS, Plane, clean_environ
from tests.services.made_media import make_pattern
from tests.services.rgw import free_port

ROLLOUT = (
    ("local", "10"),
    ("hybrid", "10"),
    ("hybrid", "25"),
    ("hybrid", "50"),
    ("hybrid", "75"),
    ("s3", "75"),
    ("local", "10"),
)
CUT_AT = (5, 6)  # the steps in which clips are made of the oldest of each kind
KEY = re.compile(r"temp/videos/(\d{4}/\d{2}/\d{2})/[0-9a-f]{16}_(\d+)\.mp4")


@dataclass
class Bookmark:
    """An asset as the deployment keeps it in its own rows."""

    asset_id: str
    content: bytes
    media_url: str
    playback_url: str


@pytest.fixture
def deployment(seaweed, fresh_bucket, dsn, tmp_path):
    """The variables of the deployment, as written there, and which servers it has."""
    return {
        "MEDIAPLANE_PROFILE": "bookmarkai",
        "DATABASE_URL": url_of(dsn),
        "MEDIAPLANE_PORT": str(free_port()),
        "S3_MEDIA_BUCKET": fresh_bucket(seaweed),
        "S3_VIDEO_PREFIX": "temp/videos",
        "YTDLP_DOWNLOAD_DIR": str(tmp_path / "downloads"),
        "AWS_ENDPOINT_URL_S3": seaweed.http_endpoint,
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
        "AWS_REGION": "us-east-1",
        "OCR_ENGINE": "off",
        "FRAMES_PER_SECOND": "1",
        "HLS_SHORT_SIDES": "64",
    }


def url_of(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"


def test_storage_half_of_bookmarkai(deployment, seaweed, tmp_path):
    """local → hybrid 10 → 25 → 50 → 75 → s3 → local: each step writes where it says and reads whatever there is.

    At each step the worker is restarted with the new variables, as is whoever ingests; the gateway is never.
    """
    template = make_pattern(tmp_path / "video.mp4", seconds=1, rate="10", sound=False).read_bytes()
    environ = clean_environ(tmp_path / "state", **deployment)
    kept: list[Bookmark] = []
    with running("serve", environ, tmp_path) as gateway:
        wait_for(f"http://127.0.0.1:{deployment['MEDIAPLANE_PORT']}/readyz")
        for step, (mode, percentage) in enumerate(ROLLOUT):
            settings = {**environ, "STORAGE_MODE": mode, "S3_SPLIT_PERCENTAGE": percentage}
            with running("worker", settings, tmp_path) as process:
                plane = Plane(settings, tmp_path, process)
                kept.append(new := take_in(plane, tmp_path / f"video-{step}.mp4", numbered(template, step)))
                written_where_the_mode_says(plane, new, mode, deployment, seaweed)
                everything_can_be_read(plane, kept)
                if step in CUT_AT:
                    clips_can_be_cut(plane, kept)
                    kept.remove(gone := oldest(kept, in_bucket=mode == "local"))
                    what_is_deleted_is_gone(gone, deployment, seaweed)
        assert gateway.poll() is None


@contextmanager
def running(command: str, environ: dict[str, str], directory: Path):
    """Run a process of the plane for the block."""
    with (directory / f"{command}.log").open("ab") as log:
        process = subprocess.Popen([MEDIAPLANE, command], env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        status = process.wait(60)
    assert status == 0, (directory / f"{command}.log").read_text()[-3000:]


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            fetch(url)
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.2)
        else:
            return


def numbered(template: bytes, number: int) -> bytes:
    """Return the same video as a file of its own: players skip a `free` box."""
    return template + struct.pack(">I4sI", 12, b"free", number)


def take_in(plane: Plane, path: Path, content: bytes) -> Bookmark:
    path.write_bytes(content)
    (taken,) = plane.json("ingest", str(path))["assets"]
    assert taken["status"] == "ready", taken
    asset_id = taken["asset_id"]

    async def describe(opened):
        return Bookmark(asset_id, content, (await original(opened, asset_id))[0], opened.playback_url(asset_id))

    return inside(plane, describe)


async def original(opened, asset_id: str):
    """Return the media URL of the asset's original, its store, and its key."""
    async with opened.pool.connection() as conn:
        row = await objects.original(conn, asset_id)
    return opened.media_url(row), opened.stores[row.store], ObjectKey(row.key)


def written_where_the_mode_says(plane: Plane, new: Bookmark, mode: str, deployment, seaweed) -> None:
    to_bucket = read_placement(load_settings(plane.environ)).uses_buckets(new.asset_id)
    assert mode == "hybrid" or to_bucket == (mode == "s3")
    bucket = deployment["S3_MEDIA_BUCKET"]
    start = f"s3://{bucket}/" if to_bucket else f"{deployment['YTDLP_DOWNLOAD_DIR']}/"
    assert new.media_url.startswith(start)
    key = KEY.fullmatch(new.media_url.removeprefix(start))
    assert key, new.media_url
    assert key[1] == f"{datetime.fromtimestamp(int(key[2]), UTC):%Y/%m/%d}"
    if to_bucket:
        stored = seaweed.client().get_object(Bucket=bucket, Key=key[0])["Body"].read()
    else:
        stored = Path(new.media_url).read_bytes()
    assert stored == new.content
    with psycopg.connect(deployment["DATABASE_URL"]) as conn:
        query = "SELECT DISTINCT store FROM mediaplane.objects WHERE asset_id = %s"
        stores = conn.execute(query, (new.asset_id,)).fetchall()
    assert stores == [("s3" if to_bucket else "local",)], "what is made of it goes the same way"


def everything_can_be_read(plane: Plane, kept: list[Bookmark]) -> None:
    """Whatever the mode: the rows say where it is, and links of earlier steps still play."""

    async def read(opened):
        found = []
        for bookmark in kept:
            media_url, place, key = await original(opened, bookmark.asset_id)
            assert media_url == bookmark.media_url, "nothing moved"
            assert b"".join([chunk async for chunk in place.store.read(key)]) == bookmark.content
            part = b"".join([chunk async for chunk in place.store.read(key, start=10, length=20)])
            assert part == bookmark.content[10:30]
            found.append((bookmark, place.signer.sign_get(key)))
        return found

    for bookmark, signed in inside(plane, read):
        assert fetch(signed) == bookmark.content
        assert fetch(signed, {"Range": "bytes=5-9"}) == bookmark.content[5:10]
        assert played_bytes(bookmark.playback_url) > 0


def played_bytes(url: str) -> int:
    """Return how many bytes a player that takes the first rendition fetches."""
    rendition = first_uri(url)
    lines = fetch(rendition).decode().splitlines()
    pieces = [urljoin(rendition, line) for line in lines if line and not line.startswith("#")]
    pieces += [urljoin(rendition, found[1]) for line in lines if (found := re.search(r'EXT-X-MAP:URI="([^"]+)"', line))]
    assert len(pieces) >= 2
    return sum(len(fetch(piece)) for piece in pieces)


def first_uri(url: str) -> str:
    lines = fetch(url).decode().splitlines()
    return urljoin(url, next(line for line in lines if line and not line.startswith("#")))


def oldest(kept: list[Bookmark], *, in_bucket: bool) -> Bookmark:
    return next(bookmark for bookmark in kept if bookmark.media_url.startswith("s3://") == in_bucket)


def clips_can_be_cut(plane: Plane, kept: list[Bookmark]) -> None:
    for in_bucket in (False, True):
        asset_id = oldest(kept, in_bucket=in_bucket).asset_id
        file = plane.state_dir / f"{asset_id}.mp4"
        plane.run("clip", asset_id, "0.2", "0.7", "--padding-ms", "0", "--output", str(file))
        frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(file))
        assert frames >= 5
        assert seconds <= 1


def what_is_deleted_is_gone(gone: Bookmark, deployment, seaweed) -> None:
    with psycopg.connect(deployment["DATABASE_URL"]) as conn:
        conn.execute("DELETE FROM mediaplane.assets WHERE asset_id = %s", (gone.asset_id,))
    client, bucket = seaweed.client(), deployment["S3_MEDIA_BUCKET"]
    directory = Path(deployment["YTDLP_DOWNLOAD_DIR"])

    def left() -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        keys += [str(path) for path in directory.rglob("*") if path.is_file()]
        original = gone.media_url.removeprefix(f"s3://{bucket}/")
        return [key for key in keys if gone.asset_id in key or key == original]

    deadline = time.monotonic() + 30
    while left():
        assert time.monotonic() < deadline, left()
        time.sleep(0.3)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(gone.playback_url)


def inside(plane: Plane, work):
    """Return what `work` returns, given the plane opened in this process with the same variables."""

    async def run():
        async with open_plane(find_services(load_settings(plane.environ)), max_connections=2) as opened:
            return await work(opened)

    return asyncio.run(run())


def fetch(url: str, headers: dict[str, str] | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=15) as answer:
        return answer.read()
