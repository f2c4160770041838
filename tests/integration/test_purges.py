"""Purges: nothing of an asset or of an owner is left, others keep theirs, and the receipt proves it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.audit import verify
from mediaplane.access.principals import Role
from mediaplane.catalog import audit, objects, purges, segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.errors import ObjectNotFound, StorageError
from mediaplane.media.ids import new_id
from mediaplane.media.keys import ObjectKey, uid_of
from mediaplane.upkeep.deletion import drain_outbox
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PART = 16 << 20


@dataclass(frozen=True)
class Deployment:
    """A gateway with accounts over one kind of store, and a client of it."""

    gateway: Gateway
    client: httpx.AsyncClient

    async def user(self, owner: str, role: Role = Role.MEMBER, team: str = "") -> dict[str, str]:
        return await make_header(self.gateway.plane.pool, role, owner=owner, team=team or owner)

    async def add_video(self, owner: str, *, team: str = "") -> str:
        """Give an owner an asset with everything that an asset may have."""
        asset_id, place = new_id(), f"users/{uid_of(owner)}"
        await self.gateway.add_asset(asset_id, owner=owner, team=team or owner, title="a secret title")
        for role, name in (("original", "original.mp4"), ("clip", "clips/c.mp4"), ("highlights", "highlights.json")):
            await self.gateway.put(
                asset_id, f"{place}/{asset_id}/{name}", b"bytes", role=role, content_type="video/mp4"
            )
        async with self.gateway.plane.pool.connection() as conn, conn.transaction():
            new = NewSegment("ocr", 0, 500, f"confidential{owner[:3]} words", (0, 0, 9, 9))
            await segments.replace_chunk(conn, (asset_id, owner, team or owner), 0, [new])
            await conn.execute(
                "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, status, store, key) "
                "VALUES (%s, %s, %s, %s, 'fast', 0, 9, 'ready', %s, %s)",
                (new_id(), asset_id, owner, team or owner, self.gateway.opened.name, f"{place}/{asset_id}/clips/c.mp4"),
            )
        return asset_id

    async def begin_upload(self, header: dict[str, str], **wish: Any) -> dict[str, Any]:
        asked = {"name": "v.mp4", "size_bytes": 1000, **wish}
        answer = await self.client.post("/uploads", json=asked, headers={**header, "idempotency-key": new_id()})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def finish(self, purge_id: str) -> purges.Purge:
        """Do what workers do until the purge is done."""
        plane = self.gateway.plane
        stores = {name: opened.store for name, opened in plane.stores.items()}
        async with plane.pool.connection() as conn:
            purge = await purges.get(conn, purge_id)
        for _ in range(10):
            purge = await plane.purging.carry_out(purge)
            if purge.state == "done":
                return purge
            await drain_outbox(plane.pool, stores)
        raise AssertionError(purge)

    async def keys(self, prefix: str) -> list[str]:
        return [info.key for one in self.gateway.plane.stores.values() async for info in one.store.walk(prefix)]

    async def count(self, table: str, owner: str) -> int:
        async with self.gateway.plane.pool.connection() as conn:
            row = await (await conn.execute(f"SELECT count(*) FROM {table} WHERE owner = %s", [owner])).fetchone()
        return int(row[0])

    async def records(self, purge_id: str) -> dict[str, dict[str, Any]]:
        async with self.gateway.plane.pool.connection() as conn:
            assert not (await verify(conn)).faults
            return {row["action"]: row async for row in audit.export(conn) if row["thing"] == purge_id}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["seaweed", "rgw", "local"])
async def deployment(request, module_dsn, tmp_path_factory, fresh_bucket) -> AsyncIterator[Deployment]:
    environ = {"MEDIAPLANE_PROFILE": "viral-clip", "MEDIAPLANE_AUTH": "on", "STORAGE_MODE": "local"}
    if request.param != "local":
        server = request.getfixturevalue(request.param)
        environ |= {
            "STORAGE_MODE": "s3",
            "R2_ENDPOINT_URL": server.http_endpoint,
            "R2_BUCKET_NAME": fresh_bucket(server),
            "R2_ACCESS_KEY_ID": server.access_key,
            "R2_SECRET_ACCESS_KEY": server.secret_key,
            "S3_PROVIDER": {"seaweed": "seaweedfs", "rgw": "ceph"}[request.param],
        }
    state = tmp_path_factory.mktemp("state")
    async with (
        running_gateway(module_dsn, state, environ) as gateway,
        httpx.AsyncClient(base_url=f"{gateway.url}/v1", timeout=60) as client,
    ):
        yield Deployment(gateway, client)


async def test_purge_of_an_asset(deployment):
    """Rows, bytes, events and words of one asset go; its owner's other asset stays as it was."""
    owner = f"one-{new_id()[:8]}"
    header = await deployment.user(owner)
    gone, kept = await deployment.add_video(owner), await deployment.add_video(owner)
    asked = await deployment.client.post(f"/assets/{gone}/purge", headers=header)
    assert asked.status_code == 202, asked.text
    again = await deployment.client.post(f"/assets/{gone}/purge", headers=header)
    assert again.json()["purge_id"] == asked.json()["purge_id"], "asked twice, done once"
    receipt = await deployment.finish(asked.json()["purge_id"])

    assert receipt.objects == 3
    assert receipt.size_bytes == 15
    assert receipt.rows_deleted["clips"] == 1
    assert receipt.rows_deleted["segments"] == 1
    assert receipt.prefixes == [f"users/{owner}/{gone}/"]
    assert await deployment.keys(f"users/{owner}/{gone}/") == []
    assert len(await deployment.keys(f"users/{owner}/{kept}/")) == 3
    async with deployment.gateway.plane.pool.connection() as conn:
        told = await (await conn.execute("SELECT type, data FROM events WHERE asset_id = %s", [gone])).fetchall()
        assert {kind for kind, _ in told} == {"asset.deleted", "purge.requested", "purge.finished"}
        assert not any("secret" in str(data) for _, data in told)
        assert await (await conn.execute("SELECT 1 FROM purge_keys")).fetchone() is None
    shown = (await deployment.client.get(f"/purges/{receipt.purge_id}", headers=header)).json()
    assert shown["state"] == "done"
    assert shown["receipt_digest"] == purges.digest_of(receipt)


