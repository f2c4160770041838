"""Plans and quotas over real HTTP: what a client is told, and that nobody keeps bytes for nothing."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from mediaplane.access.principals import Role
from mediaplane.catalog import usage
from mediaplane.catalog.usage import Account
from mediaplane.client import Client, QuotaReached
from mediaplane.upkeep.deletion import drain_outbox
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PROFILE = """
[layout]
original = "in/{asset_id}/master.{ext}"
clip = "clips/{asset_id}/{clip_id}.mp4"

[plans.free]
default = true
stored_bytes = 10000
largest_bytes = 8000
clips = 1
uploads_in_flight = 3

[plans.pro]
title = "Professional"
stored_bytes = "1 GB"
"""


@dataclass(frozen=True)
class Planned:
    """A gateway with accounts and plans over one kind of store; each test has an owner of its own."""

    gateway: Gateway
    client: httpx.AsyncClient
    kind: str
    admin: dict[str, str]

    async def join(self, owner: str, role: Role = Role.MEMBER, **fields: Any) -> dict[str, str]:
        return await make_header(self.gateway.plane.pool, role, owner=owner, team=owner, **fields)

    async def begin(self, who: dict[str, str], size_bytes: int) -> httpx.Response:
        body = {"name": "a.mp4", "size_bytes": size_bytes, "content_type": "video/mp4"}
        return await self.client.post("/v1/uploads", json=body, headers=who)

    async def put(self, upload: dict[str, Any], body: bytes) -> int:
        sent = upload["put"]
        return (await self.client.put(sent["url"], content=body, headers=sent["headers"])).status_code

    async def upload(self, who: dict[str, str], body: bytes) -> dict[str, Any]:
        begun = (await self.begin(who, len(body))).json()
        assert await self.put(begun, body) == 200
        answer = await self.client.post(f"/v1/uploads/{begun['upload_id']}/complete", headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def usage(self, who: dict[str, str]) -> dict[str, Any]:
        return (await self.client.get("/v1/usage", headers=who)).json()

    async def stored(self, who: dict[str, str]) -> float:
        return (await self.usage(who))["resources"]["stored_bytes"]["usage"]

    async def remove(self) -> None:
        """Remove the bytes that are due."""
        plane = self.gateway.plane
        await drain_outbox(plane.pool, {name: opened.store for name, opened in plane.stores.items()})

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.gateway.plane.pool.connection() as conn:
            await conn.execute(statement, values)

    async def keys(self) -> list[str]:
        stores = [opened.store for opened in self.gateway.plane.stores.values()]
        return [info.key for store in stores async for info in store.walk("")]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["seaweed", "local"])
async def planned(request, module_dsn, tmp_path_factory, fresh_bucket) -> AsyncIterator[Planned]:
    state = tmp_path_factory.mktemp("state")
    (state / "plans.toml").write_text(PROFILE)
    environ = {"MEDIAPLANE_PROFILE": str(state / "plans.toml"), "MEDIAPLANE_AUTH": "on", "STORAGE_MODE": "local"}
    environ["MEDIAPLANE_RATE_PER_SECOND"] = "10000"
    if request.param != "local":
        server = request.getfixturevalue(request.param)
        environ |= {
            "STORAGE_MODE": "s3",
            "S3_ENDPOINT": server.http_endpoint,
            "S3_BUCKET": fresh_bucket(server),
            "S3_ACCESS_KEY_ID": server.access_key,
            "S3_SECRET_ACCESS_KEY": server.secret_key,
            "S3_PROVIDER": "seaweedfs",
        }
    async with (
        running_gateway(module_dsn, state, environ) as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=60) as client,
    ):
        admin = await make_header(gateway.plane.pool, Role.ADMIN, owner="boss", team="ops")
        yield Planned(gateway, client, request.param, admin)


@pytest.fixture
def owner(request, planned) -> str:
    return f"{request.node.originalname[5:40]}-{planned.kind}"


def mp4(size_bytes: int) -> bytes:
    return MP4 + random.randbytes(size_bytes - len(MP4))


async def test_problem_names_the_numbers(planned, owner):
    """402 with limit, usage, requested, resource and plan where a larger plan would help; 403 where none would."""
    who = await planned.join(owner)
    assert (await planned.begin(who, 6000)).status_code == 201
    answer = await planned.begin(who, 5000)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {name: problem[name] for name in ("status", "code", "resource", "limit", "usage", "requested", "plan")} == {
        "status": 402, "code": "quota_exceeded", "resource": "stored_bytes", "limit": 10000, "usage": 6000,
        "requested": 5000, "plan": "free",
    }  # fmt: skip
    assert problem["larger_plans"] == ["pro"]
    given = await planned.client.put("/v1/plans/holders", json={"owner": owner, "plan": "pro"}, headers=planned.admin)
    assert given.status_code == 200, given.text
    assert (await planned.begin(who, 5000)).status_code == 201
    answer = await planned.begin(who, 2_000_000_000)
    assert (answer.status_code, answer.json()["larger_plans"]) == (403, [])


async def test_uploads_in_flight(planned, owner):
    """So many at a time; one that ended makes room for the next."""
    who = await planned.join(owner)
    begun = [(await planned.begin(who, 100)).json() for _ in range(3)]
    answer = await planned.begin(who, 100)
    assert (answer.status_code, answer.json()["resource"]) == (402, "uploads_in_flight")
    assert (await planned.client.delete(f"/v1/uploads/{begun[0]['upload_id']}", headers=who)).status_code == 204
    assert (await planned.begin(who, 100)).status_code == 201


async def test_hundred_at_once_never_pass_the_limit(planned, owner):
    """The last gigabyte goes to as many as it holds, each with its bytes reserved; the others are told why not."""
    who = await planned.join(owner)
    given = await planned.client.put("/v1/plans/holders", json={"owner": owner, "plan": "pro"}, headers=planned.admin)
    assert given.status_code == 200, given.text
    answers = await asyncio.gather(*(planned.begin(who, 30_000_000) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [201] * 33 + [403] * 67
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} == {"quota_exceeded"}
    assert await planned.stored(who) == 33 * 30_000_000
    assert (await planned.begin(who, 10_000_000)).status_code == 201


async def test_bytes_put_after_cancelling_are_counted_and_removed(planned, owner):
    """Cancel, be refunded, write all the same: the URL still writes, but what it may write is held until it ends."""
    who = await planned.join(owner)
    body = mp4(6000)
    begun = (await planned.begin(who, len(body))).json()
    assert (await planned.client.delete(f"/v1/uploads/{begun['upload_id']}", headers=who)).status_code == 204
    await planned.remove()
    assert (await planned.begin(who, 6000)).status_code == 402  # nothing was refunded yet
    assert await planned.put(begun, body) in (200, 403, 404)
    assert await planned.stored(who) == 6000
    await planned.execute("UPDATE outbox SET due_at = now(), held_until = now() WHERE owner = %s", owner)
    await planned.remove()
    assert not [key for key in await planned.keys() if begun["asset_id"] in key]
    assert await planned.stored(who) == 0
    assert (await planned.begin(who, 6000)).status_code == 201


async def test_refused_bytes_are_counted_until_they_are_removed(planned, owner):
    """A file that is not what it was said to be is refused; its URL gives no room for nothing either."""
    who = await planned.join(owner)
    begun = (await planned.begin(who, 6000)).json()
    assert await planned.put(begun, b"<html>" + b"x" * 5994) == 200
    answer = await planned.client.post(f"/v1/uploads/{begun['upload_id']}/complete", headers=who)
    assert answer.status_code == 415
    assert await planned.stored(who) == 6000
    await planned.remove()
    assert await planned.stored(who) == 6000
    await planned.execute("UPDATE outbox SET due_at = now(), held_until = now() WHERE owner = %s", owner)
    await planned.remove()
    assert await planned.stored(who) == 0


async def test_deleting_frees_when_the_bytes_are_gone(planned, owner):
    """DELETE of an asset answers at once; what it had counts until a worker has removed it."""
    who = await planned.join(owner)
    done = await planned.upload(who, mp4(7000))
    now = await planned.usage(who)
    assert now["stored"] == {"objects_bytes": 7000, "outbox_bytes": 0, "reserved_bytes": 0}
    assert now["resources"]["stored_bytes"] == {"usage": 7000, "limit": 10000, "left": 3000, "percent": 70.0}
    assert (await planned.client.delete(f"/v1/assets/{done['asset_id']}", headers=who)).status_code == 204
    assert (await planned.usage(who))["stored"]["outbox_bytes"] == 7000
    assert (await planned.begin(who, 5000)).status_code == 402
    await planned.remove()
    assert await planned.stored(who) == 0
    assert (await planned.begin(who, 5000)).status_code == 201


async def test_same_bytes_again_are_not_counted_twice(planned, owner):
    """The second upload becomes the first one's asset; its own bytes count until they and their URL are gone."""
    who = await planned.join(owner)
    body = mp4(4000)
    first = await planned.upload(who, body)
    second = await planned.upload(who, body)
    assert (second["asset_id"], second["reused"]) == (first["asset_id"], True)
    assert await planned.stored(who) == 8000
    await planned.remove()
    await planned.execute("UPDATE outbox SET due_at = now(), held_until = now() WHERE owner = %s", owner)
    await planned.remove()
    assert await planned.stored(who) == 4000


