"""Highlights over real HTTP: read, written one version after the other, and cut into clips with names."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.principals import Role
from mediaplane.catalog import assets, clips, objects, runs
from mediaplane.jobs.highlights import Condition
from mediaplane.media.highlights import check
from mediaplane.media.ids import new_id
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOMENTS = [
    {
        "start_ms": 10_000,
        "end_ms": 25_000,
        "score": 0.9,
        "title": "The goal 🔥",
        "style": "vertical",
        "reasons": ["loud"],
    },
    {"start_ms": 40_000, "end_ms": 55_000, "score": 0.5, "title": "", "style": "original", "reasons": []},
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_PROFILE": "viral-clip"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{gateway.url}/v1", timeout=30) as opened:
        yield opened


async def add_asset(gateway: Gateway, status: str = "ready", duration_ms: int | None = 60_000) -> str:
    asset_id = new_id()
    await gateway.add_asset(asset_id, status=status)
    if duration_ms is not None:
        async with gateway.plane.pool.connection() as conn:
            await assets.describe(
                conn, asset_id, kind="video", duration_ms=duration_ms, width=640, height=360, probe={}
            )
    return asset_id


async def test_highlights_are_written_read_and_replaced(gateway, client):
    """What is put is got, in an object of its own; a newer version needs the ETag of the one before it."""
    asset_id = await add_asset(gateway)
    assert (await client.get(f"/assets/{asset_id}/highlights")).json()["code"] == "highlights_not_found"
    made = await client.put(f"/assets/{asset_id}/highlights", json={"moments": MOMENTS})
    assert made.status_code == 201, made.text
    read = await client.get(f"/assets/{asset_id}/highlights")
    assert read.json() == made.json()
    assert read.json()["moments"] == MOMENTS
    assert read.json()["detector"] is None
    etag = read.headers["etag"]
    assert etag == made.headers["etag"]
    unchanged = await client.get(f"/assets/{asset_id}/highlights", headers={"if-none-match": etag})
    assert unchanged.status_code == 304

    blind = await client.put(f"/assets/{asset_id}/highlights", json={"moments": []})
    assert (blind.status_code, blind.json()["code"]) == (412, "highlights_changed")
    newer = await client.put(
        f"/assets/{asset_id}/highlights", json={"moments": MOMENTS[:1]}, headers={"if-match": etag}
    )
    assert newer.status_code == 200
    late = await client.put(f"/assets/{asset_id}/highlights", json={"moments": []}, headers={"if-match": etag})
    assert late.status_code == 412
    assert (await client.get(f"/assets/{asset_id}/highlights")).json()["moments"] == MOMENTS[:1]

    async with gateway.plane.pool.connection() as conn:
        (row,) = await objects.of_asset(conn, asset_id, "highlights")
        told = await conn.execute("SELECT type FROM events WHERE asset_id = %s AND type LIKE 'highl%%'", [asset_id])
        assert len(await told.fetchall()) == 2
    assert row.key == f"users/local/{asset_id}/highlights.json"
    assert row.state == "stored"
    store = gateway.plane.stores[row.store].store
    content = b"".join([chunk async for chunk in store.read(row.key)])
    assert json.loads(content)["moments"] == MOMENTS[:1]
    assert row.size_bytes == len(content)


async def test_of_many_writers_of_one_version_one_wins(gateway, client):
    """Ten who have all read the same version write at once: one is taken, nine are told."""
    asset_id = await add_asset(gateway)
    made = await client.put(f"/assets/{asset_id}/highlights", json={"moments": MOMENTS})
    bodies = [{"moments": [{**MOMENTS[0], "title": f"writer {number}"}]} for number in range(10)]
    answers = await asyncio.gather(
        *(
            client.put(f"/assets/{asset_id}/highlights", json=body, headers={"if-match": made.headers["etag"]})
            for body in bodies
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await client.get(f"/assets/{asset_id}/highlights")).json() == winner


async def test_a_detector_leaves_alone_what_somebody_wrote(gateway, client):
    """A run replaces what a run has found, and nothing that a person has written."""
    asset_id = await add_asset(gateway)
    file = gateway.plane.highlights_file(gateway.plane.pool.connection)
    async with gateway.plane.pool.connection() as conn:
        asset = await assets.get(conn, asset_id)
    found, again = (check(asset_id, 60_000, [{**MOMENTS[0], "title": name}], detector="default") for name in "ab")
    await file.write(asset, found.to_bytes(), None, run_id="run-1")
    written = await file.write(asset, again.to_bytes(), None, run_id="run-2")
    assert written.detected
    edited = check(asset_id, 60_000, MOMENTS)
    await file.write(asset, edited.to_bytes(), Condition(written.etag))
    kept = await file.write(asset, found.to_bytes(), None, run_id="run-3")
    assert kept.content == edited.to_bytes()
    assert not kept.detected


async def test_writer_killed_before_its_bytes_leaves_none(gateway, client):
    """A row without bytes is no file: the next one is the first."""
    asset_id = await add_asset(gateway)
    async with gateway.plane.pool.connection() as conn:
        await objects.intend(
            conn,
            store=gateway.plane.store_for(asset_id, "highlights").name,
            asset_id=asset_id,
            role="highlights",
            keys=[f"users/local/{asset_id}/highlights.json"],
            content_type="application/json",
        )
    assert (await client.get(f"/assets/{asset_id}/highlights")).status_code == 404
    assert (await client.put(f"/assets/{asset_id}/highlights", json={"moments": MOMENTS})).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"moments": [{**MOMENTS[0], "end_ms": 60_001}]}, "invalid_highlights"),
        ({"moments": [{**MOMENTS[0], "end_ms": 5}]}, "invalid_highlights"),
        ({"moments": [{**MOMENTS[0], "style": "../x"}]}, "invalid_request"),
        ({"moments": [{"start_ms": 1}]}, "invalid_request"),
        ({"moments": MOMENTS * 50}, "invalid_request"),
    ],
)
async def test_wrong_highlights_are_refused(gateway, client, body, code):
    """What cannot be cut later is not stored now."""
    asset_id = await add_asset(gateway)
    answer = await client.put(f"/assets/{asset_id}/highlights", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await client.get(f"/assets/{asset_id}/highlights")).status_code == 404


async def test_still_processed_says_how_far_and_when(gateway, client):
    """Whatever needs an asset that is not that far answers 409 with progress and Retry-After, under one code."""
    asset_id = await add_asset(gateway, status="processing", duration_ms=None)
    token = gateway.plane.tokens.make_token(asset_id)
    clip = {"t_start_ms": 0, "t_end_ms": 500}
    answers = [
        await client.get(f"/assets/{asset_id}/highlights"),
        await client.put(f"/assets/{asset_id}/highlights", json={"moments": MOMENTS}),
        await client.post(f"/assets/{asset_id}/highlights/clips"),
        await client.post(f"/assets/{asset_id}/clips", json=clip),
        await client.get(f"/assets/{asset_id}/hls/index.m3u8?token={token}"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_ready"), answer.text
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["progress"] == {"share": 0.0, "stages": []}


async def test_failed_asset_is_not_worth_waiting_for(gateway, client):
    """What failed says why, and not when to come back."""
    asset_id = await add_asset(gateway, status="failed", duration_ms=None)
    answer = await client.post(f"/assets/{asset_id}/clips", json={"t_start_ms": 0, "t_end_ms": 500})
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_ready")
    assert "retry-after" not in answer.headers
    assert "progress" not in answer.json()


async def test_highlights_become_clips_in_one_call(gateway, client):
    """Each highlight is one clip with its number, title and style; asked twice it is made once."""
    asset_id = await add_asset(gateway)
    await client.put(f"/assets/{asset_id}/highlights", json={"moments": MOMENTS})
    path = f"/assets/{asset_id}/highlights/clips"
    made = await client.post(path, headers={"idempotency-key": new_id()})
    assert made.status_code == 202, made.text
    first, second = made.json()["clips"]
    assert (first["highlight"], first["version"], first["title"]) == (1, 1, "The goal 🔥")
    assert (first["style"], first["mode"]) == ("vertical", "exact")
    assert (second["highlight"], second["style"]) == (2, "original")
    again = (await client.post(path)).json()["clips"]
    assert [clip["clip_id"] for clip in again] == [first["clip_id"], second["clip_id"]]

    squared = await client.post(path, json={"numbers": [1], "style": "square"})
    (third,) = squared.json()["clips"]
    assert (third["highlight"], third["version"], third["style"]) == (1, 2, "square")
    listed = (await client.get(f"/assets/{asset_id}/clips")).json()["clips"]
    assert {clip["clip_id"] for clip in listed} == {first["clip_id"], second["clip_id"], third["clip_id"]}
    assert (await client.get(f"/assets/{asset_id}/clips?status=ready")).json()["clips"] == []

    assert (await client.delete(f"/clips/{third['clip_id']}")).status_code == 204
    (anew,) = (await client.post(path, json={"numbers": [1], "style": "square"})).json()["clips"]
    assert anew["version"] == 3, "a number is never given twice: a cache may have the old clip under it"
    async with gateway.plane.pool.connection() as conn:
        stages = {run.subject: run.params for run in await runs.of_asset(conn, asset_id)}
    assert stages[first["clip_id"]]["aspect"] == [9, 16]
    assert "aspect" not in stages[second["clip_id"]]


async def test_clips_of_what_is_not_there_are_refused(gateway, client):
    """A number without a highlight, a style that nobody knows: all or nothing."""
    asset_id = await add_asset(gateway)
    await client.put(
        f"/assets/{asset_id}/highlights", json={"moments": [MOMENTS[0], {**MOMENTS[1], "style": "tiktok"}]}
    )
    path = f"/assets/{asset_id}/highlights/clips"
    for body, code in (({"numbers": [3]}, "invalid_range"), ({}, "invalid_style"), ({"style": "x"}, "invalid_style")):
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await client.get(f"/assets/{asset_id}/clips")).json()["clips"] == []


async def test_expired_thumbnails_go_with_their_clip(gateway):
    """Clip and thumbnail are two objects with one life."""
    asset_id = await add_asset(gateway)
    key, thumb = (f"users/local/{asset_id}/clips/c.{ext}" for ext in ("mp4", "jpg"))
    await gateway.put(asset_id, key, b"clip", role="clip", content_type="video/mp4")
    await gateway.put(asset_id, thumb, b"thumb", role="thumbnail", content_type="image/jpeg")
    async with gateway.plane.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, status, store, key, "
            "thumb_store, thumb_key) VALUES (%s, %s, 'local', 'local', 'fast', 0, 9, 'ready', %s, %s, %s, %s)",
            (new_id(), asset_id, gateway.opened.name, key, gateway.opened.name, thumb),
        )
        (clip,) = await clips.of_asset(conn, asset_id)
        await clips.delete(conn, clip.clip_id)
        assert await objects.of_asset(conn, asset_id) == []
        left = await conn.execute("SELECT key FROM outbox WHERE asset_id = %s ORDER BY key DESC", [asset_id])
        assert [row[0] for row in await left.fetchall()] == [key, thumb]


async def test_roles_that_may_not_edit_may_read(module_dsn, tmp_path_factory):
    """A validator sees highlights and cuts them, and does not write them."""
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_PROFILE": "viral-clip", "MEDIAPLANE_AUTH": "on"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("shut"), environ) as gateway:
        member = await make_header(gateway.plane.pool, Role.MEMBER)
        validator = await make_header(gateway.plane.pool, Role.VALIDATOR)
        asset_id = new_id()
        await gateway.add_asset(asset_id, owner="me", team="mine")
        async with gateway.plane.pool.connection() as conn:
            await assets.describe(conn, asset_id, kind="video", duration_ms=60_000, width=1, height=1, probe={})
        async with httpx.AsyncClient(base_url=f"{gateway.url}/v1/assets/{asset_id}", timeout=30) as client:
            body = {"moments": MOMENTS}
            assert (await client.put("/highlights", json=body, headers=validator)).status_code == 403
            assert (await client.put("/highlights", json=body, headers=member)).status_code == 201
            assert (await client.get("/highlights", headers=validator)).status_code == 200
            assert (await client.post("/highlights/clips", headers=validator)).status_code == 202
