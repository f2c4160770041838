"""URLs of what an asset has: one or a thousand, by role, audited, for people's files and players' captions."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.principals import Role
from mediaplane.catalog import assets, segments
from mediaplane.catalog.segments import NewSegment
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN, FOREIGN = {"owner": "me", "team": "mine"}, {"owner": "them", "team": "theirs"}
HTML = b"  <!DOCTYPE html><script>alert(document.domain)</script>"
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_RATE_PER_SECOND": "0"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        for asset_id, whose in (("mine", OWN), ("theirs", FOREIGN)):
            await running.add_asset(asset_id, **whose, title="Tägliche Lage.mov")
            await running.put(
                asset_id, f"original/{asset_id}/master.mp4", b"video", role="original", content_type="video/mp4"
            )
            for moment in (0, 1500):
                place = f"frames/{asset_id}/{moment}.jpg"
                await running.put(asset_id, place, JPEG, role="frame", content_type="image/jpeg")
            await running.put(asset_id, f"logs/{asset_id}.json", b"{}", role="log", content_type="application/json")
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def member(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=gateway.url, timeout=20, headers=await make_header(gateway.plane.pool, Role.MEMBER)
    ) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=gateway.url, timeout=20, headers=await make_header(gateway.plane.pool, Role.ADMIN)
    ) as client:
        yield client


async def records(gateway: Gateway) -> list[dict[str, Any]]:
    async with gateway.plane.pool.connection() as conn:
        rows = await conn.execute(
            "SELECT thing, owner, until, details FROM audit_records WHERE action = 'url.issued' ORDER BY record_id"
        )
        return [dict(zip(("thing", "owner", "until", "details"), row, strict=True)) for row in await rows.fetchall()]


async def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.request(method, url, headers=headers)


async def test_one_url(gateway, member):
    """The original by its role alone, a frame by its name; what is there is told beside the URL."""
    answer = (await member.get("/v1/assets/mine/urls/original")).json()
    assert (answer["content_type"], answer["size_bytes"], answer["filename"]) == ("video/mp4", 5, None)
    ends = datetime.fromisoformat(answer["expires_at"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) < timedelta(minutes=91)
    assert (await fetch(answer["url"])).content == b"video"
    frame = (await member.get("/v1/assets/mine/urls/frame", params={"name": "1500.jpg"})).json()
    assert "/frames/mine/1500.jpg?" in frame["url"]
    assert (await fetch(frame["url"])).content == JPEG


async def test_url_stays_equal_within_a_window(gateway, member):
    """So that browsers and CDNs keep what is behind it."""
    answers = [(await member.get("/v1/assets/mine/urls/original")).json()["url"] for _ in range(5)]
    assert len(set(answers)) == 1


async def test_download_has_the_assets_name(gateway, member):
    """Saved under the title with the object's own extension; the name is part of what was signed."""
    answer = (await member.get("/v1/assets/mine/urls/original", params={"download": True})).json()
    assert answer["filename"] == "Tägliche Lage.mp4"
    file = await fetch(answer["url"])
    expected = f"attachment; filename=\"T_gliche Lage.mp4\"; filename*=UTF-8''{quote('Tägliche Lage.mp4')}"
    assert file.headers["content-disposition"] == expected
    assert file.content == b"video"
    for changed in (answer["url"].replace("Lage", "Evil"), answer["url"].replace("filename=", "x=")):
        assert (await fetch(changed)).status_code == 403


async def test_what_is_not_there_or_not_ones_own(gateway, member):
    """One answer for a foreign asset, one that never was, and a role that it has not."""
    asked = ["/v1/assets/theirs/urls/original", "/v1/assets/nobody/urls/original", "/v1/assets/mine/urls/proxy",
             "/v1/assets/mine/urls/log", "/v1/assets/mine/urls/transcript", "/v1/assets/mine/urls/playback",
             "/v1/assets/mine/urls/frame?name=9.jpg", "/v1/assets/mine/urls/frame?name=%25.jpg"]  # fmt: skip
    for path in asked:
        answer = await member.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_many_urls_in_one_call(gateway, member):
    """In the order of the wishes; what is not there, or not the caller's to see, has none and no reason."""
    wishes = [
        {"asset_id": "mine"},
        {"asset_id": "theirs"},
        {"asset_id": "nobody"},
        {"asset_id": "mine", "role": "frame", "name": "0.jpg"},
        {"asset_id": "mine", "role": "log"},
        {"asset_id": "mine"},
    ]
    urls = (await member.post("/v1/urls", json={"wishes": wishes})).json()["urls"]
    assert [bool(one["url"]) for one in urls] == [True, False, False, True, False, True]
    assert urls[1] == urls[2] == urls[4] == dict.fromkeys(urls[1])
    assert urls[0] == urls[5]
    assert (await fetch(urls[3]["url"])).content == JPEG