async def test_purge_of_an_owner(deployment):
    """All of an owner goes, whatever it is, also what is being sent just now; a neighbour keeps every byte."""
    owner, other = f"me@{new_id()[:8]}.example", f"me-{new_id()[:8]}-example"
    header, others = await deployment.user(owner), await deployment.user(other)
    first = await deployment.add_video(owner)
    await deployment.add_video(owner)
    await deployment.add_video(other)
    stray = ObjectKey(f"users/{uid_of(owner)}/left/by-hand.bin")
    await deployment.gateway.opened.store.put(stray, whole(b"stray"), content_type="application/octet-stream")
    parts = await deployment.begin_upload(header, size_bytes=PART + 1, multipart=True)
    part = parts["parts"]["urls"][0]
    assert (await deployment.client.put(part["url"], content=b"x" * PART)).is_success
    single = await deployment.begin_upload(header, size_bytes=len(MP4))
    unknown = ObjectKey(
        f"users/{uid_of(owner)}/killed/original.mp4"
    )  # begun by who was killed before its row was there
    reference = await deployment.gateway.opened.intake.begin(unknown, content_type="video/mp4")

    asked = await deployment.client.post("/purges", headers={**header, "idempotency-key": new_id()})
    assert asked.status_code == 202, asked.text
    receipt = await deployment.finish(asked.json()["purge_id"])
    assert await deployment.keys(f"users/{uid_of(owner)}/") == []
    assert len(await deployment.keys(f"users/{uid_of(other)}/")) == 3
    for table in sorted(purges.PERSONAL - {"hls_segments", "lexicon_deletions", "events", "idempotency_keys"}):
        assert await deployment.count(table, owner) == 0, table
    assert await deployment.count("assets", other) == 1
    assert await deployment.count("lexicon", other) > 0
    assert receipt.rows_deleted["assets"] == 4
    assert receipt.rows_deleted["uploads"] == 2
    assert receipt.watched_until is not None, "the URL of the single PUT could still write"

    if deployment.gateway.opened.endpoint:
        with pytest.raises(ObjectNotFound):
            await deployment.gateway.opened.intake.parts(unknown, reference)
    late = await deployment.client.put(part["url"], content=b"x" * PART)
    assert not late.is_success, "the parts' upload has ended"
    assert (await deployment.client.get(f"/assets/{first}", headers=header)).status_code == 404
    assert (await deployment.client.get(f"/uploads/{single['upload_id']}", headers=header)).status_code == 404
    foreign = await deployment.client.get(f"/purges/{receipt.purge_id}", headers=others)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "purge_not_found")
    assert (await deployment.client.get("/purges", headers=others)).json()["purges"] == []

    records = await deployment.records(receipt.purge_id)
    assert records["purge.finished"]["details"]["receipt_digest"] == receipt.receipt_digest
    assert records["purge.requested"]["subject_owner"] == owner
    assert receipt.requested_by["owner"] == owner


