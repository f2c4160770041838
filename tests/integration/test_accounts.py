"""The gateway with accounts: keys and tokens over HTTP, what is recorded of them, and from where."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa

from mediaplane.access.jwks import KeySet
from mediaplane.access.principals import Role
from mediaplane.access.recognition import REMEMBER_SECONDS
from mediaplane.catalog import accounts, audit
from mediaplane.errors import ServiceFailed
from mediaplane.gateway import serve as serving
from mediaplane.postgres import GATEWAY_ROLE
from tests.services.accounts import KeyServer, key_id_of, make_header, running_key_server
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

ISSUER = "https://issuer.example/"
KEY = rsa.generate_private_key(65537, 2048)
NEXT_KEY = rsa.generate_private_key(65537, 2048)


def published(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, str]:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig"}


def bearer(key: rsa.RSAPrivateKey, key_id: str, **claims: object) -> dict[str, str]:
    now = int(time.time())
    payload = {"iss": ISSUER, "aud": "mediaplane", "sub": "ann", "exp": now + 600, "app": {"role": "member"}, **claims}
    return {"authorization": f"Bearer {jwt.encode(payload, key, algorithm='RS256', headers={'kid': key_id})}"}


@pytest.fixture(scope="module")
def issuer() -> KeyServer:
    with running_key_server() as server:
        server.keys = [published(KEY, "k1")]
        yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory, issuer) -> AsyncIterator[Gateway]:
    environ = {
        "STORAGE_MODE": "local",
        "MEDIAPLANE_AUTH": "on",
        "MEDIAPLANE_RATE_PER_SECOND": "10000",
        "MEDIAPLANE_JWKS_URL": issuer.url,
        "MEDIAPLANE_JWT_ISSUER": ISSUER,
        "MEDIAPLANE_JWT_AUDIENCE": "mediaplane",
        "MEDIAPLANE_JWT_ROLE_CLAIM": "app.role",
        "MEDIAPLANE_JWT_TEAM_CLAIM": "app.team",
        "MEDIAPLANE_PROXIES": "127.0.0.1",
    }
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened


async def add(gateway: Gateway, asset_id: str, owner: str, team: str) -> str:
    await gateway.add_asset(asset_id, owner=owner, team=team)
    await gateway.add_rendition(asset_id, "360p", [(f"{asset_id}.m4s", 1, 1)], init_key=f"{asset_id}.mp4")
    return asset_id


async def records(gateway: Gateway, **wanted: object) -> list[dict]:
    async with gateway.plane.pool.connection() as conn:
        found = [row async for row in audit.export(conn)]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


async def test_key_that_is_revoked(gateway, client):
    """A revoked key ends within the seconds it is remembered for; one that was never used at once."""
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    unused = await make_header(gateway.plane.pool, Role.MEMBER)
    assert (await client.get("/v1/assets", headers=header)).status_code == 200
    async with gateway.plane.pool.connection() as conn:
        for each in (header, unused):
            await accounts.revoke(conn, key_id_of(each))
    assert (await client.get("/v1/assets", headers=unused)).status_code == 401
    deadline = time.monotonic() + REMEMBER_SECONDS + 5
    while (await client.get("/v1/assets", headers=header)).status_code != 401:
        assert time.monotonic() < deadline


async def test_key_that_has_expired(gateway, client):
    """A key ends when it was made to."""
    header = await make_header(gateway.plane.pool, Role.MEMBER, lifetime=timedelta(seconds=-1))
    assert (await client.get("/v1/assets", headers=header)).json()["code"] == "credentials_invalid"


async def test_key_notes_its_last_use_once_a_minute(gateway, client):
    """The first use is noted; the next within the minute costs no write, whatever gateway it comes to."""
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    key_id = key_id_of(header)
    assert (await client.get("/v1/assets", headers=header)).status_code == 200
    async with gateway.plane.pool.connection() as conn:
        [row] = [row for row in await accounts.page(conn) if row.key_id == key_id]
        assert row.last_used_at and datetime.now(UTC) - row.last_used_at < timedelta(minutes=1)
        before = await (await conn.execute("SELECT xmin FROM api_keys WHERE key_id = %s", [key_id])).fetchone()
        await accounts.find(conn, key_id, row.digest)
        assert await (await conn.execute("SELECT xmin FROM api_keys WHERE key_id = %s", [key_id])).fetchone() == before
        await conn.execute(
            "UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE key_id = %s", [key_id]
        )
        assert await accounts.find(conn, key_id, b"another") is not None  # refused by its caller, and not noted
        [row] = [row for row in await accounts.page(conn) if row.key_id == key_id]
        assert row.last_used_at and datetime.now(UTC) - row.last_used_at > timedelta(minutes=1)


async def test_key_is_stored_as_a_hash(gateway):
    """Nothing in the database is a key."""
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    secret = header["authorization"].split("_")[2]
    async with gateway.plane.pool.connection() as conn:
        for table in ("api_keys", "audit_records"):
            rows = await (await conn.execute(f"SELECT t::text FROM {table} AS t")).fetchall()
            assert rows and secret not in str(rows)


async def test_token_of_the_issuer(gateway, client):
    """A token works like a key: its claims say whose rows and which role."""
    await add(gateway, "ann-1", "ann", "red")
    await add(gateway, "bob-1", "bob", "red")
    await add(gateway, "eve-1", "eve", "blue")
    member = bearer(KEY, "k1", app={"role": "member", "team": "red"})
    listed = (await client.get("/v1/assets", headers=member)).json()["assets"]
    assert {asset["asset_id"] for asset in listed} == {"ann-1", "bob-1"}
    contributor = bearer(KEY, "k1", app={"role": "something", "team": "red"})
    listed = (await client.get("/v1/assets", headers=contributor)).json()["assets"]
    assert {asset["asset_id"] for asset in listed} == {"ann-1"}


async def test_token_that_is_not_valid(client, gateway):
    """Forged, foreign, expired and future tokens are answered alike."""
    now = int(time.time())
    stranger = rsa.generate_private_key(65537, 2048)
    wrong = [
        bearer(KEY, "k1", exp=now - 3600),
        bearer(KEY, "k1", nbf=now + 3600),
        bearer(KEY, "k1", iss="https://evil.example/"),
        bearer(KEY, "k1", aud="another"),
        bearer(stranger, "k1"),
        bearer(stranger, "foreign"),
        {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."},
        {"authorization": f"Bearer {'x' * 9000}"},
    ]
    app = {"role": "member", "team": "red"}
    assert (await client.get("/v1/assets", headers=bearer(KEY, "k1", app=app))).status_code == 200
    for header in wrong:
        answer = await client.get("/v1/assets", headers=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "credentials_invalid")


async def test_tokens_while_the_issuer_rotates_and_fails(issuer):
    """With a real key server: an unknown key is fetched, a known one survives a server that fails."""
    issuer.keys, seconds = [published(KEY, "k1")], [1000.0]
    keys = KeySet(issuer.url, now=lambda: seconds[0])
    assert (await keys.find("k1", "RS256")).key_id == "k1"
    issuer.keys = [published(KEY, "k1"), published(NEXT_KEY, "k2")]
    seconds[0] += 60
    assert (await keys.find("k2", "RS256")).key_id == "k2"
    issuer.status = 500
    try:
        seconds[0] += 3600
        fetches = issuer.fetches
        assert (await keys.find("k1", "RS256")).key_id == "k1"
    finally:
        issuer.status = 200
        while keys._fetching:
            await keys._fetching
    assert issuer.fetches == fetches + 1


async def test_url_of_another_is_recorded(gateway, client):
    """A URL for another's asset is recorded with who, what, from where and until when, before it is given out."""
    await add(gateway, "red-1", "mate", "mine")
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    asked = {**header, "user-agent": "test/1", "x-request-id": "request-0001"}
    answer = await client.get("/v1/assets/red-1", headers=asked)
    assert answer.json()["playback_url"]
    [row] = await records(gateway, thing="red-1", action="url.issued")
    assert (row["subject"], row["subject_owner"], row["role"]) == (f"key:{key_id_of(header)}", "me", "member")
    assert (row["kind"], row["owner"], row["team"]) == ("asset", "mate", "mine")
    assert (row["ip"], row["user_agent"], row["request_id"]) == ("127.0.0.1", "test/1", "request-0001")
    assert timedelta(hours=11) < row["until"] - row["at"] < timedelta(hours=25)


