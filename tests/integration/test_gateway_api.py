"""The API over real HTTP and a real database: lists, playlists, frames, search, clips, problems."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from mediaplane.catalog import assets, clips, objects, segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.media.keys import ObjectKey
from tests.services.gateway import Gateway, running_gateway
from tests.services.postgres import create_database, drop_database

SEGMENTS = 1000
SEGMENT_US = 6_000_000


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory, seaweed, fresh_bucket) -> AsyncIterator[Gateway]:
    environ = {
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": fresh_bucket(seaweed),
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
    }
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def no_rows(gateway: Gateway) -> None:
    """Begin every test with an empty catalog."""
    async with gateway.plane.pool.connection() as conn:
        for table in ("assets", "outbox", "lexicon"):
            await conn.execute(f"DELETE FROM {table}")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened


async def add_video(gateway: Gateway, asset_id: str = "a1", *, count: int = 3, status: str = "ready") -> str:
    """Add an asset with one video and one audio rendition, and return its playback URL."""
    await gateway.add_asset(asset_id, status=status)
    for name in ("360p", "audio"):
        prefix = f"videos/proxy/{asset_id}/{name}"
        rows = [(f"{prefix}/c0_{place:03}.m4s", SEGMENT_US, 1000) for place in range(count)]
        await gateway.add_rendition(asset_id, name, rows, init_key=f"{prefix}/c0_init.mp4")
    return gateway.plane.playback_url(asset_id)


async def test_health(client):
    """A gateway with its database and store is alive and ready."""
    assert (await client.get("/healthz")).json()["status"] == "ok"
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "schema": "ok", "store local": "ok", "store s3": "ok"}


async def test_readiness_without_a_store(module_dsn, tmp_path):
    """A store that does not answer makes it unready, while it stays alive; no address is told."""
    environ = {
        "STORAGE_MODE": "s3", "S3_ENDPOINT": "http://127.0.0.1:1", "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip
    async with (
        running_gateway(module_dsn, tmp_path, environ) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = {"database": "ok", "schema": "ok", "store local": "ok", "store s3": "does not answer"}
    assert answer.json()["checks"] == checks


async def test_database_that_goes_away(postgres_server, migrated_template, tmp_path):
    """Without its database the gateway stays alive, is not ready, and says that it will pass; no address is told."""
    name = create_database(postgres_server, template=migrated_template)
    async with (
        running_gateway(make_conninfo(postgres_server, dbname=name), tmp_path, {"STORAGE_MODE": "local"}) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        assert (await client.get("/v1/assets")).status_code == 200
        await asyncio.to_thread(drop_database, postgres_server, name)
        answer = await client.get("/v1/assets")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert name not in answer.text
        assert "retry-after" in answer.headers
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json()["checks"]["database"] == "does not answer"


async def test_list_in_pages(client, gateway):
    """Pages hold every asset once, newest first, and the last one has no next."""
    for number in range(7):
        await gateway.add_asset(f"a{number}")
    seen, page = [], None
    while True:
        answer = (await client.get("/v1/assets", params={"limit": 3, **({"page": page} if page else {})})).json()
        seen += [asset["asset_id"] for asset in answer["assets"]]
        page = answer["next"]
        if page is None:
            break
    assert seen == [f"a{number}" for number in reversed(range(7))]


async def test_list_of_another_owner(client, gateway):
    """Other owners' assets are neither listed nor shown nor removed."""
    await gateway.add_asset("theirs", owner="somebody")
    assert (await client.get("/v1/assets")).json()["assets"] == []
    assert (await client.get("/v1/assets/theirs")).status_code == 404
    assert (await client.delete("/v1/assets/theirs")).status_code == 404
    assert (await client.get("/v1/assets/theirs/segments")).status_code == 404


async def test_show(client, gateway):
    """An asset is shown with what is stored of it and where it plays."""
    await add_video(gateway)
    await gateway.put("a1", "thumbs/a1/poster.jpg", b"jpeg", role="poster", content_type="image/jpeg")
    shown = (await client.get("/v1/assets/a1")).json()
    assert shown["status"] == "ready"
    assert shown["objects"] == [{"role": "poster", "objects": 1, "size_bytes": 4, "first_key": "thumbs/a1/poster.jpg"}]
    assert shown["stages"] == []
    assert (await client.get(shown["playback_url"])).status_code == 200


