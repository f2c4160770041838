"""Webhooks against a real database and a real receiving server: told once true, signed, tried again, never inwards."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from mediaplane.catalog import assets, events, webhooks
from mediaplane.catalog.webhooks import Endpoint
from mediaplane.media.webhooks import make_secret, verify, write_secret
from mediaplane.postgres import Pool
from mediaplane.upkeep import webhooks as sending
from tests.services.gateway import running_gateway
from tests.services.hooks import HookServer, hook_server

LOCAL = {"STORAGE_MODE": "local", "MEDIAPLANE_WEBHOOK_PRIVATE": "yes"}


@pytest.fixture
async def hooks() -> AsyncIterator[HookServer]:
    async with hook_server() as server:
        yield server


async def register(pool: Pool, url: str, **more: object) -> Endpoint:
    values = {"owner": "o", "team": "t", "sees_owner": "o", "sees_team": "t", "title": "", "types": [], **more}
    async with pool.connection() as conn:
        return await webhooks.add(conn, url=url, secret=make_secret(), **values)


async def add_asset(
    pool: Pool, asset_id: str, *, owner: str = "o", team: str = "t", status: str = "processing"
) -> None:
    async with pool.connection() as conn:
        await assets.add(conn, asset_id=asset_id, owner=owner, team=team, title="Ünï", status=status, digest=None)


async def log_of(pool: Pool, endpoint: Endpoint) -> list[webhooks.Delivery]:
    async with pool.connection() as conn:
        return await webhooks.deliveries(conn, endpoint.endpoint_id)


async def make_due(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("UPDATE webhook_deliveries SET due_at = now()")


async def test_delivery_is_signed(pool, hooks):
    """The endpoint gets type, time and data, with a signature that its secret verifies."""
    endpoint = await register(pool, hooks.url)
    await add_asset(pool, "w1")
    assert await sending.deliver_due(pool, private=True) == 1
    ((line, headers, body),) = hooks.taken
    assert line == "POST /hooks?team=a HTTP/1.1"
    assert verify(write_secret(endpoint.secret), headers, body, now=time.time())
    told = json.loads(body)
    assert (told["type"], told["data"]["asset_id"], told["data"]["title"]) == ("asset.created", "w1", "Ünï")
    (delivery,) = await log_of(pool, endpoint)
    assert (delivery.state, delivery.last_status, len(delivery.tries)) == ("delivered", 204, 1)
    assert await sending.deliver_due(pool, private=True) == 0


async def test_told_only_what_one_may_see_and_asked_for(pool, hooks):
    """Other owners' events and types not asked for are not queued; nor is what was rolled back."""
    mine = await register(pool, hooks.url, types=["asset.ready"])
    team = await register(pool, hooks.url, sees_owner=None)
    await add_asset(pool, "mine")
    await add_asset(pool, "colleague", owner="other")
    await add_asset(pool, "foreign", owner="x", team="y")
    async with pool.connection() as conn:
        await conn.execute("UPDATE assets SET status = 'ready'")
        async with conn.transaction(force_rollback=True):
            await conn.execute("DELETE FROM assets")
    assert [(one.type, one.asset_id) for one in await log_of(pool, mine)] == [("asset.ready", "mine")]
    assert {one.asset_id for one in await log_of(pool, team)} == {"mine", "colleague"}


async def test_failures_are_tried_again_later_each_time(pool, hooks):
    """An error and a redirect are failures; the next attempt comes later, with the same id, until it is taken."""
    hooks.answers = [b"500 Oops", b"302 Found\r\nlocation: http://127.0.0.1:1/", b"200 OK"]
    endpoint = await register(pool, hooks.url)
    await add_asset(pool, "w2")
    for expected in (0, 0, 1):
        assert await sending.deliver_due(pool, private=True) == expected
        assert await sending.deliver_due(pool, private=True) == 0, "not due yet"
        await make_due(pool)
    (delivery,) = await log_of(pool, endpoint)
    assert (delivery.state, delivery.attempts) == ("delivered", 3)
    assert [one["status"] for one in delivery.tries] == [500, 302, 200]
    assert len({headers["webhook-id"] for _, headers, _ in hooks.taken}) == 1


async def test_given_up_and_replayed(pool, hooks):
    """After the last attempt it is failed, and only a replay sends it again."""
    hooks.answers = [b"503 Later"]
    endpoint = await register(pool, hooks.url)
    await add_asset(pool, "w3")
    for _ in range(len(sending.WAITS) + 1):
        await sending.deliver_due(pool, private=True)
        await make_due(pool)
    assert await sending.deliver_due(pool, private=True) == 0
    (delivery,) = await log_of(pool, endpoint)
    assert (delivery.state, delivery.attempts) == ("failed", len(sending.WAITS) + 1)
    hooks.answers = [b"200 OK"]
    async with pool.connection() as conn:
        assert await webhooks.replay_failed(conn, endpoint.endpoint_id, delivery.created_at) == 1
    assert await sending.deliver_due(pool, private=True) == 1


async def test_gone_endpoint_is_disabled(pool, hooks):
    """410 disables it: what waits is given up and new events are not queued, until it is enabled."""
    hooks.answers = [b"410 Gone"]
    endpoint = await register(pool, hooks.url)
    await add_asset(pool, "w4")
    await sending.deliver_due(pool, private=True)
    await add_asset(pool, "w5")
    async with pool.connection() as conn:
        found = await webhooks.get(conn, endpoint.endpoint_id, owner="o", team="t")
        assert found.disabled_reason == "it answered 410 Gone"
        assert len(await webhooks.deliveries(conn, endpoint.endpoint_id)) == 1
        await webhooks.enable(conn, endpoint.endpoint_id)
    await add_asset(pool, "w6")
    assert len(await log_of(pool, endpoint)) == 2


