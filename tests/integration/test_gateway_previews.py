"""Scrubbing preview, poster, waveform and peaks through the gateway, for whoever holds the asset's token."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from mediaplane.catalog import sprites
from mediaplane.catalog.playback import Rendition, put_rendition, renditions
from mediaplane.catalog.sprites import Sheet
from mediaplane.media.playlists import RenditionRow
from tests.services.gateway import Gateway, running_gateway


@pytest_asyncio.fixture
async def gateway(dsn, tmp_path) -> AsyncIterator[Gateway]:
    async with running_gateway(dsn, tmp_path / "state", {"STORAGE_MODE": "local"}) as running:
        yield running


@pytest_asyncio.fixture
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened


async def add_sheet(gateway: Gateway, chunk: int, *, first_ms: int, tiles: int) -> str:
    """Put a sheet of one chunk, bytes and row."""
    key = f"videos/proxy/a1/sprites/c{chunk:05d}_0.jpg"
    await gateway.put("a1", key, f"sheet {chunk}".encode(), role="sprite", content_type="image/jpeg")
    sheet = Sheet(
        chunk=chunk, position=0, store=gateway.opened.name, key=key, first_ms=first_ms, tile_ms=1000, tiles=tiles,
        columns=10, tile_width=240, tile_height=136,
    )  # fmt: skip
    async with gateway.plane.pool.connection() as conn, conn.transaction():
        await sprites.replace_chunk(conn, "a1", chunk, [sheet])
    return key


async def test_preview_has_signed_pictures_of_what_is_done(client, gateway):
    """Each cue's URL gives the sheet without any other permission; the last cue ends with the recording."""
    await gateway.add_asset("a1")
    await add_sheet(gateway, 0, first_ms=0, tiles=12)
    await add_sheet(gateway, 1, first_ms=12_000, tiles=3)
    shown = (await client.get("/v1/assets/a1")).json()
    answer = await client.get(shown["preview_url"])
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.headers["cache-control"] == "private, max-age=60"
    cues = re.findall(r"(\S+) --> (\S+)\n(\S+)#xywh=(\S+)", answer.text)
    assert len(cues) == 15
    assert [cues[11][0], cues[11][1], cues[11][3]] == ["00:00:11.000", "00:00:12.000", "240,136,240,136"]
    assert cues[-1][1] == "00:00:15.000"
    for number, expected in ((0, b"sheet 0"), (14, b"sheet 1")):
        assert (await client.get(cues[number][2])).content == expected
    assert len({url for *_, url, _ in cues}) == 2, "signed once each"


async def test_preview_of_a_chunk_made_anew_replaces_the_old_one(client, gateway):
    """Rows of a chunk are set, not added."""
    await gateway.add_asset("a1", status="processing")
    await add_sheet(gateway, 0, first_ms=0, tiles=12)
    await add_sheet(gateway, 0, first_ms=0, tiles=5)
    answer = await client.get((await client.get("/v1/assets/a1")).json()["preview_url"])
    assert answer.text.count("-->") == 5
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("picture", "media_type"),
    [("poster.jpg", "image/jpeg"), ("waveform.png", "image/png"), ("peaks.json", "application/json")],
)
async def test_pictures_lead_to_their_bytes(client, gateway, picture, media_type):
    """The asset names where each is, and only those that are there."""
    await gateway.add_asset("a1")
    role = picture.partition(".")[0]
    assert (await client.get("/v1/assets/a1")).json()[f"{role}_url"] is None
    await gateway.put("a1", f"thumbs/a1/{picture}", b"bytes", role=role, content_type=media_type)
    url = (await client.get("/v1/assets/a1")).json()[f"{role}_url"]
    sent = await client.get(url)
    assert sent.status_code == 302
    got = await client.get(sent.headers["location"])
    assert (got.content, got.headers["content-type"]) == (b"bytes", media_type)
    head = await client.head(url)
    assert (await client.head(head.headers["location"])).status_code == 200


@pytest.mark.parametrize("path", ["thumbnails.vtt", "pictures/poster.jpg", "pictures/peaks.json"])
async def test_previews_want_the_token_of_the_asset(client, gateway, path):
    """Without it, or with another asset's, nothing is shown; with it, what is not there is told apart."""
    await gateway.add_asset("a1")
    assert (await client.get(f"/v1/assets/a1/{path}")).status_code == 422
    for token in ("x", gateway.plane.tokens.make_token("a2")):
        assert (await client.get(f"/v1/assets/a1/{path}", params={"token": token})).status_code == 403
    answer = await client.get(f"/v1/assets/a1/{path}", params={"token": gateway.plane.tokens.make_token("a1")})
    assert answer.json()["code"] == ("asset_not_ready" if path.endswith(".vtt") else "object_not_found")
    unknown = await client.get("/v1/assets/a1/pictures/original.mp4", params={"token": "x"})
    assert unknown.status_code == 422, "no other role can be asked for"


async def test_sound_tracks_keep_language_and_title(gateway):
    """What the file says of a track reaches the playlist's rows, default first."""
    await gateway.add_asset("a1")
    async with gateway.plane.pool.connection() as conn:
        for name, language, title in (("audio-2", "eng", 'Director "D"'), ("audio", "fra", "")):
            row = Rendition(name, "audio", None, None, None, 1, "mp4a.40.2", language=language, title=title)
            await put_rendition(conn, "a1", row)
        found: list[RenditionRow] = list(await renditions(conn, "a1"))
    assert [(row.name, row.language, row.title) for row in found] == [
        ("audio", "fra", ""),
        ("audio-2", "eng", 'Director "D"'),
    ]