async def test_url_of_ones_own_is_not_recorded(gateway, client):
    """What is one's own is looked at without a record."""
    await add(gateway, "own-1", "me", "mine")
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    assert (await client.get("/v1/assets/own-1", headers=header)).json()["playback_url"]
    assert await records(gateway, thing="own-1") == []


async def test_address_behind_a_proxy(gateway, client):
    """Of a proxy that is named in the settings it is believed for whom it asks."""
    await add(gateway, "red-2", "mate", "mine")
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    await client.get("/v1/assets/red-2", headers={**header, "x-forwarded-for": "203.0.113.9, 127.0.0.1"})
    [row] = await records(gateway, thing="red-2")
    assert row["ip"] == "203.0.113.9"


async def test_address_that_a_client_claims(module_dsn, tmp_path):
    """Of anybody else it is not."""
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on"}
    async with (
        running_gateway(module_dsn, tmp_path, environ) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as client,
    ):
        await add(gateway, "red-3", "mate", "mine")
        header = await make_header(gateway.plane.pool, Role.MEMBER)
        await client.get("/v1/assets/red-3", headers={**header, "x-forwarded-for": "203.0.113.9"})
        [row] = await records(gateway, thing="red-3")
        assert row["ip"] == "127.0.0.1"


async def test_deletion_over_http_is_recorded(gateway, client):
    """A deletion names who asked for it, from where."""
    await add(gateway, "own-2", "me", "mine")
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    assert (await client.delete("/v1/assets/own-2", headers=header)).status_code == 204
    [row] = await records(gateway, thing="own-2", action="asset.deleted")
    assert (row["subject"], row["ip"], row["owner"]) == (f"key:{key_id_of(header)}", "127.0.0.1", "me")


