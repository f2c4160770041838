"""Modes and several stores: whatever goes where, it plays, is cut and is deleted alike."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import imageio_ffmpeg
import psycopg
import pytest

from mediaplane.media.ids import new_id
from mediaplane.storage.placement import Placement
from tests.acceptance.plane import MEDIAPLANE, clean_environ, running_plane
from tests.services.recordings import make_recording

FRAMES = 20  # two seconds at ten a second
QUICK = {"OCR_ENGINE": "off", "HLS_SHORT_SIDES": "360", "MEDIAPLANE_CHUNK_SECONDS": "6"}
HALF = Placement("hybrid", 50, {"default": "s3"}, {"s3": "local"})


@pytest.fixture
def recording(tmp_path) -> Path:
    return make_recording(tmp_path / "given.mp4", [(2.0, ("Harbour office report",))], sound=False)


def own_server(server, **more: str) -> dict[str, str]:
    keys = {"S3_ACCESS_KEY_ID": server.access_key, "S3_SECRET_ACCESS_KEY": server.secret_key}
    return {"S3_ENDPOINT": server.http_endpoint, **keys, **QUICK, **more}


def bucket_keys(server, bucket: str) -> set[str]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def directory_keys(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def rows(plane) -> dict[str, set[str]]:
    """Keys of stored objects by store, as the catalog knows them."""
    running = json.loads((plane.state_dir / "up.json").read_text())
    found: dict[str, set[str]] = {}
    with psycopg.connect(running["database_url"]) as conn:
        for store, key in conn.execute("SELECT store, key FROM mediaplane.objects WHERE state = 'stored'"):
            found.setdefault(store, set()).add(key)
    return found


def frames_played(url: str) -> int:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-progress", "pipe:1", "-i", url, "-f", "null", "-"]
    played = subprocess.run(command, capture_output=True, text=True, check=True)
    return int([line for line in played.stdout.splitlines() if line.startswith("frame=")][-1].partition("=")[2])


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)


def id_that_goes(*, to_buckets: bool) -> str:
    return next(name for name in iter(new_id, "") if HALF.uses_buckets(name) == to_buckets)


def test_hybrid_mode_from_ingest_to_deletion(seaweed, recording, tmp_path):
    """Half of the assets go to the bucket, half to the directory; all play, are cut, keep their bytes and lose them."""
    bucket = f"hybrid-{time.time_ns():x}"
    media = tmp_path / "media"
    settings = own_server(
        seaweed, STORAGE_MODE="hybrid", S3_SPLIT_PERCENTAGE="50", S3_MEDIA_BUCKET=bucket, YTDLP_DOWNLOAD_DIR=str(media)
    )
    with running_plane(tmp_path / "state", **settings) as plane:
        # put by hand, so that the test chooses the ids: one where the mode sends it, one where it does not
        ids = {way: id_that_goes(to_buckets=way == "s3") for way in ("s3", "local")}
        for place, asset_id in {"s3": ids["local"], "local": ids["s3"]}.items():
            key = f"videos/original/{asset_id}/master.mp4"
            if place == "s3":
                seaweed.client().upload_file(str(recording), bucket, key)
            else:
                (media / key).parent.mkdir(parents=True)
                (media / key).write_bytes(recording.read_bytes())
        assert sorted(plane.json("scan")["registered"]) == sorted(ids.values())
        for asset_id in ids.values():
            shown = plane.wait_until_ready(asset_id)
            assert shown["status"] == "ready", shown["error"]
        wait_until(lambda: rows(plane) == {"s3": bucket_keys(seaweed, bucket), "local": directory_keys(media)})

        shown = plane.json("show", ids["s3"])
        assert shown["media_url"] == str(media / f"videos/original/{ids['s3']}/master.mp4"), "the row says where it is"
        assert plane.json("show", ids["local"])["media_url"].startswith(f"s3://{bucket}/videos/original/")
        for way, asset_id in ids.items():
            made = {key for key in rows(plane)[way] if key.startswith(f"videos/proxy/{asset_id}/")}
            assert made, "what is made goes where the mode says, wherever the original is"
            assert frames_played(plane.json("url", asset_id)["url"]) == FRAMES
            file = tmp_path / f"{way}.mp4"
            plane.json("clip", asset_id, "0.5", "1.5", "--padding-ms", "0", "--exact", "-o", str(file))
            assert frames_played(str(file)) == 10
        doctor = {check["check"]: check for check in plane.json("doctor")["checks"]}
        assert doctor["store s3"]["ok"] and doctor["store local"]["ok"]

        plane.run("rm", *ids.values())
        wait_until(lambda: not bucket_keys(seaweed, bucket) and not directory_keys(media))


def test_hybrid_mode_ingests_both_ways(recording, tmp_path):
    """`ingest` follows the split too, here with the embedded server; back in local mode all of it still plays."""
    with running_plane(tmp_path / "state", STORAGE_MODE="hybrid", S3_SPLIT_PERCENTAGE="50", **QUICK) as plane:
        ways: dict[str, str] = {}
        taken_ids = []
        for number in range(30):
            copy = tmp_path / f"{number}.mp4"
            copy.write_bytes(recording.read_bytes() + bytes([number]))  # other bytes, or it would be the same asset
            (taken,) = plane.json("ingest", "--no-wait", str(copy))["assets"]
            taken_ids.append(taken["asset_id"])
            bucket = HALF.uses_buckets(taken["asset_id"])
            media_url = plane.json("show", taken["asset_id"])["media_url"]
            assert media_url.startswith("s3://cortana-vision-dev/" if bucket else str(tmp_path / "state"))
            ways["s3" if bucket else "local"] = taken["asset_id"]
            if len(ways) == 2:
                break
        assert len(ways) == 2
        for asset_id in ways.values():
            assert plane.wait_until_ready(asset_id)["status"] == "ready"
    with running_plane(tmp_path / "state", STORAGE_MODE="local", **QUICK) as plane:
        for asset_id in ways.values():
            assert frames_played(plane.json("url", asset_id)["url"]) == FRAMES
        plane.run("rm", *taken_ids)
        wait_until(lambda: not any(rows(plane).values()))


PROFILE = """
[settings]
S3_PUBLIC_URL = "{cdn}"