async def test_uppy_is_held_to_the_plan(planned, owner):
    """A client that says no size gets what the plan takes of one file, and is refused where it sends more."""
    who = await planned.join(owner)
    announced = {"filename": "a.mp4", "type": "video/mp4"}
    begun = (await planned.client.post("/s3/multipart", json=announced, headers=who)).json()
    assert (await planned.usage(who))["stored"]["reserved_bytes"] == 8000
    path, key = f"/s3/multipart/{begun['uploadId']}", {"key": begun["key"]}
    url = (await planned.client.get(f"{path}/1", params=key, headers=who)).json()["url"]
    sent = await planned.client.put(url, content=mp4(9000))
    assert sent.status_code == 200
    parts = {"parts": [{"PartNumber": 1, "ETag": sent.headers["etag"]}]}
    answer = await planned.client.post(f"{path}/complete", params=key, json=parts, headers=who)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    second = await planned.client.post("/s3/multipart", json={**announced, "metadata": {"size": 9000}}, headers=who)
    assert (second.status_code, second.json()["resource"]) == (402, "largest_bytes")


async def test_clips(planned, owner):
    """One clip is one clip, however often it is asked for; the next is too many, and the owner of the asset pays."""
    who = await planned.join(owner)
    await planned.gateway.add_asset(f"asset-{planned.kind}", owner=owner, team=owner)
    await planned.execute("UPDATE assets SET duration_ms = 60000 WHERE asset_id = %s", f"asset-{planned.kind}")
    path = f"/v1/assets/asset-{planned.kind}/clips"
    for _ in range(2):
        answer = await planned.client.post(path, json={"t_start_ms": 0, "t_end_ms": 500}, headers=who)
        assert answer.status_code == 202, answer.text
    for asking in (who, planned.admin):
        answer = await planned.client.post(path, json={"t_start_ms": 9000, "t_end_ms": 9500}, headers=asking)
        assert (answer.status_code, answer.json()["resource"]) == (402, "clips")
    assert (await planned.usage(who))["resources"]["clips"]["usage"] == 1
    assert (await planned.usage(planned.admin))["resources"]["clips"]["usage"] == 0


