"""The whole story of `mpr`: recordings at relative keys in one bucket, artefacts in the other, scripts over both."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.plane import OURS, READY_SECONDS, Plane, running_plane
from tests.services.made_media import ffmpeg
from tests.services.recordings import make_recording

MATCH = "chunks/2025-04-15/match-01.mp4"
TRAINING = "chunks/2025-04-16/träning 2 (cam+b).mp4"
SCOREBOARD = ((3.0, ("Rovers 2 : 1 Wanderers", "second half @refcam")), (3.0, ("Substitution number 14",)))

# What the deployment's own stages do; it knows nothing but its variables.
SCRIPT = """
import json, sys
from mediaplane.storage import (get_s3_client, list_objects, download_file, download_to_temp, upload_file,
                                get_presigned_url, BUCKET_IN, BUCKET_OUT)
asset_id, key, target, new = sys.argv[1:]
frames = list_objects(BUCKET_OUT, prefix=f"frames/{asset_id}/")
poster = download_file(BUCKET_OUT, f"posters/{asset_id}.jpg", target)
with download_to_temp(BUCKET_OUT, f"hls/{asset_id}/index.m3u8") as playlist:
    text = open(playlist).read()
overlay = upload_file(target, BUCKET_OUT, f"overlays/{asset_id}/0.jpg")
upload_file(new, BUCKET_IN, "uploads/by-script.mp4")
head = get_s3_client().head_object(Bucket=BUCKET_OUT, Key=f"overlays/{asset_id}/0.jpg")
print(json.dumps({"in": list_objects(BUCKET_IN), "frames": frames, "playlist": text, "overlay": overlay,
                  "type": head["ContentType"], "url": get_presigned_url(BUCKET_IN, key)}))