async def test_url_is_not_given_out_without_its_record(gateway, client, monkeypatch):
    """Where the record cannot be written nothing is given out, and the client may try again."""
    await add(gateway, "red-4", "mate", "mine")
    header = await make_header(gateway.plane.pool, Role.MEMBER)

    async def fail(*_: object) -> None:
        from mediaplane.errors import DatabaseUnavailable

        raise DatabaseUnavailable("away")

    monkeypatch.setattr(audit, "add", fail)
    answer = await client.get("/v1/assets/red-4", headers=header)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert "token=" not in answer.text


@pytest.mark.parametrize("host", ["media.example.com", "10.0.0.7:8420", "evil.example"])
async def test_any_host_with_accounts(gateway, client, host):
    """With accounts nobody is trusted for where he comes from, so any name of the gateway will do."""
    header = await make_header(gateway.plane.pool, Role.MEMBER)
    assert (await client.get("/v1/assets", headers={**header, "host": host})).status_code == 200
    assert (await client.get("/v1/assets", headers={"host": host})).status_code == 401


async def test_accounts_that_the_database_does_not_keep_apart(gateway, monkeypatch):
    """With accounts the gateway does not start where row-level security cannot be had; without it serves its owner."""

    async def lacking(_conn: object) -> str:
        return "have an administrator run GRANT …"

    assert await serving._gateway_role(gateway.plane) == GATEWAY_ROLE
    monkeypatch.setattr(serving, "admit_gateway", lacking)
    with pytest.raises(ServiceFailed, match="have an administrator run GRANT"):
        await serving._gateway_role(gateway.plane)
    alone = replace(gateway.plane, settings=replace(gateway.plane.settings, auth=False))
    assert await serving._gateway_role(alone) == ""
