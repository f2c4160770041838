"""The edge over real HTTP with accounts: limits, ids, problems, figures, and logs that hold no secret."""

import asyncio
import io
import json
import logging
import re
import sys
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import structlog

from mediaplane.access.principals import Role
from mediaplane.gateway.limits import FAILURE_COST
from mediaplane.logs import set_up_logging
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

ACCOUNTS = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_METRICS_TOKEN": "collector's own secret"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    environ = {**ACCOUNTS, "MEDIAPLANE_RATE_PER_SECOND": "0"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened


async def test_request_ids(client):
    """An id that is well formed is taken and echoed, another is made; a problem names it."""
    given = await client.get("/healthz", headers={"x-request-id": "trace-0123456789"})
    assert given.headers["x-request-id"] == "trace-0123456789"
    refused = await client.get("/v1/assets", headers={"x-request-id": "evil id;\t<script>"})
    assert re.fullmatch("[0-9a-f]{24}", refused.headers["x-request-id"])
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
        ("GET", "/v1/nowhere", 404, "no_such_path"),
        ("PATCH", "/v1/assets", 405, "method_not_allowed"),
        ("GET", "/v1/assets", 401, "credentials_invalid"),
        ("GET", "/v1/events", 401, "credentials_invalid"),
        ("GET", "/v1/assets/a/events", 401, "credentials_invalid"),
        ("GET", "/v1/webhooks", 401, "credentials_invalid"),
        ("GET", "/metrics", 401, "credentials_invalid"),
    ],
)
async def test_problems_everywhere(client, method, path, status, code):
    """What no route answers, and what needs a key, is a problem document with the security headers."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if status == 405:
        assert "GET" in answer.headers["allow"]


async def test_fields_that_are_wrong(client, gateway):
    """A request that is wrong names its fields and never repeats what was sent."""
    member = await make_header(gateway.plane.pool, Role.MEMBER)
    answer = await client.post("/v1/webhooks", headers=member, json={"url": 5, "secret": "do not echo"})
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == {"body.url", "body.secret"}
    assert "do not echo" not in answer.text
    broken = await client.post("/v1/webhooks", headers={**member, "content-type": "application/json"}, content=b"{")
    assert (broken.status_code, broken.json()["code"]) == (422, "invalid_request")


async def test_streams_by_role(client, gateway):
    """A member is told of the team's things, a contributor of own ones, a company's stream has neither."""
    pool = gateway.plane.pool
    told: dict[str, list[str]] = {}

    async def read(name: str, header: dict[str, str], started: asyncio.Event) -> None:
        told[name] = []
        async with client.stream("GET", "/v1/events", headers=header) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: snapshot"):
                    started.set()
                if line.startswith("data: ") and "asset.created" in line:
                    told[name].append(json.loads(line[6:])["asset_id"])

    headers = {
        "member": await make_header(pool, Role.MEMBER, owner="m", team="red"),
        "contributor": await make_header(pool, Role.CONTRIBUTOR, owner="c", team="red"),
        "company": await make_header(pool, Role.COMPANY, owner="firm", team="red"),
        "other": await make_header(pool, Role.MEMBER, owner="m", team="blue"),
        "admin": await make_header(pool, Role.ADMIN, owner="a", team="ops"),
    }
    started = {name: asyncio.Event() for name in headers}
    tasks = [asyncio.create_task(read(name, header, started[name])) for name, header in headers.items()]
    await asyncio.gather(*(asyncio.wait_for(event.wait(), 60) for event in started.values()))
    await gateway.add_asset("of-c", owner="c", team="red")
    await gateway.add_asset("of-blue", owner="m", team="blue")
    await gateway.add_asset("last", owner="c", team="red")
    async with asyncio.timeout(20):
        while told["member"][-1:] != ["last"] or told["admin"][-1:] != ["last"]:  # noqa: ASYNC110 other tasks fill it
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert told == {
        "member": ["of-c", "last"],
        "contributor": ["of-c", "last"],
        "company": [],
        "other": ["of-blue"],
        "admin": ["of-c", "of-blue", "last"],
    }


async def test_foreign_asset_s_stream_does_not_exist(client, gateway):
    """Another team's asset answers as one that is not there."""
    await gateway.add_asset("secret-one", owner="x", team="y")
    member = await make_header(gateway.plane.pool, Role.MEMBER)
    foreign = await client.get("/v1/assets/secret-one/events", headers=member)
    nothing = await client.get("/v1/assets/no-such-one/events", headers=member)
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.json()["detail"].replace("secret-one", "") == nothing.json()["detail"].replace("no-such-one", "")