[stores.raw]
bucket_variable = "RAW_BUCKET"

[stores.out]
bucket_variable = "OUT_BUCKET"
endpoint_variable = "OUT_ENDPOINT"
access_key_id_variable = "OUT_KEY"
secret_access_key_variable = "OUT_SECRET"
provider = "ceph"

[stores.assets]
tier = "public"
bucket_variable = "ASSETS_BUCKET"

[placement]
default = "out"
original = "raw"
poster = "assets"
frame = "assets"

[layout]
original = "in/{{asset_id}}.{{ext}}"
playlist = "hls/{{asset_id}}/{{name}}"
segment = "hls/{{asset_id}}/{{rendition}}/{{name}}"
clip = "clips/{{asset_id}}/{{clip_id}}.mp4"
frame = "frames/{{asset_id}}/{{timestamp_ms}}.jpg"
poster = "posters/{{asset_id}}.jpg"
log = "logs/{{job_id}}.json"
"""


def test_stores_of_two_providers_and_tiers(seaweed, rgw, recording, tmp_path):
    """Originals on one server, what is made of them on another, pictures in a public bucket with a CDN's URLs."""
    names = {name: f"{name}-{time.time_ns():x}" for name in ("raw", "out", "assets")}
    # the bucket itself stands in for the CDN: it is made readable by all below
    profile = tmp_path / "three.toml"
    profile.write_text(PROFILE.format(cdn=f"{seaweed.http_endpoint}/{names['assets']}"))
    settings = own_server(
        seaweed,
        MEDIAPLANE_PROFILE=str(profile),
        RAW_BUCKET=names["raw"],
        OUT_BUCKET=names["out"],
        ASSETS_BUCKET=names["assets"],
        OUT_ENDPOINT=rgw.http_endpoint,
        OUT_KEY=rgw.access_key,
        OUT_SECRET=rgw.secret_key,
    )
    with running_plane(tmp_path / "state", **settings) as plane:
        (taken,) = plane.json("ingest", str(recording))["assets"]
        assert taken["status"] == "ready", taken["error"]
        asset_id = taken["asset_id"]
        places = {"raw": seaweed, "out": rgw, "assets": seaweed}
        wait_until(lambda: rows(plane) == {name: bucket_keys(server, names[name]) for name, server in places.items()})
        kinds = {name: {key.split("/")[0] for key in keys} for name, keys in rows(plane).items()}
        assert kinds == {"raw": {"in"}, "out": {"hls", "logs"}, "assets": {"posters"}}
        assert plane.json("show", asset_id)["media_url"] == f"s3://{names['raw']}/in/{asset_id}.mp4"

        assert frames_played(plane.json("url", asset_id)["url"]) == FRAMES
        poster = plane.json("url", asset_id, "--role", "poster")["url"]
        assert poster == f"{seaweed.http_endpoint}/{names['assets']}/posters/{asset_id}.jpg", "not signed"
        make_public(seaweed, names["assets"])
        with urllib.request.urlopen(poster, timeout=10) as picture:
            assert picture.read(2) == b"\xff\xd8"
        assert "X-Amz-Signature" in plane.json("url", asset_id, "--role", "original")["url"], "signed, as it is private"

        plane.run("rm", asset_id)
        wait_until(lambda: not any(bucket_keys(server, names[name]) for name, server in places.items()))