async def test_purge_of_another_owner_is_for_operators(deployment):
    """Nobody purges somebody else's things, and a program of the deployment may."""
    victim, member = f"victim-{new_id()[:8]}", await deployment.user(f"member-{new_id()[:8]}")
    asset_id = await deployment.add_video(victim)
    refused = await deployment.client.post("/purges", json={"owner": victim}, headers=member)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert (await deployment.client.post(f"/assets/{asset_id}/purge", headers=member)).status_code == 404
    service = await deployment.user("backend", Role.SERVICE, "backend")
    asked = await deployment.client.post("/purges", json={"owner": victim}, headers=service)
    assert asked.status_code == 202, asked.text
    receipt = await deployment.finish(asked.json()["purge_id"])
    assert receipt.rows_deleted["assets"] == 1
    assert await deployment.keys(f"users/{victim}/") == []


async def test_purge_of_a_team_leaves_the_owners_other_teams(deployment):
    """Who is in two teams is removed from one, bytes under the same prefix and all."""
    owner = f"both-{new_id()[:8]}"
    gone, kept = await deployment.add_video(owner, team="red"), await deployment.add_video(owner, team="blue")
    header = await deployment.user(owner, team="red")
    asked = await deployment.client.post("/purges", headers=header)
    receipt = await deployment.finish(asked.json()["purge_id"])
    assert receipt.team == "red"
    assert await deployment.keys(f"users/{owner}/{gone}/") == []
    assert len(await deployment.keys(f"users/{owner}/{kept}/")) == 3


async def test_purge_killed_at_any_step_goes_on(deployment, monkeypatch):
    """Cut off between any two steps it is gone on with, and the receipt counts each thing once."""
    owner = f"cut-{new_id()[:8]}"
    for _ in range(3):
        await deployment.add_video(owner)
    asked = await deployment.client.post("/purges", headers=await deployment.user(owner))
    purge_id = asked.json()["purge_id"]
    plane = deployment.gateway.plane
    stores = {name: opened.store for name, opened in plane.stores.items()}
    steps = ("end_uploads", "gather", "forget_told", "note_rows", "forget_owner", "waiting", "add_found", "finish")
    async with plane.pool.connection() as conn:
        purge = await purges.get(conn, purge_id)
    for step in steps:
        with monkeypatch.context() as patched:
            patched.setattr(purges, step, dies)
            with contextlib.suppress(Killed):
                await plane.purging.carry_out(purge)
            await drain_outbox(plane.pool, stores)
    receipt = await deployment.finish(purge_id)
    assert receipt.rows_deleted["assets"] == 3
    assert receipt.objects == 9
    assert receipt.size_bytes == 45
    assert len(await deployment.records(purge_id)) == 2


