"""The whole story of `viral-clip`: plan, upload, highlights, clips, quota, a purge of the video, then of the user."""

import hashlib
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import httpx
import pytest

from mediaplane.catalog.purges import PERSONAL
from mediaplane.client import Client, Clip, Conflict, Moment, NotFound, QuotaReached
from tests.acceptance.plane import READY_SECONDS, Plane, running_plane
from tests.acceptance.test_cortana_vision import BucketHand, connect
from tests.services.made_media import ffmpeg

SECONDS = 24
LOUD = (8, 14)  # seconds, where the picture is fast, too
USER = "user_4711"
PART = 16 << 20


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """Make a recording that is quiet and still but for one loud and fast passage."""
    path = tmp_path_factory.mktemp("media") / "talk.mp4"
    begin, end = LOUD
    sound = f"aevalsrc='if(between(t,{begin},{end}),0.8*random(0)-0.4,0.005*sin(2764*t))':s=48000:d={SECONDS}"
    still = "color=c=gray:s=320x180:r=10:d="
    fast = f"testsrc2=s=320x180:r=10:d={end - begin},hue=h='90*floor(2*t)'[f]"
    graph = f"{still}{begin}[a];{fast};{still}{SECONDS - end}[b];[a][f][b]concat=n=3:v=1:a=0[v]"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    ffmpeg("-f", "lavfi", "-i", sound, "-filter_complex", graph, "-map", "[v]", "-map", "0:a", *encode, path)
    return path


@contextmanager
def content_delivery(hand: BucketHand) -> Iterator[str]:
    """A CDN that fetches what is asked for from the bucket, with keys of its own, and keeps nothing."""

    class Pull(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                found = hand.client.get_object(Bucket=hand.bucket, Key=unquote(self.path.partition("?")[0][1:]))
                body, status = found["Body"].read(), 200
            except hand.client.exceptions.ClientError:
                body, status = b"", 404
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pull)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["seaweed", "rgw"])
def hand(request) -> BucketHand:
    server = request.getfixturevalue(request.param)
    return BucketHand(server, request.getfixturevalue("fresh_bucket")(server))


@pytest.fixture
def cdn(hand) -> Iterator[str]:
    with content_delivery(hand) as url:
        yield url


@pytest.fixture
def plane(request, hand, cdn, tmp_path) -> Iterator[Plane]:
    """The deployment, with its variables as written there."""
    server = request.getfixturevalue(request.node.callspec.params["hand"])
    deployment = {
        "MEDIAPLANE_PROFILE": "viral-clip",
        "MEDIAPLANE_AUTH": "on",
        "R2_ENDPOINT_URL": server.http_endpoint,
        "R2_BUCKET_NAME": hand.bucket,
        "R2_ACCESS_KEY_ID": server.access_key,
        "R2_SECRET_ACCESS_KEY": server.secret_key,
        "R2_REGION": "us-east-1",
        "R2_PUBLIC_URL": cdn,
        "OCR_ENGINE": "off",
        "HLS_SHORT_SIDES": "180",
        "HIGHLIGHT_SECONDS": "3,8",
    }
    with running_plane(tmp_path / "state", **deployment) as running:
        yield running


def test_story_of_viral_clip(plane, hand, cdn, video, tmp_path):
    """Every step of the story works, and in the end nothing of the user is left but the receipt."""
    with user(plane, USER) as me, user(plane, "user_0815") as neighbour:
        plane.run("plan", "set", USER, "creator", "--limit", "clips=2")
        kept = neighbour.upload(still_picture(tmp_path / "kept.png")).asset_id
        asset_id = me.upload(video, title="My talk").asset_id
        asked_too_early(me, asset_id)
        ready = me.wait_until_ready(asset_id, seconds=READY_SECONDS)
        assert ready.status == "ready", (ready.error_message, plane.logs())

        highlights_lie_where_it_is_loud(me, asset_id)
        made = clips_are_made_of_highlights(me, asset_id)
        clips_have_names_pictures_and_cdn_urls(me, made, asset_id, cdn, hand)
        the_quota_is_reached(me, asset_id)
        nobody_else_sees_anything(neighbour, asset_id, made)
        the_video_is_purged(me, asset_id, made, hand)
        the_user_is_purged(plane, me, hand)
        assert neighbour.wait_until_ready(kept).status == "ready"
        stored = hand.keys()
        assert any(kept in key for key in stored), "the neighbour keeps everything"


@contextmanager
def user(plane: Plane, name: str) -> Iterator[Client]:
    key = plane.json("key", "create", "--role", "member", "--owner", name)["key"]
    url = json.loads((plane.state_dir / "up.json").read_text())["url"]
    with Client(url, key=key) as client:
        yield client


def still_picture(path: Path) -> Path:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-frames:v", "1", path)
    return path


def asked_too_early(me: Client, asset_id: str) -> None:
    with pytest.raises(Conflict) as early:
        me.highlights(asset_id)
    assert early.value.code == "asset_not_ready"
    assert 0 < (early.value.retry_after or 0) <= 60
    assert 0 <= early.value.document["progress"]["share"] < 1
    assert isinstance(early.value.document["progress"]["stages"], list)


def highlights_lie_where_it_is_loud(me: Client, asset_id: str) -> None:
    found = me.highlights(asset_id)
    assert found.detector == "default"
    (moment,) = found.moments
    begin, end = (1000 * at for at in LOUD)
    assert abs(moment.start_ms - begin) <= 2000
    assert abs(moment.end_ms - end) <= 2000
    assert any("louder" in reason for reason in moment.reasons)