def make_public(server, bucket: str) -> None:
    statement = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*",
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server.client().put_bucket_policy(Bucket=bucket, Policy=policy)


def test_local_mode_while_the_bucket_is_down(recording, tmp_path):
    """The way back: with the mode at local `up` starts, says what is wrong with the bucket, and works without it."""
    settings = own_server(Unreachable(), STORAGE_MODE="local")
    with running_plane(tmp_path / "state", **settings) as plane:
        told = " ".join((tmp_path / "state" / "up.log").read_text().split())
        assert "store s3 cannot be read" in told
        assert "connection refused" in told
        (taken,) = plane.json("ingest", str(recording))["assets"]
        assert taken["status"] == "ready", taken["error"]
        assert frames_played(plane.json("url", taken["asset_id"])["url"]) == FRAMES
        scanned = plane.run("scan", "--json", check=False)
        assert scanned.returncode == 1
        assert [store for store, _ in json.loads(scanned.stdout)["failed"]] == ["s3"]


class Unreachable:
    http_endpoint = "http://127.0.0.1:1"
    access_key = secret_key = "none"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"S3_SECRET_ACCESS_KEY": "wrong"}, "check S3_SECRET_ACCESS_KEY"),
        ({"S3_ACCESS_KEY_ID": "", "R2_ACCESS_KEY_ID": "nobody"}, "check R2_ACCESS_KEY_ID"),
        ({"S3_ENDPOINT": "", "S3_ENDPOINT_URL": "http://127.0.0.1:1"}, "check S3_ENDPOINT_URL"),
    ],
)
def test_up_says_in_one_line_what_is_wrong_with_a_store(seaweed, tmp_path, change, says):
    """And names the variable in which it stands."""
    environ = clean_environ(tmp_path / "state", **own_server(seaweed, **change))
    finished = subprocess.run(
        [MEDIAPLANE, "up", "--port", "0"], env=environ, capture_output=True, text=True, timeout=90, check=False
    )
    assert finished.returncode == 1
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("mediaplane:")]
    assert says in line and "store s3" in line