"""


@pytest.fixture
def deployment(seaweed, fresh_bucket):
    """The variables of the deployment, as written there."""
    return {
        "S3_ENDPOINT_URL": seaweed.http_endpoint,
        "S3_BUCKET_IN": fresh_bucket(seaweed),
        "S3_BUCKET_OUT": fresh_bucket(seaweed),
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_story_of_mpr(seaweed, deployment, tmp_path):
    """Recordings are found where they lie, worked on, read by scripts, replaced, and removed with all of it."""
    buckets = Buckets(seaweed.client(), deployment["S3_BUCKET_IN"], deployment["S3_BUCKET_OUT"])
    small = make_sound(tmp_path / "small.mp4", seconds=2)
    buckets.put(MATCH, make_recording(tmp_path / "match.mp4", SCOREBOARD))
    buckets.put(TRAINING, small)
    buckets.put("chunks/2025-04-15/calibration.json", small)
    buckets.put(".trash/old.mp4", small)
    options = {"MEDIAPLANE_PROFILE": "mpr", "HLS_SHORT_SIDES": "360", "FRAMES_PER_SECOND": "2"}
    with running_plane(tmp_path / "state", **deployment, **options) as plane:
        report = plane.json("scan")
        assert len(report["registered"]) == 2
        assert sorted(key for key, _ in report["skipped"]) == [".trash/old.mp4", "chunks/2025-04-15/calibration.json"]
        ids = {asset["title"]: asset["asset_id"] for asset in plane.json("ls")["assets"]}
        assert set(ids) == {MATCH, TRAINING}, "rows have the relative paths as given"
        assert plane.json("scan")["registered"] == [], "and keep their ids"
        for asset_id in ids.values():
            wait_until_ready(plane, asset_id)

        originals_and_artefacts_are_apart(plane, buckets, ids[MATCH])
        the_words_are_found(plane, ids[MATCH])
        the_old_tables_tell_the_state(plane, ids[MATCH])
        new = make_sound(tmp_path / "new.mp4", seconds=1)
        the_script_uses_both_buckets(deployment, ids[MATCH], tmp_path, new)
        the_bucket_settings_are_the_buckets_own(buckets)
        what_the_script_uploaded_is_found(plane)
        replaced_bytes_are_worked_on_anew(plane, buckets, ids[TRAINING], new)
        removing_an_asset_empties_both_buckets(plane, buckets, ids)


def make_sound(path: Path, seconds: int) -> Path:
    """Write a recording without pictures: it takes no time to read the screen in."""
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac", path)
    return path


def originals_and_artefacts_are_apart(plane: Plane, buckets: "Buckets", match: str) -> None:
    made = buckets.keys(buckets.out)
    assert {f"hls/{match}/index.m3u8", f"posters/{match}.jpg"} <= made
    assert any(key.startswith(f"frames/{match}/") for key in made)
    assert not any(key.startswith(("hls/", "frames/", "logs/")) for key in buckets.keys(buckets.source))
    with connect(plane) as conn:
        rows = set(conn.execute("SELECT store, key FROM mediaplane.objects WHERE state = 'stored'"))
        pending = conn.execute("SELECT count(*) FROM mediaplane.objects WHERE state = 'pending'").fetchone()
    assert rows == {("in", MATCH), ("in", TRAINING)} | {("out", key) for key in made}
    assert pending == (0,)


def the_words_are_found(plane: Plane, match: str) -> None:
    hits = plane.json("search", '"rovers 2"')["hits"]
    assert [hit["asset_id"] for hit in hits] == [match]
    with urllib.request.urlopen(hits[0]["frame_url"], timeout=10) as picture:
        assert picture.read(2) == b"\xff\xd8"


def the_old_tables_tell_the_state(plane: Plane, match: str) -> None:
    with connect(plane) as conn:
        states = conn.execute(
            "SELECT DISTINCT video_key, status FROM mediaplane.Checkpoint WHERE asset_id = %s", (match,)
        ).fetchall()
        outputs = conn.execute(
            "SELECT s.key FROM mediaplane.StageOutput s JOIN mediaplane.Checkpoint c ON c.id = s.checkpoint_id "
            "WHERE c.video_key = %s AND s.stage = 'assemble' AND s.kind = 'poster'",
            (MATCH,),
        ).fetchall()
    assert states == [(MATCH, "done")]
    assert outputs == [(f"posters/{match}.jpg",)]


def the_script_uses_both_buckets(deployment: dict[str, str], match: str, tmp_path: Path, new: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    arguments = [sys.executable, "-c", SCRIPT, match, MATCH, str(tmp_path / "by-script" / "poster.jpg"), str(new)]
    finished = subprocess.run(
        arguments, env={**environ, **deployment}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert {MATCH, TRAINING, "uploads/by-script.mp4"} <= set(told["in"])
    assert told["frames"]
    assert told["playlist"].startswith("#EXTM3U")
    assert (tmp_path / "by-script" / "poster.jpg").read_bytes().startswith(b"\xff\xd8")
    assert told["overlay"] == f"s3://{deployment['S3_BUCKET_OUT']}/overlays/{match}/0.jpg"
    assert told["type"] == "image/jpeg"
    with urllib.request.urlopen(told["url"], timeout=10) as original:
        assert original.read() == (tmp_path / "match.mp4").read_bytes()


def the_bucket_settings_are_the_buckets_own(buckets: "Buckets") -> None:
    for bucket in (buckets.source, buckets.out):
        with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
            buckets.client.get_bucket_cors(Bucket=bucket)


def what_the_script_uploaded_is_found(plane: Plane) -> None:
    (asset_id,) = plane.json("scan")["registered"]
    assert wait_until_ready(plane, asset_id)[0] == "uploads/by-script.mp4"


def replaced_bytes_are_worked_on_anew(plane: Plane, buckets: "Buckets", training: str, new: Path) -> None:
    _, before_ms = wait_until_ready(plane, training)
    buckets.put(TRAINING, new)
    assert plane.json("scan")["registered"] == [training], "the place keeps its id"
    _, after_ms = wait_until_ready(plane, training)
    assert after_ms < before_ms


def removing_an_asset_empties_both_buckets(plane: Plane, buckets: "Buckets", ids: dict[str, str]) -> None:
    plane.run("rm", *ids.values())
    deadline = time.monotonic() + 30
    while {MATCH, TRAINING} & buckets.keys(buckets.source) or left(buckets, ids):
        assert time.monotonic() < deadline, left(buckets, ids)
        time.sleep(0.3)
    assert "chunks/2025-04-15/calibration.json" in buckets.keys(buckets.source), "what is not ours stays"


def wait_until_ready(plane: Plane, asset_id: str) -> tuple[str, int]:
    """Return title and length of the asset once it is ready."""
    query = "SELECT status, title, duration_ms, error_message FROM mediaplane.assets WHERE asset_id = %s"
    deadline = time.monotonic() + READY_SECONDS
    with connect(plane) as conn:
        while (row := conn.execute(query, (asset_id,)).fetchone())[0] == "processing":
            assert time.monotonic() < deadline, plane.logs()
            time.sleep(0.2)
    assert row[0] == "ready", row
    return row[1], row[2]


def left(buckets: "Buckets", ids: dict[str, str]) -> set[str]:
    mine = {key for key in buckets.keys(buckets.out) if any(asset_id in key for asset_id in ids.values())}
    return {key for key in mine if not key.startswith("overlays/")}  # those are the script's


def connect(plane: Plane):
    running = json.loads((plane.state_dir / "up.json").read_text())
    return psycopg.connect(running["database_url"], autocommit=True)


class Buckets:
    """Both buckets, behind the plane's back."""

    def __init__(self, client, source: str, out: str) -> None:
        self.client, self.source, self.out = client, source, out

    def put(self, key: str, file: Path) -> None:
        self.client.upload_file(str(file), self.source, key)

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}