async def test_remove(client, gateway):
    """Removing an asset takes its row at once and leaves its bytes to the outbox."""
    await gateway.add_asset("a1")
    await gateway.put("a1", "thumbs/a1/poster.jpg", b"jpeg", role="poster", content_type="image/jpeg")
    assert (await client.delete("/v1/assets/a1")).status_code == 204
    assert (await client.get("/v1/assets/a1")).json()["code"] == "asset_not_found"
    async with gateway.plane.pool.connection() as conn:
        rows = await (await conn.execute("SELECT key FROM outbox")).fetchall()
    assert [row[0] for row in rows] == ["thumbs/a1/poster.jpg"]


async def test_playlists(client, gateway):
    """The master leads to media playlists by relative URLs that carry the token, and those to signed segments."""
    url = await add_video(gateway)
    master = await client.get(url)
    assert master.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert re.fullmatch(r"private, max-age=\d+", master.headers["cache-control"])
    names = re.findall(r'^([^#\s]\S*)$|URI="([^"]+)"', master.text, re.MULTILINE)
    assert len(names) == 2
    for name in (plain or quoted for plain, quoted in names):
        media = await client.get(urljoin(url, name))
        assert media.status_code == 200
        links = [line for line in media.text.splitlines() if line and not line.startswith("#")]
        assert len(links) == 3
        assert all("X-Amz-Signature=" in link for link in links)
        assert "#EXT-X-ENDLIST" in media.text


async def test_playlist_segments_open(client, gateway):
    """The signed URLs in a playlist open the private bucket; without their signature it stays shut."""
    url = await add_video(gateway, count=1)
    await gateway.put("a1", "videos/proxy/a1/360p/c0_000.m4s", b"bytes", role="segment", content_type="video/mp4")
    text = (await client.get(url.replace("index.m3u8", "360p.m3u8"))).text
    link = next(line for line in text.splitlines() if line.startswith("http"))
    assert (await client.get(link)).content == b"bytes"
    assert (await client.get(link.split("?")[0])).status_code == 403


async def test_playlist_equal_within_a_window(client, gateway):
    """Asked twice, a playlist is the same to the byte, so that segments are cached."""
    url = (await add_video(gateway)).replace("index.m3u8", "360p.m3u8")
    assert (await client.get(url)).text == (await client.get(url)).text


async def test_playlist_start(client, gateway):
    """A start in the URL reaches the media playlists; not the master, where it stops ffmpeg."""
    await add_video(gateway)
    url = gateway.plane.playback_url("a1", start_ms=12_500)
    assert url.endswith("#t=12.5")
    master = await client.get(url)
    assert "#EXT-X-START" not in master.text
    name = re.search(r"^360p\.m3u8\S*$", master.text, re.MULTILINE)
    assert name
    assert parse_qs(urlsplit(name[0]).query)["start"] == ["12.5"]
    assert "#EXT-X-START:TIME-OFFSET=12.5,PRECISE=YES" in (await client.get(urljoin(url, name[0]))).text