async def test_usage_of_others_is_for_operators(planned, owner):
    """Everybody sees the own, operators anybody's; a service needs the scope."""
    who = await planned.join(owner)
    await planned.begin(who, 100)
    path = {"owner": owner}
    assert (await planned.client.get("/v1/usage", params=path, headers=planned.admin)).json()["owner"] == owner
    other = await planned.join("other")
    assert (await planned.client.get("/v1/usage", params=path, headers=other)).status_code == 403
    assert (await planned.client.get("/v1/usage", params={"team": owner}, headers=other)).status_code == 403
    reader = await planned.join("program", Role.SERVICE, scopes=["read"])
    assert (await planned.client.get("/v1/usage", params=path, headers=reader)).status_code == 403
    operator = await planned.join("program", Role.SERVICE, scopes=["read", "operate"])
    assert (await planned.client.get("/v1/usage", params=path, headers=operator)).status_code == 200
    async with planned.gateway.plane.pool.connection() as conn:
        assert Account(owner, owner) in await usage.read_all(conn)


async def test_plans_are_given_by_operators_and_recorded(planned, owner):
    """A plan with limits of one's own, from a moment on; the audit log says who gave it."""
    body = {"owner": owner, "plan": "pro", "limits": {"clips": 7, "stored_bytes": None}}
    answer = await planned.client.put("/v1/plans/holders", json=body, headers=planned.admin)
    assert (answer.status_code, answer.json()["limits"]) == (200, {"clips": 7, "stored_bytes": None})
    now = await planned.usage(await planned.join(owner))
    assert (now["plan"], now["resources"]["clips"]["limit"], now["resources"]["stored_bytes"]["limit"]) == (
        "pro",
        7,
        None,
    )
    found = (await planned.client.get("/v1/plans/holders", params={"owner": owner}, headers=planned.admin)).json()
    assert [row["plan"] for row in found["holders"]] == ["pro"]
    plans = (await planned.client.get("/v1/plans", headers=planned.admin)).json()["plans"]
    assert [(plan["plan"], plan["is_default"]) for plan in plans] == [("free", True), ("pro", False)]
    for wrong in ({"plan": "gold"}, {"plan": "pro", "limits": {"gold": 1}}, {"plan": "pro", "limits": {"clips": -1}}):
        answer = await planned.client.put("/v1/plans/holders", json={"owner": owner, **wrong}, headers=planned.admin)
        assert answer.status_code in (404, 422)
    async with planned.gateway.plane.pool.connection() as conn:
        rows = await conn.execute(
            "SELECT subject, action, thing FROM audit_records WHERE kind = 'plan' AND owner = %s", [owner]
        )
        [(subject, action, thing)] = await rows.fetchall()
    assert (subject.partition(":")[0], action, thing) == ("key", "plan.set", "pro")