async def test_who_may_read_figures(client, gateway):
    """The collector's token and who may operate; nobody else, and not the token of anything else."""
    pool = gateway.plane.pool
    admin, member = await make_header(pool, Role.ADMIN), await make_header(pool, Role.MEMBER)
    collector = {"authorization": "Bearer collector's own secret"}
    statuses = [(await client.get("/metrics", headers=header)).status_code for header in (collector, admin, member, {})]
    assert statuses == [200, 200, 403, 401]
    assert (await client.get("/v1/assets", headers=collector)).status_code == 401


async def test_figures_say_what_happened(client, gateway):
    """Requests by route and status, uploads, stage times, what waits and what is stored, connections."""
    member = await make_header(gateway.plane.pool, Role.MEMBER, owner="f", team="f")
    await gateway.add_asset("f1", owner="f", team="f")
    await client.get("/v1/assets/f1", headers=member)
    await client.get("/v1/assets/f2", headers=member)
    begun = await client.post("/v1/uploads", headers=member, json={"name": "a.mp4", "size_bytes": 10})
    assert begun.status_code == 201, begun.text
    async with gateway.plane.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO stage_runs (run_id, asset_id, owner, team, stage, inputs_digest, state, started_at) "
            "VALUES ('r', 'f1', 'f', 'f', 'probe', 'd', 'running', now() - interval '2 s')"
        )
        await conn.execute("UPDATE stage_runs SET state = 'done', finished_at = started_at + interval '2 s'")
    collector = {"authorization": "Bearer collector's own secret"}
    wanted = (
        'mediaplane_stage_seconds_sum{stage="probe",state="done"} 2.0',
        'mediaplane_request_seconds_count{method="GET",route="/v1/assets/{asset_id}",status="200"}',
        'mediaplane_request_seconds_count{method="GET",route="/v1/assets/{asset_id}",status="404"}',
        'mediaplane_uploads_total{outcome="started"} 1.0',
        "mediaplane_uploads_open 1.0",
        "mediaplane_queue_runs",
        "mediaplane_outbox_keys",
        "mediaplane_database_pool_size",
        'mediaplane_signed_urls_total{kind="write"}',
        "mediaplane_event_streams 0.0",
    )
    missing, until = list(wanted), time.monotonic() + 20
    while missing and time.monotonic() < until:  # what the database tells is asked for every two seconds
        await asyncio.sleep(0.3)
        text = (await client.get("/metrics", headers=collector)).text
        missing = [one for one in wanted if one not in text]
    assert not missing
    assert "f1" not in text, "no ids: each would be a series of its own"