async def test_a_thousand_and_no_more(gateway, member):
    """A thousand is what one call takes."""
    wish = {"asset_id": "mine", "role": "frame"}
    urls = (await member.post("/v1/urls", json={"wishes": [wish] * 1000})).json()["urls"]
    assert len(urls) == 1000 and all(one["url"] for one in urls)
    for wrong in ({"wishes": [wish] * 1001}, {"wishes": []}, {"wishes": [{"asset_id": "a/b"}]}, {}):
        assert (await member.post("/v1/urls", json=wrong)).status_code == 422


async def test_urls_for_others_data_are_recorded_before_the_answer(gateway, member, admin):
    """Whoever gets a URL of somebody else's bytes is in the audit log with all of them; of one's own nothing is."""
    before = await records(gateway)
    await member.get("/v1/assets/mine/urls/original")
    await member.post("/v1/urls", json={"wishes": [{"asset_id": "mine"}, {"asset_id": "theirs"}]})
    assert await records(gateway) == before
    url = (await admin.get("/v1/assets/theirs/urls/original")).json()
    (one,) = (await records(gateway))[len(before) :]
    assert (one["thing"], one["owner"]) == ("theirs", "them")
    assert one["until"] == datetime.fromisoformat(url["expires_at"])
    assert one["details"] == {"objects": ["local/original/theirs/master.mp4"]}
    wishes = [{"asset_id": "theirs", "role": "frame", "name": f"{moment}.jpg"} for moment in (0, 1500)]
    await admin.post("/v1/urls", json={"wishes": [*wishes, {"asset_id": "mine"}]})
    (many,) = (await records(gateway))[len(before) + 1 :]
    assert many["details"] == {"objects": [f"local/frames/theirs/{moment}.jpg" for moment in (0, 1500)]}


async def test_answer_is_repeated_for_its_key(gateway, member):
    """An Idempotency-Key works here as everywhere."""
    key = {"idempotency-key": "urls-1"}
    body = {"wishes": [{"asset_id": "mine"}]}
    first = await member.post("/v1/urls", json=body, headers=key)
    again = await member.post("/v1/urls", json=body, headers=key)
    assert again.json() == first.json() and again.headers["idempotency-replayed"] == "true"


async def test_list_of_what_there_is(gateway, member):
    """By role and key, page by page; logs are not for readers."""
    whole = (await member.get("/v1/assets/mine/objects")).json()
    assert [entry["key"] for entry in whole["objects"]] == [
        "frames/mine/0.jpg", "frames/mine/1500.jpg", "original/mine/master.mp4",
    ]  # fmt: skip
    seen, page = [], None
    while True:
        answer = (
            await member.get("/v1/assets/mine/objects", params={"limit": 1, **({"page": page} if page else {})})
        ).json()
        seen += answer["objects"]
        if (page := answer["next"]) is None:
            break
    assert seen == whole["objects"]
    frames = (await member.get("/v1/assets/mine/objects", params={"role": "frame"})).json()["objects"]
    assert len(frames) == 2 and frames[0]["size_bytes"] == len(JPEG)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def spoken(gateway) -> str:
    """An asset with text that was read and text that was said."""
    async with gateway.plane.pool.connection() as conn:
        await assets.add(conn, asset_id="spoken", **OWN, title="Talk", status="ready", digest=None)
        found = [
            NewSegment(source="ocr", t_start_ms=0, t_end_ms=900, text="on <screen>", language="en"),
            NewSegment(source="speech", t_start_ms=500, t_end_ms=2500, text="hello", language="en"),
            NewSegment(source="speech", t_start_ms=3000, t_end_ms=3500, text="hallo", language="de"),
        ]
        async with conn.transaction():
            await segments.replace_chunk(conn, ("spoken", "me", "mine"), 0, found)
    return "spoken"