async def test_gateway_cannot_change_its_own_plan(planned, owner):
    """What narrows the gateway in the database lets only operators write plans, and nobody what was counted."""
    await planned.begin(await planned.join(owner), 100)
    sight = "SELECT set_config('mediaplane.owner', %s, true), set_config('mediaplane.team', %s, true)"

    async def write(statement: str) -> int:
        async with planned.gateway.plane.pool.connection() as conn, conn.transaction():
            await conn.execute("SET LOCAL ROLE mediaplane_gateway")
            await conn.execute(sight, [owner, owner])
            return (await conn.execute(statement, [owner])).rowcount

    for statement in (
        "INSERT INTO plan_holders (owner, team, plan) VALUES (%s, '*', 'pro')",
        "INSERT INTO usage_ledger (owner, team, resource, amount) VALUES (%s, 'x', 'objects_bytes', -100)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await write(statement)
    assert await write("DELETE FROM usage_ledger WHERE owner = %s") == 0
    assert await write("UPDATE usage_counters SET amount = 0 WHERE owner = %s") == 0


async def test_client(planned, owner):
    """The typed client tells usage, and what was over the limit with its numbers; an operator gives plans with it."""
    key = (await planned.join(owner))["authorization"].removeprefix("Bearer ")
    operator = planned.admin["authorization"].removeprefix("Bearer ")

    def use(path: Any) -> None:
        with Client(planned.gateway.url, key=key) as media:
            assert media.usage().plan == "free"
            with pytest.raises(QuotaReached) as caught:
                media.upload(path)
            assert (caught.value.status, caught.value.document["requested"]) == (402, 9000)
        with Client(planned.gateway.url, key=operator) as boss:
            assert boss.set_plan(owner, "pro", limits={"clips": 3}).limits == {"clips": 3}
            assert [holder.plan for holder in boss.plan_holders(owner)] == ["pro"]
            assert {plan.plan for plan in boss.plans()} == {"free", "pro"}
            assert boss.usage(owner).resources["clips"].limit == 3

    path = planned.gateway.plane.settings.state_dir / "big.mp4"
    path.write_bytes(mp4(9000))
    await asyncio.to_thread(use, path)
