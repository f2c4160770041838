"""Who may ask: host names, origins, and the headers of every answer."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mediaplane.gateway.guard import Guard, is_loopback

METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
SIGNED = ["/v1/objects/local/a/b.mp4", "/v1/assets/a1/hls/index.m3u8", "/v1/assets/a1/frames/100.jpg"]
UNSIGNED = ["/v1/assets", "/v1/assets/a1", "/v1/search", "/v1/assets/a1/clips", "/v1/objects/", "/healthz"]


@pytest.fixture
async def client():
    async def hello(_request):
        return PlainTextResponse("hello")

    app = Guard(Starlette(routes=[Route("/{path:path}", hello, methods=METHODS)]), "https://media.example.com")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8420") as opened:
        yield opened


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8420", "LOCALHOST", "localhost.", "127.0.0.1:1", "127.9.9.9", "[::1]:8420"]
)
def test_loopback_names(host):
    """Names that no name server can point elsewhere."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8420", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]",
     "0.0.0.0", "user@evil.example", "localhost@evil.example", "[::1", "evil.example#localhost"],
)  # fmt: skip
def test_not_loopback(host):
    """Whatever a name server may point at us."""
    assert not is_loopback(host)


@pytest.mark.parametrize("path", [*SIGNED, *UNSIGNED])
async def test_host_of_an_attacker(client, path):
    """A page whose host name was rebound to loopback gets nothing."""
    answer = await client.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["code"] == "host_refused"


async def test_host_public(client):
    """Under the public name only what carries its own permission is served."""
    for path in SIGNED:
        assert (await client.get(path, headers={"host": "media.example.com"})).status_code == 200
    for path in UNSIGNED:
        assert (await client.get(path, headers={"host": "media.example.com"})).status_code == 421


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_origin_of_another_site(client, method):
    """A page of another site, even one on loopback, changes nothing."""
    for origin in ("https://evil.example", "http://127.0.0.1:9999", "null"):
        answer = await client.request(method, "/v1/assets/a1", headers={"origin": origin})
        assert answer.status_code == 403
        assert answer.json()["code"] == "origin_refused"


async def test_origin_of_our_own(client):
    """The gateway's own pages and programs without an origin may."""
    own = {"origin": "http://127.0.0.1:8420"}
    assert (await client.delete("/v1/assets/a1", headers=own)).status_code == 200
    assert (await client.delete("/v1/assets/a1")).status_code == 200


@pytest.mark.parametrize("path", UNSIGNED)
async def test_reading_across_sites(client, path):
    """No page of another site may read what the URL alone does not permit."""
    answer = await client.get(path, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    assert "access-control-allow-origin" not in (await client.options(path, headers=asked)).headers


@pytest.mark.parametrize("path", SIGNED)
async def test_playing_across_sites(client, path):
    """A player on any site may ask with ranges for what a signed URL permits."""
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "range",
    }
    preflight = await client.options(path, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert "range" in preflight.headers["access-control-allow-headers"]
    answer = await client.get(path, headers={"origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-range" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", [*SIGNED, *UNSIGNED])
async def test_headers_of_every_answer(client, path):
    """Browsers are told not to guess types, not to frame, and not to pass the URL on."""
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