async def test_transcript(gateway, member, spoken):
    """What was said comes before what was read; in four formats, for players without any header."""
    url = (await member.get(f"/v1/assets/{spoken}/urls/transcript")).json()
    assert url["content_type"] == "text/vtt"
    answer = await fetch(url["url"], origin="https://app.example")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.text == "WEBVTT\n\n00:00:00.500 --> 00:00:02.500\nhello\n\n00:00:03.000 --> 00:00:03.500\nhallo\n"
    assert "on &lt;screen&gt;" in (await fetch(url["url"] + "&source=ocr")).text
    assert "hallo" not in (await fetch(url["url"] + "&language=en")).text
    document = await fetch(url["url"].replace(".vtt", ".json"))
    assert [one["text"] for one in json.loads(document.text)["segments"]] == ["hello", "hallo"]
    assert (await fetch(url["url"], **{"if-none-match": answer.headers["etag"]})).status_code == 304
    saved = (await member.get(f"/v1/assets/{spoken}/urls/transcript?name=srt&download=true")).json()
    assert saved["filename"] == "Talk.srt"
    assert 'filename="Talk.srt"' in (await fetch(saved["url"])).headers["content-disposition"]


async def test_transcript_needs_the_assets_own_token(gateway, member, spoken):
    """The token of another asset opens nothing."""
    url = (await member.get(f"/v1/assets/{spoken}/urls/transcript")).json()["url"]
    assert (await fetch(url.replace("/spoken/", "/mine/"))).status_code == 403
    assert (await fetch(url[:-3])).status_code == 403
    assert (await member.get(f"/v1/assets/{spoken}/urls/transcript?name=doc")).status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (HTML, "image/jpeg"),
        (HTML, "video/mp4"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
        (b"<?xml version='1.0'?><x/>", "image/png"),
        (HTML, "text/html"),
        (b"%PDF-1.4", "application/pdf"),
    ],
)
async def test_types_that_lie_are_never_shown(gateway, member, body, content_type):
    """A page that calls itself a picture, and whatever is no media, is a file to save: at our origin nothing acts."""
    asset_id = f"liar{abs(hash((body, content_type)))}"
    await gateway.add_asset(asset_id, **OWN)
    await gateway.put(asset_id, f"liars/{asset_id}.jpg", body, role="original", content_type=content_type)
    url = (await member.get(f"/v1/assets/{asset_id}/urls/original")).json()["url"]
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"range": "bytes=2-5"})):
        answer = await fetch(url, method, **headers)
        assert answer.headers["content-type"] == "application/octet-stream", (method, headers)
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


async def test_media_is_shown(gateway, member):
    """Pictures, and pieces of recordings that have no head of their own, are shown as what they are."""
    pieces = {
        "image/jpeg": JPEG,
        "video/mp4": b"\0\0\0\x18styp" + bytes(40),
        "image/png": b"",
        "application/vnd.apple.mpegurl": b"#EXTM3U",
    }
    for number, (content_type, body) in enumerate(pieces.items()):
        await gateway.add_asset(f"shown{number}", **OWN)
        await gateway.put(f"shown{number}", f"shown/{number}", body, role="original", content_type=content_type)
        url = (await member.get(f"/v1/assets/shown{number}/urls/original")).json()["url"]
        answer = await fetch(url)
        assert answer.headers["content-type"] == content_type
        assert "content-disposition" not in answer.headers


async def test_conditions(gateway, member):
    """If-Match and If-Unmodified-Since: the object is the one that was meant, or 412."""
    url = (await member.get("/v1/assets/mine/urls/original")).json()["url"]
    first = await fetch(url)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    assert (await fetch(url, **{"if-match": etag})).status_code == 200
    assert (await fetch(url, **{"if-match": '"x"'})).status_code == 412
    assert (await fetch(url, **{"if-match": f"W/{etag}"})).status_code == 412
    assert (await fetch(url, **{"if-unmodified-since": modified})).status_code == 200
    assert (await fetch(url, **{"if-unmodified-since": "Thu, 01 Jan 2015 00:00:00 GMT"})).status_code == 412
    part = {"range": "bytes=1-2"}
    assert (await fetch(url, **part, **{"if-range": modified})).status_code == 206
    assert (await fetch(url, **part, **{"if-range": f"W/{etag}"})).status_code == 200
