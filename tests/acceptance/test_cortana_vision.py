"""The whole story of `cortana-vision`: put into the bucket by hand, scanned, read, found, played, cut, deleted."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import av
import imageio_ffmpeg
import psycopg
import pytest

from tests.acceptance.plane import Plane, running_plane
from tests.services.recordings import make_recording

ASSET = "recording-0001"
PAGES = (
    (5.0, ("Quarterly report for the harbour office", "contact @marina_ops today")),
    (5.0, ("Invoice total 1,299.00 EUR", "see https://harbour.example/invoices #billing")),
    (4.0, ("Deployment finished without errors", "thank you @release_team")),
)
SECONDS = sum(seconds for seconds, _ in PAGES)


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    return make_recording(tmp_path_factory.mktemp("media") / "master.mp4", PAGES)


@pytest.fixture(params=["local", "seaweed", "rgw"])
def place(request, tmp_path):
    """Give settings of a store, and a way to put a file into it by hand and to list it."""
    if request.param == "local":
        root = tmp_path / "media"
        yield {"STORAGE_MODE": "local", "MEDIAPLANE_LOCAL_DIR": str(root)}, LocalHand(root)
        return
    server = request.getfixturevalue(request.param)
    bucket = f"story-{request.param}-{time.time_ns():x}"
    settings = {
        "S3_ENDPOINT": server.http_endpoint,
        "S3_BUCKET": bucket,
        "S3_ACCESS_KEY_ID": server.access_key,
        "S3_SECRET_ACCESS_KEY": server.secret_key,
    }
    yield settings, BucketHand(server, bucket)


def test_story_of_cortana_vision(place, recording, tmp_path):
    """Every step of the story works on the store, and in the end nothing is left in it."""
    settings, hand = place
    with running_plane(tmp_path / "state", "--workers", "2", MEDIAPLANE_CHUNK_SECONDS="7", **settings) as plane:
        hand.put(f"videos/original/{ASSET}/master.mp4", recording)
        assert plane.json("scan")["registered"] == [ASSET]
        assert plane.json("scan")["registered"] == [], "a second scan finds nothing new"
        shown = plane.wait_until_ready(ASSET)
        assert shown["status"] == "ready", shown["error"]

        the_catalog_and_the_store_agree(plane, hand)
        both_workers_took_part(shown)
        the_words_are_found(plane)
        the_recording_plays(plane)
        the_clips_start_on_the_right_frame(plane, recording, tmp_path)
        deleting_the_view_row_deletes_the_bytes(plane, hand)


def the_catalog_and_the_store_agree(plane: Plane, hand) -> None:
    with connect(plane) as conn:
        rows = {row[0] for row in conn.execute("SELECT key FROM mediaplane.objects WHERE state = 'stored'")}
        pending = conn.execute("SELECT count(*) FROM mediaplane.objects WHERE state = 'pending'").fetchone()
    assert pending == (0,)
    assert rows == hand.keys()
    assert {f"videos/proxy/{ASSET}/index.m3u8", f"thumbs/{ASSET}/poster.jpg"} <= rows
    assert any(key.startswith(f"frames/{ASSET}/") for key in rows)
    assert any(key.startswith("logs/pipeline/") for key in rows)


def both_workers_took_part(shown) -> None:
    chunks = [run for run in shown["stages"] if run["stage"] == "chunk"]
    assert len(chunks) == 2
    assert len({run["worker"] for run in shown["stages"]}) == 2


def the_words_are_found(plane: Plane) -> None:
    for query, start_ms, end_ms in (
        ('"harbour office"', 0, 5000),
        ("deploymnt finished", 10_000, 14_000),
        ("#billing", 5000, 10_000),
        ("@marina_ops", 0, 5000),
        ("number:1299", 5000, 10_000),
        ("url:harbour.example", 5000, 10_000),
        ("invo*", 5000, 10_000),
    ):
        answer = plane.json("search", query)
        assert answer["hits"], query
        hit = answer["hits"][0]
        assert hit["asset_id"] == ASSET
        assert hit["t_start_ms"] < end_ms + 1000, (query, hit)
        assert hit["t_end_ms"] > start_ms - 1000, (query, hit)
        assert hit["t_end_ms"] - hit["t_start_ms"] <= end_ms - start_ms + 3000, (query, hit)
        with urllib.request.urlopen(hit["frame_url"], timeout=10) as picture:
            assert picture.read(2) == b"\xff\xd8", "the frame is a JPEG"
    assert plane.json("search", "zebra")["hits"] == []
    assert plane.json("search", "deployment -finished")["hits"] == []


def the_recording_plays(plane: Plane) -> None:
    url = plane.json("url", ASSET)["url"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-progress", "pipe:1", "-i", url, "-f", "null", "-"]
    played = subprocess.run(command, capture_output=True, text=True, check=True)
    frames = [line for line in played.stdout.splitlines() if line.startswith("frame=")]
    assert int(frames[-1].partition("=")[2]) == SECONDS * 10


def the_clips_start_on_the_right_frame(plane: Plane, recording: Path, tmp_path: Path) -> None:
    for mode in ((), ("--exact",)):
        file = tmp_path / "clip.mp4"
        arguments = ("clip", ASSET, "6.3", "8.3", "--padding-ms", "0", "--output", str(file), *mode)
        made = plane.json(*arguments)
        again = plane.json(*arguments)
        assert again["clip_id"] == made["clip_id"], "asked twice, made once"
        assert first_picture(file) == pytest.approx(picture_at(recording, 6.3), abs=3.0)


def deleting_the_view_row_deletes_the_bytes(plane: Plane, hand) -> None:
    with connect(plane) as conn:
        conn.execute("DELETE FROM mediaplane.videos WHERE id = %s", (ASSET,))
    deadline = time.monotonic() + 30
    while hand.keys() and time.monotonic() < deadline:
        time.sleep(0.3)
    assert hand.keys() == set()
    assert plane.json("ls")["assets"] == []


def connect(plane: Plane):
    running = json.loads((plane.state_dir / "up.json").read_text())
    return psycopg.connect(running["database_url"], autocommit=True)


def first_picture(path: Path):
    """Return the mean of each of 8 × 8 tiles of the first frame a player shows."""
    with av.open(str(path)) as container:
        return tiles(next(frame for frame in container.decode(video=0) if frame.pts * frame.time_base >= 0))


def picture_at(path: Path, seconds: float):
    with av.open(str(path)) as container:
        return tiles(next(frame for frame in container.decode(video=0) if frame.time >= seconds - 0.001))


def tiles(frame):
    gray = frame.to_ndarray(format="gray")
    height, width = gray.shape[0] // 8 * 8, gray.shape[1] // 8 * 8
    return gray[:height, :width].reshape(8, height // 8, 8, width // 8).mean((1, 3)).ravel()


class LocalHand:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, file: Path) -> None:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, self.root / key)

    def keys(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


class BucketHand:
    def __init__(self, server, bucket: str) -> None:
        self.bucket = bucket
        self.client = server.client()

    def put(self, key: str, file: Path) -> None:
        self.client.upload_file(str(file), self.bucket, key)

    def keys(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}
