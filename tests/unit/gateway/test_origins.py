"""Pages of other sites: those of MEDIAPLANE_ORIGINS may use the API, others may not, without and with accounts."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mediaplane.errors import SettingInvalid
from mediaplane.gateway.guard import Guard
from mediaplane.settings import load_settings

METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
ORIGINS = ("https://app.example.com", "https://*.example.org", "http://127.0.0.1:*")


@pytest.fixture(params=[False, True])
async def client(request):
    async def hello(_request):
        return PlainTextResponse("hello")

    routes = Starlette(routes=[Route("/{path:path}", hello, methods=METHODS)])
    app = Guard(routes, "https://media.example.com", has_accounts=request.param, origins=ORIGINS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8420") as opened:
        yield opened


@pytest.mark.parametrize("origin", ["https://app.example.com", "https://a.b.example.org", "http://127.0.0.1:3000"])
async def test_origin_that_is_named(client, origin):
    """Its pages may ask, with their credentials and keys, and read the answers."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = await client.options("/v1/uploads", headers=asked)
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    for method in ("GET", "POST", "DELETE"):
        answer = await client.request(method, "/v1/uploads", headers={"origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "null", "",
     "https://app.example.com:444", "https://xexample.org", "https://evil.example/.example.org", "https://exampleXorg"],
)  # fmt: skip
async def test_origin_that_is_not_named(client, origin):
    """Other pages may not read answers; what they send is refused where the gateway trusts the machine."""
    answer = await client.post("/v1/uploads", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"origin": origin, "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in (await client.options("/v1/uploads", headers=asked)).headers


async def test_origin_refused_without_accounts():
    """The refusal names the setting."""
    app = Guard(Starlette(), origins=ORIGINS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8420") as client:
        answer = await client.post("/s3/multipart", headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    assert "MEDIAPLANE_ORIGINS" in answer.json()["detail"]


async def test_uppys_own_address(client):
    """The address with a permission in its path may be asked from any page."""
    path, headers = "/v1/companion/token/s3/multipart", {"origin": "https://anywhere.example"}
    assert (await client.post(path, headers=headers)).headers["access-control-allow-origin"] == "*"
    asked = {**headers, "access-control-request-method": "DELETE"}
    assert "DELETE" in (await client.options(path, headers=asked)).headers["access-control-allow-methods"]


@pytest.mark.parametrize("origin", ["*", "https://*", "app.example.com", "https://app.example.com/path", "ftp://x"])
def test_setting_that_is_no_origin(origin):
    """What would let in everybody, or nobody, is no setting."""
    with pytest.raises(SettingInvalid, match="MEDIAPLANE_ORIGINS"):
        load_settings({"MEDIAPLANE_ORIGINS": f"https://ok.example,{origin}"})