def clips_are_made_of_highlights(me: Client, asset_id: str) -> list[Clip]:
    """The user gives the highlight a name and adds one; both become clips in one call."""
    found = me.highlights(asset_id)
    named = found.moments[0].model_copy(update={"title": "The Best Bit! 🔥 ../", "style": "vertical"})
    written = me.write_highlights(asset_id, [named, Moment(start_ms=0, end_ms=3000)], etag=found.etag)
    assert written.detector is None
    asked = me.cut_highlights(asset_id)
    until = time.monotonic() + READY_SECONDS
    while any(clip.status == "processing" for clip in me.clips(asset_id)):
        assert time.monotonic() < until
        time.sleep(0.5)
    made = {clip.clip_id: clip for clip in me.clips(asset_id)}
    return [made[clip.clip_id] for clip in asked]


def clips_have_names_pictures_and_cdn_urls(me: Client, made: list[Clip], asset_id: str, cdn: str, hand) -> None:
    names = ("clip_01_01_the-best-bit_vertical", "clip_02_01_clip_original")
    for clip, name in zip(made, names, strict=True):
        assert clip.status == "ready", clip.error_message
        key = f"users/{USER}/{asset_id}/clips/{name}"
        assert {f"{key}.mp4", f"{key}.jpg"} <= hand.keys()
        assert (clip.url, clip.thumbnail_url) == (f"{cdn}/{key}.mp4", f"{cdn}/{key}.jpg"), "plain CDN URLs"
        assert fetch(clip.thumbnail_url)[:2] == b"\xff\xd8"
    sizes = [picture_size(fetch(clip.url or "")) for clip in made]
    assert sizes[0][0] / sizes[0][1] == pytest.approx(9 / 16, abs=0.03)
    assert sizes[1] == (320, 180)
    assert me.asset(asset_id).playback_url


def the_quota_is_reached(me: Client, asset_id: str) -> None:
    with pytest.raises(QuotaReached) as refused:
        me.clip(asset_id, start_ms=1000, end_ms=2000)
    assert refused.value.status == 402
    told = refused.value.document
    assert (told["code"], told["resource"], told["limit"], told["usage"]) == ("quota_exceeded", "clips", 2, 2)
    usage = me.usage()
    assert usage.resources["clips"].usage == 2
    assert usage.resources["stored_bytes"].usage > 0


def nobody_else_sees_anything(neighbour: Client, asset_id: str, made: list[Clip]) -> None:
    for look in (
        lambda: neighbour.asset(asset_id),
        lambda: neighbour.highlights(asset_id),
        lambda: neighbour.clips(asset_id),
        lambda: neighbour.cut_highlights(asset_id),
        lambda: neighbour.get_clip(made[0].clip_id),
        lambda: neighbour.purges.asset(asset_id),
    ):
        with pytest.raises(NotFound):
            look()


def the_video_is_purged(me: Client, asset_id: str, made: list[Clip], hand) -> None:
    asked = me.purges.asset(asset_id)
    receipt = me.purges.wait(asked.purge_id, seconds=READY_SECONDS)
    assert receipt.objects > 10
    assert receipt.rows_deleted["clips"] == 2
    assert receipt.prefixes == [f"users/{USER}/{asset_id}/"]
    stored = hand.keys()
    assert not any(asset_id in key for key in stored)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(made[0].url or "")
    usage = me.usage()
    assert usage.resources["clips"].usage == 0
    assert usage.resources["stored_bytes"].usage == 0
    assert usage.resources["minutes_per_month"].usage > 0, "what was used up is not given back"


def the_user_is_purged(plane: Plane, me: Client, hand) -> None:
    """While a file is still on its way in parts."""
    sending = begin_in_parts(me)
    receipt = plane.json("purge", "--owner", USER)
    assert receipt["state"] == "done"
    assert receipt["prefixes"] == [f"users/{USER}/"]
    stored = hand.keys()
    assert not any(key.startswith(f"users/{USER}/") for key in stored)
    assert "Uploads" not in hand.client.list_multipart_uploads(Bucket=hand.bucket)
    assert not httpx.put(sending, content=b"x" * PART).is_success
    with connect(plane) as conn:
        columns = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'mediaplane'"
        tables = [row[0] for row in conn.execute(f"{columns} AND column_name = 'owner'")]
        for table in sorted(PERSONAL & set(tables) - {"events"}):
            left = conn.execute(f"SELECT count(*) FROM mediaplane.{table} WHERE owner = %s", [USER]).fetchone()
            assert left == (0,), table
    the_audit_log_has_the_receipt(plane, receipt)


def begin_in_parts(me: Client) -> str:
    """Return the URL of a part that could still be sent."""
    http, headers = me._transport.http, me._transport.headers
    wish = {"name": "big.mp4", "size_bytes": 2 * PART, "content_type": "video/mp4", "multipart": True}
    begun = http.post(f"{me._transport.url}/v1/uploads", json=wish, headers=headers).raise_for_status().json()
    first, second = begun["parts"]["urls"]
    http.put(first["url"], content=b"x" * PART).raise_for_status()
    return str(second["url"])


def the_audit_log_has_the_receipt(plane: Plane, receipt: dict[str, Any]) -> None:
    assert plane.run("audit", "verify").returncode == 0
    lines = plane.run("audit", "export").stdout.splitlines()
    records = [json.loads(line) for line in lines if receipt["purge_id"] in line]
    finished = next(record for record in records if record["action"] == "purge.finished")
    assert finished["details"]["receipt_digest"] == receipt["receipt_digest"]
    shown = {name: value for name, value in receipt.items() if name not in ("state", "problem", "receipt_digest")}
    for name in ("requested_at", "finished_at", "watched_until"):
        if shown[name] is not None:
            shown[name] = f"{shown[name][:19]}.{shown[name][20:26]}+00:00"
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == receipt["receipt_digest"], "anybody can make it again"


def picture_size(content: bytes) -> tuple[int, int]:
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
        return content
