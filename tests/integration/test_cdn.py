"""Private media behind a CDN of one's own domain: links instead of signed URLs, HLS with one permission, the origin."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.links import ends_at
from mediaplane.catalog import playback
from mediaplane.errors import SettingInvalid
from mediaplane.media import playlists
from mediaplane.media.keys import ObjectKey
from mediaplane.settings import load_settings
from mediaplane.storage.cdn import CdnSigner
from mediaplane.storage.open import open_stores
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

CDN = "https://media.example.com"
KEYS = f"k1:{'s' * 32}"
PIECES = {name: name.encode() * 1000 for name in ("init.mp4", "c0_0.m4s", "c0_1.m4s")}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory, seaweed, fresh_bucket) -> AsyncIterator[Gateway]:
    environ = {
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": fresh_bucket(seaweed),
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        "S3_CDN_URL": CDN,
        "S3_CDN_KEYS": KEYS,
    }
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        for asset_id in ("a1", "a2"):
            await add_recording(running, asset_id)
        yield running


async def add_recording(gateway: Gateway, asset_id: str) -> None:
    """Put a rendition of two segments, and the playlists as the pipeline stores them."""
    await gateway.add_asset(asset_id)
    below = f"videos/proxy/{asset_id}"
    for name, body in PIECES.items():
        await gateway.put(asset_id, f"{below}/360p/{name}", body, role="segment", content_type="video/mp4")
    rows = [(f"{below}/360p/{name}", 2_000_000, len(PIECES[name])) for name in ("c0_0.m4s", "c0_1.m4s")]
    await gateway.add_rendition(asset_id, "360p", rows, init_key=f"{below}/360p/init.mp4")
    async with gateway.plane.pool.connection() as conn:
        found = await playback.renditions(conn, asset_id)
        segments = await playback.segments(conn, asset_id, "360p")
    texts = {
        "index.m3u8": playlists.master_playlist(found, lambda name: f"{name}.m3u8"),
        "360p.m3u8": playlists.media_playlist(segments, lambda key: key.removeprefix(f"{below}/")),
    }
    for name, text in texts.items():
        await gateway.put(
            asset_id, f"{below}/{name}", text.encode(), role="playlist", content_type="application/vnd.apple.mpegurl"
        )


async def fetch(gateway: Gateway, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask the CDN, which here hands every request to its origin, the gateway."""
    if url.startswith(CDN):
        url = gateway.url + "/v1/cdn/s3" + url.removeprefix(CDN)
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.request(method, url, headers=headers)


def uris(playlist: str, base: str) -> list[str]:
    """Return what a playlist names, as a player resolves it."""
    maps = [line.partition('URI="')[2].partition('"')[0] for line in playlist.splitlines() if 'URI="' in line]
    lines = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    return [urljoin(base, uri) for uri in (*maps, *lines)]


async def play(gateway: Gateway, url: str) -> dict[str, bytes]:
    """Follow a master playlist to all bytes, by the name of each piece."""
    pieces = {}
    for rendition in uris((await fetch(gateway, url)).text, url):
        for piece in uris((await fetch(gateway, rendition)).text, rendition):
            answer = await fetch(gateway, piece)
            assert answer.status_code == 200, piece
            pieces[urlsplit(piece).path.rpartition("/")[2]] = answer.content
            assert piece.startswith(CDN)
    return pieces


async def test_hls_by_the_gateways_playlists(gateway):
    """Playlists name the CDN, every piece with the same permission, and all of it plays."""
    url = gateway.plane.playback_url("a1")
    assert await play(gateway, url) == PIECES
    media = (await fetch(gateway, uris((await fetch(gateway, url)).text, url)[0])).text
    assert len({uri.split("/")[3] for uri in uris(media, url)}) == 1


async def test_hls_by_the_stored_playlist_alone(gateway):
    """The bucket's own playlist plays straight from the CDN: what it names beside itself has its permission."""
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        answer = await client.get("/v1/assets/a1/urls/playlist", params={"name": "index.m3u8"})
    url = answer.json()["url"]
    assert url.startswith(CDN) and answer.json()["expires_at"]
    assert await play(gateway, url) == PIECES
    other = url.replace("/a1/", "/a2/")
    assert (await fetch(gateway, other)).status_code == 403