async def test_never_inwards(pool, hooks):
    """An address of this machine is not asked, whatever was registered: it is looked at anew for each attempt."""
    endpoint = await register(pool, hooks.url.replace("http:", "https:"))
    by_name = await register(pool, hooks.url.replace("http://127.0.0.1", "https://127.1"))
    await add_asset(pool, "w7")
    assert await sending.deliver_due(pool) == 0
    assert hooks.taken == []
    for one in (endpoint, by_name):
        (delivery,) = await log_of(pool, one)
        assert "not a public one" in delivery.last_error or "not public" in delivery.last_error


async def test_silent_endpoint_does_not_hold_others(pool, hooks, monkeypatch):
    """One that never answers is given up on in time, beside the others, not before them."""
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 1.0)
    async with hook_server() as silent:
        silent.answers = [b""]
        quiet = await register(pool, silent.url)
        await register(pool, hooks.url)
        await add_asset(pool, "w8")
        assert await sending.deliver_due(pool, private=True) == 1
    (delivery,) = await log_of(pool, quiet)
    assert "no answer" in delivery.last_error


async def test_killed_between_sending_and_noting(pool, hooks, monkeypatch):
    """A sender that dies repeats what it had not noted, and only after its lease: told twice, never not at all."""
    endpoint = await register(pool, hooks.url)
    await add_asset(pool, "w9")

    async def die(*_args: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(sending, "_settle", die)
        with pytest.raises(asyncio.CancelledError):
            await sending.deliver_due(pool, private=True)
    assert await sending.deliver_due(pool, private=True) == 0, "its lease has not ended"
    await make_due(pool)
    assert await sending.deliver_due(pool, private=True) == 1
    assert len(hooks.taken) == 2 and (await log_of(pool, endpoint))[0].state == "delivered"


async def test_removed_endpoint_and_forgotten_events(pool, hooks):
    """Removing an endpoint drops what waits for it; old events and their deliveries are forgotten together."""
    endpoint = await register(pool, hooks.url)
    kept = await register(pool, hooks.url)
    await add_asset(pool, "w10")
    async with pool.connection() as conn:
        await webhooks.remove(conn, endpoint.endpoint_id, owner="o", team="t")
        await conn.execute("UPDATE events SET at = now() - interval '8 days'")
        assert await events.prune(conn, age=timedelta(days=7), stage_age=timedelta(days=1)) == 1
        assert await webhooks.replay_failed(conn, kept.endpoint_id, (await log_of(pool, kept))[0].created_at) == 0
    assert await sending.deliver_due(pool, private=True) == 0
    assert hooks.taken == [] and await log_of(pool, kept) == []


async def test_api_registers_lists_replays_and_removes(dsn, tmp_path, hooks):
    """The whole life of a webhook through the API; its secret is told once."""
    async with (
        running_gateway(dsn, tmp_path, LOCAL) as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=20) as client,
    ):
        made = (await client.post("/v1/webhooks", json={"url": hooks.url, "types": ["asset.created"]})).json()
        assert made["secret"].startswith("whsec_")
        (listed,) = (await client.get("/v1/webhooks")).json()["webhooks"]
        assert listed == {name: value for name, value in made.items() if name != "secret"}
        await gateway.add_asset("w11")
        assert await sending.deliver_due(gateway.plane.pool, private=True) == 1
        path = f"/v1/webhooks/{made['webhook_id']}"
        (told,) = (await client.get(f"{path}/deliveries")).json()["deliveries"]
        assert (told["state"], told["type"]) == ("delivered", "asset.created")
        again = await client.post(f"{path}/deliveries/{told['delivery_id']}/replay")
        assert (again.status_code, again.json()) == (202, {"queued": 1})
        assert await sending.deliver_due(gateway.plane.pool, private=True) == 1
        rotated = (await client.post(f"{path}/rotate")).json()
        await gateway.add_asset("w12")
        await sending.deliver_due(gateway.plane.pool, private=True)
        _, headers, body = hooks.taken[-1]
        assert verify(made["secret"], headers, body, now=time.time()), "the old secret is good for a day"
        assert verify(rotated["secret"], headers, body, now=time.time())
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).json()["code"] == "webhook_not_found"


@pytest.mark.parametrize(
    "document",
    [{"url": "https://127.0.0.1/"}, {"url": "https://example.com/", "types": ["asset.exploded"]}, {"url": "x"}, {}],
)
async def test_api_refuses(dsn, tmp_path, document):
    """An address inwards, an unknown type, no URL: 422, and nothing is registered."""
    environ = {"STORAGE_MODE": "local"}
    async with (
        running_gateway(dsn, tmp_path, environ) as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=20) as client,
    ):
        assert (await client.post("/v1/webhooks", json=document)).status_code == 422
        assert (await client.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_foreign_webhook_does_not_exist(dsn, tmp_path, hooks):
    """Another owner's webhook is not there, for any verb."""
    async with (
        running_gateway(dsn, tmp_path, LOCAL) as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=20) as client,
    ):
        foreign = await register(gateway.plane.pool, hooks.url)
        path = f"/v1/webhooks/{foreign.endpoint_id}"
        asked = [
            await client.delete(path),
            await client.post(f"{path}/enable"),
            await client.post(f"{path}/rotate"),
            await client.get(f"{path}/deliveries"),
            await client.post(f"{path}/replay", json={}),
            await client.post(f"{path}/deliveries/1/replay"),
        ]
        assert {answer.status_code for answer in asked} == {404}