async def test_purge_waits_for_a_store_that_is_away_and_says_so(deployment, monkeypatch):
    """While the store refuses nothing is called done; the purge says what it waits for, and ends when it is back."""
    owner = f"away-{new_id()[:8]}"
    await deployment.add_video(owner)
    header = await deployment.user(owner)
    asked = await deployment.client.post("/purges", headers=header)
    plane, purge_id = deployment.gateway.plane, asked.json()["purge_id"]
    store = plane.store_for("any", "original").store
    stores = {name: opened.store for name, opened in plane.stores.items()}
    async with plane.pool.connection() as conn:
        purge = await purges.get(conn, purge_id)
    with monkeypatch.context() as patched:
        patched.setattr(type(store), "delete", refuses)
        await plane.purging.carry_out(purge)
        await drain_outbox(plane.pool, stores)
        waiting = await plane.purging.carry_out(purge)
    assert waiting.state == "removing"
    assert "not today" in (waiting.problem or "")
    shown = (await deployment.client.get(f"/purges/{purge_id}", headers=header)).json()
    assert shown["finished_at"] is None
    async with plane.pool.connection() as conn:
        await conn.execute("UPDATE outbox SET due_at = now()")
    assert (await deployment.finish(purge_id)).problem is None


async def test_bytes_that_come_after_all_are_found(deployment):
    """What a signed URL writes between the removal and the last look is removed too, and counted."""
    owner = f"late-{new_id()[:8]}"
    header = await deployment.user(owner)
    single = await deployment.begin_upload(header, size_bytes=len(MP4))
    asked = await deployment.client.post("/purges", headers=header)
    plane, purge_id = deployment.gateway.plane, asked.json()["purge_id"]
    stores = {name: opened.store for name, opened in plane.stores.items()}
    async with plane.pool.connection() as conn:
        purge = await purges.get(conn, purge_id)
        (key,) = [row.key for row in await objects.of_asset(conn, single["asset_id"])]
    await plane.purging.carry_out(purge)
    await drain_outbox(plane.pool, stores)
    await deployment.gateway.opened.store.put(ObjectKey(key), whole(MP4), content_type="video/mp4")
    looked = await plane.purging.carry_out(purge)
    assert (looked.state, looked.left_over) == ("verifying", 1)
    receipt = await deployment.finish(purge_id)
    assert receipt.left_over == 0
    assert await deployment.keys(f"users/{owner}/") == []


async def test_two_at_once_do_it_once(deployment):
    """Workers and a command that carry out the same purge do not get into each other's way."""
    owner = f"two-{new_id()[:8]}"
    await deployment.add_video(owner)
    asked = await deployment.client.post("/purges", headers=await deployment.user(owner))
    plane = deployment.gateway.plane
    async with plane.pool.connection() as conn:
        purge = await purges.get(conn, asked.json()["purge_id"])
    await asyncio.gather(*(plane.purging.carry_out(purge) for _ in range(3)))
    receipt = await deployment.finish(purge.purge_id)
    assert await plane.purging.carry_out(purge) == receipt, "who read it before it was done does not do it again"
    assert receipt.rows_deleted["assets"] == 1
    assert len(await deployment.records(purge.purge_id)) == 2


async def test_every_table_is_thought_of(deployment):
    """A table with somebody's rows is either emptied by a purge, or kept for a reason that stands in the code."""
    async with deployment.gateway.plane.pool.connection() as conn:
        rows = await conn.execute(
            "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'mediaplane'::regnamespace AND c.relkind IN ('r', 'p') "
            "AND a.attname IN ('owner', 'asset_id') AND NOT a.attisdropped"
        )
        tables = {row[0] for row in await rows.fetchall()}
    assert tables == purges.PERSONAL | set(purges.KEPT)


class Killed(Exception):
    pass


async def dies(*_: object, **__: object) -> None:
    raise Killed


async def refuses(*_: object, **__: object) -> None:
    raise StorageError("not today")


async def whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