async def test_playlist_head_and_cors(client, gateway):
    """HEAD answers as GET, and a page of another site may play."""
    url = await add_video(gateway)
    head = await client.head(url, headers={"origin": "https://app.example"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["access-control-allow-origin"] == "*"
    asked = {"origin": "https://app.example", "access-control-request-method": "GET"}
    assert (await client.options(url, headers=asked)).status_code == 204


@pytest.mark.parametrize("path", ["hls/index.m3u8", "hls/360p.m3u8", "frames/100.jpg"])
async def test_playback_token(client, gateway, path):
    """Without the asset's own token nothing plays; the token of another asset is no good."""
    await add_video(gateway)
    other = gateway.plane.tokens.make_token("a2")
    assert (await client.get(f"/v1/assets/a1/{path}")).status_code == 422
    for token in ("", "x", other):
        answer = await client.get(f"/v1/assets/a1/{path}", params={"token": token})
        assert answer.status_code == 403
        assert answer.json()["code"] == "link_invalid"


async def test_playlist_of_the_unfinished(client, gateway):
    """While an asset is processed its playlist has what can be played from the beginning, and no end."""
    await gateway.add_asset("a1", status="processing")
    token = gateway.plane.tokens.make_token("a1")
    url = f"/v1/assets/a1/hls/360p.m3u8?token={token}"
    waiting = await client.get(url)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "asset_not_ready")
    for chunk in (0, 1, 3):
        key = f"videos/proxy/a1/360p/c{chunk}"
        await gateway.add_rendition(
            "a1", "360p", [(f"{key}_000.m4s", SEGMENT_US, 1)], init_key=f"{key}_init.mp4", chunk=chunk
        )
    text = (await client.get(url)).text
    assert re.findall(r"/(c\d)_000\.m4s", text) == ["c0", "c1"]
    assert "#EXT-X-ENDLIST" not in text
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text


async def test_playlist_of_a_thousand_segments(client, gateway):
    """A long playlist is whole: every segment and the one init section are signed. Its cost: `make bench`."""
    url = (await add_video(gateway, count=SEGMENTS)).replace("index.m3u8", "360p.m3u8")
    answer = await client.get(url)
    assert answer.text.count("X-Amz-Signature=") == SEGMENTS + 1
    assert answer.text.count("#EXTINF:") == SEGMENTS


async def test_frame(client, gateway):
    """A frame's URL leads to its bytes; a time without a frame is told apart."""
    await gateway.add_asset("a1")
    await gateway.put("a1", "frames/a1/1500.jpg", b"jpeg", role="frame", content_type="image/jpeg")
    url = gateway.plane.frame_url("a1", 1500)
    assert url is not None
    sent = await client.get(url)
    assert sent.status_code == 302
    assert (await client.get(sent.headers["location"])).content == b"jpeg"
    assert (await client.get(url.replace("1500", "1600"))).json()["code"] == "object_not_found"


async def add_text(gateway: Gateway, asset_id: str = "a1") -> None:
    asset = await gateway.add_asset(asset_id)
    texts = ["quarterly revenue forecast", "deploy finished #release", "quarterly review with @alice"]
    rows = [
        NewSegment(
            source="ocr",
            t_start_ms=number * 10_000,
            t_end_ms=number * 10_000 + 5000,
            text=text,
            box=(10, 20, 300, 40),
            confidence=0.9,
            language="en",
            frame_ms=number * 10_000,
        )
        for number, text in enumerate(texts)
    ]
    async with gateway.plane.pool.connection() as conn, conn.transaction():
        await segments.replace_chunk(conn, (asset.asset_id, asset.owner, asset.team), 0, rows)


async def test_segments_in_pages(client, gateway):
    """The text of an asset comes in the order of time, every segment once."""
    await add_text(gateway)
    first = (await client.get("/v1/assets/a1/segments", params={"limit": 2})).json()
    second = (await client.get("/v1/assets/a1/segments", params={"limit": 2, "page": first["next"]})).json()
    starts = [segment["t_start_ms"] for segment in first["segments"] + second["segments"]]
    assert starts == [0, 10_000, 20_000]
    assert second["next"] is None
    assert first["segments"][0]["box"] == [10, 20, 300, 40]


async def test_search(client, gateway):
    """A search finds the moments, each with its picture and where to play it."""
    await add_text(gateway)
    await add_video(gateway, "a2")
    found = (await client.get("/v1/search", params={"q": "quarterly"})).json()
    assert {hit["t_start_ms"] for hit in found["hits"]} == {0, 20_000}
    hit = next(hit for hit in found["hits"] if hit["t_start_ms"] == 20_000)
    assert "/hls/index.m3u8?token=" in hit["playback_url"]
    assert hit["playback_url"].endswith("#t=20")
    assert "/frames/20000.jpg?token=" in hit["frame_url"]
    assert found["next"] is None


async def test_search_within_an_asset_and_time(client, gateway):
    """Asset and time narrow a search."""
    await add_text(gateway)
    await add_text(gateway, "a2")
    answer = await client.get("/v1/search", params={"q": "quarterly", "asset_id": "a2", "after_ms": 15_000})
    assert [(hit["asset_id"], hit["t_start_ms"]) for hit in answer.json()["hits"]] == [("a2", 20_000)]


@pytest.mark.parametrize(
    "params",
    [{"q": "x", "limit": 0}, {"q": "x", "limit": 10**9}, {"q": "x" * 5000}, {}, {"q": "x", "asset_id": "../etc"},
     {"q": "x", "page": "nonsense"}, {"q": "x", "after_ms": -1}, {"q": "x", "before_ms": 10**30}],
)  # fmt: skip
async def test_search_asked_wrongly(client, params):
    """What cannot be a search is a problem document that says what is wrong."""
    answer = await client.get("/v1/search", params=params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in ("invalid_request", "invalid_query")


@pytest.mark.parametrize(
    "path", ["/v1/assets/%00", "/v1/assets/a%2Fb", "/v1/nowhere", "/", "/v1/assets/a%00/hls/index.m3u8?token=%00"]
)
async def test_paths_of_nothing(client, path):
    """Paths that lead nowhere are problem documents too."""
    answer = await client.get(path)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_search_for_control_characters(client):
    """Bytes that the database cannot store make no server error."""
    answer = await client.get("/v1/search", params={"q": "a\x00b\ud7ffc"})
    assert answer.status_code in (200, 422)


async def test_clip(client, gateway):
    """A clip is accepted, asked twice it is the same, and once ready it has a URL of its bytes."""
    await gateway.add_asset("a1")
    async with gateway.plane.pool.connection() as conn:
        await assets.describe(conn, "a1", kind="video", duration_ms=60_000, width=640, height=360, probe={})
    wanted = {"t_start_ms": 10_000, "t_end_ms": 12_000, "mode": "exact", "padding_ms": 500}
    asked = await client.post("/v1/assets/a1/clips", json=wanted)
    assert asked.status_code == 202
    clip = asked.json()
    assert (clip["status"], clip["t_start_ms"], clip["t_end_ms"], clip["url"]) == ("processing", 9500, 12_500, None)
    assert (await client.post("/v1/assets/a1/clips", json=wanted)).json()["clip_id"] == clip["clip_id"]
    key = f"videos/clips/a1/{clip['clip_id']}.mp4"
    await gateway.put("a1", key, b"mp4", role="clip", content_type="video/mp4")
    async with gateway.plane.pool.connection() as conn:
        await clips.mark_ready(conn, clip["clip_id"], store=gateway.opened.name, key=key)
    shown = (await client.get(asked.headers["location"])).json()
    assert shown["status"] == "ready"
    assert (await client.get(shown["url"])).content == b"mp4"
    assert (await client.post("/v1/assets/a1/clips", json=wanted)).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [{"t_start_ms": 5, "t_end_ms": 5}, {"t_start_ms": -1, "t_end_ms": 5}, {"t_start_ms": 70_000, "t_end_ms": 80_000},
     {"t_start_ms": 0, "t_end_ms": 10**30}, {"t_start_ms": 0, "t_end_ms": 5, "mode": "magic"},
     {"t_start_ms": 0, "t_end_ms": 5, "padding_ms": 10**9}, {"t_start_ms": 0, "t_end_ms": 5, "sneaky": 1}, {}],
)  # fmt: skip
async def test_clip_asked_wrongly(client, gateway, wanted):
    """Ranges and modes that cannot be are refused before anything is queued."""
    await gateway.add_asset("a1")
    async with gateway.plane.pool.connection() as conn:
        await assets.describe(conn, "a1", kind="video", duration_ms=60_000, width=640, height=360, probe={})
    answer = await client.post("/v1/assets/a1/clips", json=wanted)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_clip_unknown(client):
    """A clip that nobody asked for is not there."""
    assert (await client.get("/v1/clips/none")).json()["code"] == "clip_not_found"


async def test_host_rebound(client, gateway):
    """A page whose name was rebound to loopback reads and deletes nothing."""
    await gateway.add_asset("a1")
    for method, path in (("GET", "/v1/assets"), ("DELETE", "/v1/assets/a1"), ("GET", "/healthz")):
        answer = await client.request(method, path, headers={"host": "evil.example:8420"})
        assert (answer.status_code, answer.json()["code"]) == (421, "host_refused")
    assert (await client.get("/v1/assets/a1")).status_code == 200


async def test_database_fault_is_not_told(client, gateway, monkeypatch):
    """A fault of our own is a problem document without its cause."""

    async def fail(*_args, **_kwargs):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(assets, "page", fail)
    with capture_logs() as logged:
        answer = await client.get("/v1/assets")
    assert [line["log_level"] for line in logged] == ["error", "info"]
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "hunter2" not in answer.text


async def test_log_without_tokens(client, gateway):
    """The log has the path of every request, and never a token or a signature."""
    url = await add_video(gateway)
    token = parse_qs(urlsplit(url).query)["token"][0]
    with capture_logs() as logged:
        assert (await client.get(url)).status_code == 200
    assert [(line["path"], line["status"]) for line in logged] == [("/v1/assets/a1/hls/index.m3u8", 200)]
    assert token not in str(logged)


async def test_openapi(client):
    """The contract names every path, once."""
    document = (await client.get("/v1/openapi.json")).json()
    assert {"/v1/assets", "/v1/search", "/v1/clips/{clip_id}", "/v1/assets/{asset_id}/clips"} <= set(document["paths"])
    operations = [entry["operationId"] for path in document["paths"].values() for entry in path.values()]
    assert len(operations) == len(set(operations))


async def test_object_of_a_bucket(client, gateway):
    """A bucket's objects are not served by the gateway: only local stores are."""
    await gateway.add_asset("a1")
    key = await gateway.put("a1", "thumbs/a1/poster.jpg", b"jpeg", role="poster", content_type="image/jpeg")
    async with gateway.plane.pool.connection() as conn:
        assert (await objects.get(conn, "s3", ObjectKey(key))).state == "stored"
    answer = await client.get(f"/v1/objects/s3/{key}?expires=1&signature=x")
    assert answer.status_code == 403