async def test_limits_of_a_key_and_its_owner(module_dsn, tmp_path):
    """Past the burst: 429 with Retry-After and the fields of the draft; another key is not held up by it."""
    environ = {**ACCOUNTS, "MEDIAPLANE_RATE_PER_SECOND": "1"}
    async with (
        running_gateway(module_dsn, tmp_path, environ) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        first, other = [await make_header(running.plane.pool, Role.MEMBER, owner=name) for name in ("a", "b")]
        # at once, and many more than a slow machine's seconds give back
        answers = await asyncio.gather(*(client.get("/v1/assets", headers=first) for _ in range(20)))
        statuses = [one.status_code for one in answers]
        assert statuses.count(200) >= 10
        refused = answers[statuses.index(429)]
        assert refused.json()["code"] == "rate_limited"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit-policy"] == '"burst";q=10;w=10'
        assert re.fullmatch(r'"burst";r=0;t=\d+', refused.headers["ratelimit"])
        assert any(one.headers["ratelimit"].startswith('"burst";r=9') for one in answers)
        assert (await client.get("/v1/assets", headers=other)).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        keys = [await make_header(running.plane.pool, Role.MEMBER, owner="many") for _ in range(4)]
        answers = await asyncio.gather(*(client.get("/v1/assets", headers=key) for key in keys for _ in range(9)))
        assert any(one.status_code == 429 for one in answers), "more keys do not give an owner more and more"


async def test_guessing_keys_is_slow(module_dsn, tmp_path):
    """Wrong keys cost an address many requests' worth, so that few can be tried."""
    environ = {**ACCOUNTS, "MEDIAPLANE_RATE_PER_SECOND": "1"}
    async with (
        running_gateway(module_dsn, tmp_path, environ) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        statuses = [
            (await client.get("/v1/assets", headers={"authorization": f"Bearer guess{number}"})).status_code
            for number in range(60 // FAILURE_COST + 4)
        ]
    assert statuses[0] == 401 and statuses[-1] == 429


async def test_logs_hold_no_secret(gateway, client, monkeypatch):
    """After real requests with keys, tokens, signed links and webhook secrets, the log has none of them."""
    written = io.StringIO()
    before = list(logging.getLogger().handlers), logging.getLogger().level
    configure = structlog.configure  # without its cache, which would outlive this test in every module
    monkeypatch.setattr(structlog, "configure", lambda **so: configure(**{**so, "cache_logger_on_first_use": False}))
    monkeypatch.setattr(sys, "stderr", written)
    set_up_logging()
    try:
        secrets = await use_everything(gateway, client)
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers, logging.getLogger().level = before
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line for line in lines if line.get("event") == "request" and line["path"] == "/v1/assets/l1"]
    assert all("request_id" in line for line in lines if line.get("event") == "request")
    for secret in secrets:
        assert len(secret) > 8
        assert secret not in written.getvalue(), secret


async def use_everything(gateway: Gateway, client: httpx.AsyncClient) -> list[str]:
    """Ask with everything that is secret; return it all."""
    owner = {"owner": "l", "team": "l"}
    member = await make_header(gateway.plane.pool, Role.MEMBER, **owner)
    await gateway.add_asset("l1", **owner)
    place = await gateway.put("l1", "l1.mp4", b"x" * 100, role="original", content_type="video/mp4")
    signed = gateway.plane.stores["local"].signer.sign_get(place)
    played = gateway.plane.playback_url("l1")
    await client.get("/v1/assets/l1", headers=member)
    await client.get("/v1/assets/l1", headers={"authorization": "Bearer mp_wrongkey1234_secretsecret"})
    await client.get(
        "/v1/assets/l1", headers={"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.signature1"}
    )
    await client.get(signed)
    await client.get(signed + "tampered1")
    await client.get(played)
    await client.get(played[:-4])
    made = await client.post("/v1/webhooks", headers=member, json={"url": "https://example.com/hook?key=hooksecret1"})
    companion = await client.post("/v1/companion", headers=member)
    address = companion.json()["companion_endpoint"]
    token = address.partition("/v1/companion/")[2].partition("/")[0]
    await client.get(f"{address}/s3/nothing")
    await client.get(f"{address}/s3/params")
    return [
        member["authorization"].removeprefix("Bearer "),
        "secretsecret",
        "eyJzdWIiOiJtZSJ9",
        "signature1",
        "hooksecret1",
        "collector's own secret",
        made.json()["secret"],
        signed.partition("?")[2],
        played.partition("token=")[2],
        token,
    ]
