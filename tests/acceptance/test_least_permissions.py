"""Whole stories on a real Ceph with users that may do exactly what `bucket policy` prints, and nothing else."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.plane import MEDIAPLANE, Plane, clean_environ, running_plane
from tests.services.recordings import make_recording
from tests.services.rgw import Rgw, free_port, missing_binaries

PAGES = ((4.0, ("Quarterly report for the harbour office",)), (3.0, ("Deployment finished",)))
ROLES = ("gateway", "worker", "scanner")
USER = "arn:aws:iam:::user/{role}"


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    return make_recording(tmp_path_factory.mktemp("media") / "master.mp4", PAGES)


@pytest.fixture(scope="module")
def keys():
    """Access and secret key of every user."""
    return {name: (f"{name}-access", f"{name}-secret") for name in ("owner", *ROLES)}


@pytest.fixture(scope="module")
def ceph(tmp_path_factory, s3_certificate, rgw, keys):
    """A Ceph with a user for each role."""
    assert not missing_binaries(), "the fixture `rgw` has looked"
    ports = (free_port(), free_port())
    cluster = Rgw(
        tmp_path_factory.mktemp("ceph"), s3_certificate.certificate, s3_certificate.private_key, rgw.domain, keys,
        *ports,
    )  # fmt: skip
    try:
        cluster.start()
        access, secret = keys["owner"]
        yield replace(rgw, http_endpoint=f"http://127.0.0.1:{ports[0]}", access_key=access, secret_key=secret)
    finally:
        cluster.stop()


def give_permissions(ceph, bucket: str, environ: dict[str, str], principal: str) -> None:
    """Make the bucket and put on it what the command prints."""
    command = [MEDIAPLANE, "bucket", "policy", "--format", "bucket", "--principal", principal]
    printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    client = ceph.client()
    client.create_bucket(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=printed)


def keys_in(ceph, bucket: str) -> set[str]:
    return {entry["Key"] for entry in ceph.client().list_objects_v2(Bucket=bucket).get("Contents", [])}


def wait_until_empty(ceph, bucket: str) -> None:
    deadline = time.monotonic() + 60
    while keys_in(ceph, bucket) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert keys_in(ceph, bucket) == set()


def the_asset_becomes_ready_and_is_cut(plane: Plane, asset_id: str) -> None:
    shown = plane.wait_until_ready(asset_id)
    assert shown["status"] == "ready", shown["error"]
    plane.run("clip", asset_id, "0:01", "0:03")


def checks_of(plane: Plane) -> dict[str, dict]:
    return {entry["check"]: entry for entry in json.loads(plane.run("doctor", "--json", check=False).stdout)["checks"]}


def test_story_with_a_user_for_each_role(ceph, keys, recording, tmp_path):
    """Scanned, ingested, made, cut and deleted, each by the role whose work it is, with its own keys."""
    bucket = "roles-cortana"
    settings = {"S3_ENDPOINT": ceph.http_endpoint, "S3_PROVIDER": "ceph", "S3_BUCKET": bucket, "OCR_ENGINE": "off"}
    for role, prefix in {"owner": "", **{role: f"{role.upper()}_" for role in ROLES}}.items():
        settings |= {f"{prefix}S3_ACCESS_KEY_ID": keys[role][0], f"{prefix}S3_SECRET_ACCESS_KEY": keys[role][1]}
    give_permissions(ceph, bucket, clean_environ(tmp_path / "state", **settings), USER)
    with running_plane(tmp_path / "state", **settings) as plane:
        ceph.client().upload_file(str(recording), bucket, "videos/original/by-hand/master.mp4")
        assert plane.json("scan")["registered"] == ["by-hand"]
        the_asset_becomes_ready_and_is_cut(plane, "by-hand")
        plane.run("rm", "by-hand")
        wait_until_empty(ceph, bucket)
        plane.run("ingest", str(recording))
        assert any(key.startswith("videos/original/") for key in keys_in(ceph, bucket))
        assert "access_denied" not in plane.logs()


def test_story_of_bookmarkai_with_three_actions(ceph, keys, recording, tmp_path):
    """One user that may put, get and delete under the prefixes: stored, made, cut, deleted; start and doctor pass."""
    bucket = "three-actions"
    settings = {
        "MEDIAPLANE_PROFILE": "bookmarkai",
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": ceph.http_endpoint,
        "S3_PROVIDER": "ceph",
        "S3_MEDIA_BUCKET": bucket,
        "S3_ACCESS_KEY_ID": keys["worker"][0],
        "S3_SECRET_ACCESS_KEY": keys["worker"][1],
        "OCR_ENGINE": "off",
    }
    environ = clean_environ(tmp_path / "state", **settings)
    give_permissions(ceph, bucket, environ, "arn:aws:iam:::user/worker")
    with running_plane(tmp_path / "state", **settings) as plane:
        plane.run("ingest", str(recording))
        (asset,) = plane.json("ls")["assets"]
        the_asset_becomes_ready_and_is_cut(plane, asset["asset_id"])
        assert any(key.startswith("temp/videos/") for key in keys_in(ceph, bucket))
        checks = checks_of(plane)
        assert checks["store s3"]["ok"], checks
        assert checks["bucket"]["ok"], checks
        assert "may not read" in checks["bucket"]["message"]
        plane.run("rm", asset["asset_id"])
        wait_until_empty(ceph, bucket)
