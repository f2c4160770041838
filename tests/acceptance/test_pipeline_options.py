"""What a profile may ask for besides: one MP4 to download, pictures of what OCR saw, logs; on a bucket over HTTPS."""

import json
import time

import av
import pytest

from tests.acceptance.plane import running_plane
from tests.services.recordings import make_recording

PAGES = ((2.0, ("Harbour office report",)), (2.0, ("Second page #two",)))


@pytest.fixture
def bucket(rgw):
    """A bucket's name and the client that looks into it."""
    return f"options-{time.time_ns():x}", rgw.client()


def test_proxy_debug_pictures_and_logs_over_https(rgw, bucket, tmp_path):
    """They are made, can be used, and belong to the asset like everything else."""
    name, client = bucket
    recording = make_recording(tmp_path / "master.mp4", PAGES)
    with running_plane(
        tmp_path / "state",
        PROGRESSIVE_PROXY="true",
        OCR_DEBUG_PICTURES="true",
        MEDIAPLANE_CHUNK_SECONDS="6",
        S3_ENDPOINT=rgw.https_endpoint,
        S3_CA_FILE=str(rgw.ca_file),
        S3_BUCKET=name,
        S3_ACCESS_KEY_ID=rgw.access_key,
        S3_SECRET_ACCESS_KEY=rgw.secret_key,
    ) as plane:
        (ingested,) = plane.json("ingest", str(recording))["assets"]
        assert ingested["status"] == "ready", ingested["error"]
        asset_id = ingested["asset_id"]

        def fetch(key):
            return client.get_object(Bucket=name, Key=key)["Body"].read()

        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=name)["Contents"]]
        proxy = tmp_path / "proxy.mp4"
        proxy.write_bytes(fetch(f"videos/proxy/{asset_id}/proxy.mp4"))
        assert frames_of(proxy) == frames_of(recording)

        debug = [key for key in keys if key.startswith(f"frames/{asset_id}/debug/")]
        assert debug
        for key in debug:
            assert fetch(key) != fetch(key.replace("/debug/", "/")), "boxes and text are drawn in"

        logs = [json.loads(fetch(key)) for key in keys if key.startswith("logs/pipeline/")]
        assert {log["stage"] for log in logs} >= {"probe", "plan", "chunk", "assemble"}
        assert {log["asset_id"] for log in logs} == {asset_id}

        plane.run("rm", asset_id)
        deadline = time.monotonic() + 60
        while (left := client.list_objects_v2(Bucket=name)["KeyCount"]) and time.monotonic() < deadline:
            time.sleep(0.3)
        assert left == 0


def frames_of(path):
    """Return the number of frames and the seconds of sound."""
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        sound = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(audio=0)) if sound else 0
        return frames, round(samples / sound[0].rate, 1) if sound else 0