async def test_origin_answers_as_a_bucket(gateway):
    """Ranges, HEAD and conditions, cached no longer than the link lives."""
    link = gateway.opened.signer.sign_get(ObjectKey("videos/proxy/a1/360p/c0_0.m4s"))
    body = PIECES["c0_0.m4s"]
    whole = await fetch(gateway, link)
    assert (whole.status_code, whole.content) == (200, body)
    assert whole.headers["cache-control"] == "public, max-age=3600"
    assert whole.headers["access-control-allow-origin"] == "*"
    part = await fetch(gateway, link, range="bytes=3-9")
    assert (part.status_code, part.content) == (206, body[3:10])
    head = await fetch(gateway, link, "HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(body)))
    assert (await fetch(gateway, link, **{"if-none-match": whole.headers["etag"]})).status_code == 304


async def test_origin_refuses(gateway):
    """Links that were changed, stores without a CDN, keys that climb; and says nothing of what there is."""
    link = gateway.opened.signer.sign_get(ObjectKey("videos/proxy/a1/360p/c0_0.m4s"))
    at_origin = gateway.url + "/v1/cdn/s3" + link.removeprefix(CDN)
    wrong = [
        link.replace("c0_0", "c0_1"),
        link.replace("c0_0", "nothing"),
        link.replace(".0.", ".3."),
        at_origin.replace("/s3/", "/local/"),
        at_origin.replace("/s3/", "/none/"),
        at_origin.replace("/360p/", "/360p/%2e%2e/360p/"),
    ]
    answers = [await fetch(gateway, url) for url in wrong]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "link_invalid")}
    assert (await fetch(gateway, link, "PUT")).status_code == 405


async def test_download_through_the_cdn(gateway):
    """A file name is signed with the rest."""
    await gateway.put("a1", "videos/original/a1/master.mp4", b"video", role="original", content_type="video/mp4")
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        answer = (await client.get("/v1/assets/a1/urls/original", params={"download": True})).json()
    assert answer["url"].startswith(CDN) and ends_at(answer["url"])
    assert 'filename="a1.mp4"' in (await fetch(gateway, answer["url"])).headers["content-disposition"]
    assert (await fetch(gateway, answer["url"].replace("=a1", "=b1"))).status_code == 403


SEVERAL = """
[stores.raw]
bucket = "raw"
cdn_url = "https://raw.example.com"
cdn_keys_variable = "RAW_CDN_KEYS"

[stores.processed]
bucket = "processed"

[placement]
default = "processed"
original = "raw"
"""
OWN = {"S3_ENDPOINT": "https://s3.example.com", "S3_ACCESS_KEY_ID": "AKID", "S3_SECRET_ACCESS_KEY": "secret"}


def opened(tmp_path: Path, **environ: str):
    profile = tmp_path / "several.toml"
    profile.write_text(SEVERAL)
    named = {"MEDIAPLANE_PROFILE": str(profile), "MEDIAPLANE_STATE_DIR": str(tmp_path), **OWN, **environ}
    return open_stores(load_settings(named), public_url="http://host:1", signing_key="k")


async def test_each_store_has_its_own_cdn(tmp_path):
    """One address is one bucket: a store says its own, others sign as before."""
    stores = opened(tmp_path, RAW_CDN_KEYS=KEYS)
    assert isinstance(stores["raw"].signer, CdnSigner)
    assert stores["raw"].long_signer.sign_get(ObjectKey("a")).startswith("https://raw.example.com/k1.")
    assert "X-Amz-Signature" in stores["processed"].signer.sign_get(ObjectKey("a"))
    assert stores["raw"].source_url(ObjectKey("a")).startswith("https://s3.example.com/raw/a?X-Amz-")
    assert "X-Amz-Signature" in stores["raw"].signer.sign_put(ObjectKey("a"), size_bytes=1, content_type="a/b")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "S3_CDN_KEYS"),
        ({"RAW_CDN_KEYS": "k1:short"}, "RAW_CDN_KEYS"),
        ({"RAW_CDN_KEYS": KEYS, "S3_CDN_URL": CDN}, "S3_CDN_URL"),
    ],
)
async def test_settings_that_do_not_fit_are_named(tmp_path, environ, name):
    """No keys, a short one, one address for several stores: refused by name, without the secret."""
    with pytest.raises(SettingInvalid, match=f"^{name}: ") as refused:
        opened(tmp_path, **environ)
    assert "short" not in str(refused.value).replace("too short", "")
