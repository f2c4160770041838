"""Uploads that go together: one transaction for many requests, and to each the answer that it would have had alone."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from mediaplane.access import registration
from mediaplane.access.direct import DirectUploads
from mediaplane.access.principals import Principal, Role
from mediaplane.access.rules import Action, viewer
from mediaplane.access.wishes import Wish
from mediaplane.catalog import direct_uploads, usage
from mediaplane.catalog.direct_uploads import PUT, DirectUpload
from mediaplane.catalog.usage import Account
from mediaplane.errors import DatabaseUnavailable, InvalidKey, QuotaExceeded, UploadIncomplete, UploadNotFound
from mediaplane.gateway.context import Context
from mediaplane.media.ids import new_id
from mediaplane.settings import load_settings
from mediaplane.wiring import open_plane
from tests.services.accounts import make_header
from tests.services.gateway import running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PLANS = {"free": {"default": True}, "small": {"stored_bytes": 10_000}}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def here(module_dsn, tmp_path_factory) -> AsyncIterator[Context]:
    environ = {
        "MEDIAPLANE_STATE_DIR": str(tmp_path_factory.mktemp("state")),
        "MEDIAPLANE_SIGNING_KEY": "a key for tests only",
        "MEDIAPLANE_PUBLIC_URL": "http://127.0.0.1:1",
        "STORAGE_MODE": "local",
    }
    settings = replace(load_settings(environ), database_url=module_dsn, plans=PLANS)
    async with open_plane(settings) as plane:
        yield Context(plane)


@pytest.fixture
def who() -> Principal:
    """Somebody new."""
    owner = new_id()
    return Principal(f"key:{owner}", owner, owner, Role.MEMBER)


@pytest.fixture
def batches(monkeypatch) -> dict[str, list[int]]:
    """How many went together, at each call of what begins and completes."""
    found: dict[str, list[int]] = {"open_all": [], "complete": []}

    def watched(name, real):
        async def watch(conn, asked):
            found[name].append(len(asked))
            return await real(conn, asked)

        return watch

    for name in found:
        monkeypatch.setattr(direct_uploads, name, watched(name, getattr(direct_uploads, name)))
    return found


def sessions(here: Context, who: Principal) -> DirectUploads:
    """The upload sessions as the gateway gives them to one who asks."""
    seen = viewer(who, Action.UPLOAD)
    actor = json.dumps({"subject": who.subject, "owner": who.owner, "team": who.team, "role": str(who.role)})

    async def share(work, item):
        return await here.share(work, seen, item)

    return here.uploads.lent(partial(here.rows, seen, actor=actor), share)


async def begin(here: Context, who: Principal, size_bytes: int = 2000, name: str = "clip.mp4") -> DirectUpload:
    begun = await sessions(here, who).begin(who, Wish(name, "video/mp4", size_bytes, PUT))
    assert isinstance(begun, DirectUpload)
    return begun


async def begin_with(here: Context, who: Principal, *bodies: bytes) -> list[DirectUpload]:
    """Begin an upload of each of the bodies and send it."""
    begun = await asyncio.gather(*(begin(here, who, len(body)) for body in bodies))
    for upload, body in zip(begun, bodies, strict=True):

        async def chunks(body=body):
            yield body

        await here.plane.stores[upload.store].store.put(upload.object_key, chunks(), content_type="video/mp4")
    return begun


async def complete(here: Context, who: Principal, *uploads: DirectUpload) -> list[Any]:
    """Complete them all at once; return what each was answered."""
    asked = (sessions(here, who).complete(who, upload.upload_id) for upload in uploads)
    return await asyncio.gather(*asked, return_exceptions=True)


async def ask(here: Context, query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with here.plane.pool.connection() as conn:
        return await (await conn.execute(query, values)).fetchall()


async def events_of(here: Context, who: Principal) -> Counter[str]:
    return Counter(row[0] for row in await ask(here, "SELECT type FROM events WHERE owner = %s", who.owner))


def mp4(size_bytes: int) -> bytes:
    """Bytes that begin as an MP4 does and are like no others."""
    return MP4 + random.randbytes(size_bytes - len(MP4))


async def test_many_begin_together(here, who, batches):
    """Many that ask at once get uploads of their own, in few transactions."""
    names = [f"{number}.mp4" for number in range(40)]
    begun = await asyncio.gather(*(begin(here, who, 1000 + n, name) for n, name in enumerate(names)))
    assert [(upload.name, upload.size_bytes) for upload in begun] == [(name, 1000 + n) for n, name in enumerate(names)]
    assert sum(batches["open_all"]) == 40 and len(batches["open_all"]) < 10
    assert await events_of(here, who) == {"asset.created": 40, "upload.open": 40}
    rows = await ask(here, "SELECT key, asset_id FROM objects WHERE owner = %s AND state = 'pending'", who.owner)
    assert set(rows) == {(upload.key, upload.asset_id) for upload in begun}


async def test_many_complete_together(here, who, batches):
    """Each of many gets an asset of its own, which is processed once."""
    uploads = await begin_with(here, who, *(mp4(2000 + number) for number in range(30)))
    completed = await complete(here, who, *uploads)
    assert [(upload.state, upload.asset_id) for upload in completed] == [
        ("completed", upload.asset_id) for upload in uploads
    ]
    assert sum(batches["complete"]) == 30 and len(batches["complete"]) < 15
    found = await ask(
        here,
        "SELECT a.status, r.stage, r.inputs_digest <> '', o.state, o.size_bytes - u.size_bytes FROM assets a "
        "JOIN stage_runs r USING (asset_id) JOIN objects o USING (asset_id) JOIN uploads u USING (asset_id) "
        "WHERE a.owner = %s",
        who.owner,
    )
    assert found == [("processing", "probe", True, "stored", 0)] * 30
    ids = [row[0] for row in await ask(here, "SELECT run_id FROM stage_runs WHERE owner = %s", who.owner)]
    waiting = await ask(here, "SELECT count(*) FROM pgqueuer WHERE dedupe_key = ANY(%s)", ids)
    assert waiting == [(30,)]


async def test_bad_neighbour_that_begins(here, who, batches):
    """What the database refuses for one is begun for all others."""
    names = ["a.mp4", "b.mp4", "bad\0.mp4", "c.mp4", "d.mp4"]
    told = await asyncio.gather(*(begin(here, who, name=name) for name in names), return_exceptions=True)
    assert isinstance(told[2], psycopg.DataError)
    assert [upload.name for upload in told if isinstance(upload, DirectUpload)] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert await ask(here, "SELECT count(*) FROM uploads WHERE owner = %s", who.owner) == [(4,)]
    assert batches["open_all"] == [5, 2, 3, 1, 2]  # it is searched by halves


async def test_bad_neighbours_that_complete(here, who):
    """One without bytes, one whose key is taken, a stranger's and one that never was: the others are complete."""
    uploads = await begin_with(here, who, *(mp4(3000 + number) for number in range(8)))
    empty, taken = await begin(here, who, 5000), uploads[3]
    async with here.plane.pool.connection() as conn:
        await conn.execute("UPDATE objects SET role = 'proxy' WHERE key = %s", [taken.key])
    stranger = Principal("key:s", new_id(), "strangers", Role.MEMBER)
    foreign = await begin(here, stranger)
    missing = replace(empty, upload_id=new_id())
    told = await complete(here, who, *uploads[:4], empty, foreign, missing, *uploads[4:])
    kinds = [type(one) for one in told]
    assert (
        kinds
        == [DirectUpload] * 3 + [InvalidKey, UploadIncomplete, UploadNotFound, UploadNotFound] + [DirectUpload] * 4
    )
    states = dict(await ask(here, "SELECT upload_id, state FROM uploads WHERE owner = %s", who.owner))
    assert Counter(states.values()) == {"completed": 7, "open": 2}
    assert states[taken.upload_id] == "open"


async def test_administrators_together(here):
    """Those who see everything share transactions, and still each has the own uploads only."""
    boss, other = (Principal(f"key:{name}", name, name, Role.ADMIN) for name in (new_id(), new_id()))
    (mine,), (theirs,) = await begin_with(here, boss, mp4(2500)), await begin_with(here, other, mp4(2600))
    refused, done, refused_too, done_too = await asyncio.gather(
        sessions(here, boss).complete(boss, theirs.upload_id),
        sessions(here, boss).complete(boss, mine.upload_id),
        sessions(here, other).complete(other, mine.upload_id),
        sessions(here, other).complete(other, theirs.upload_id),
        return_exceptions=True,
    )
    assert [type(one) for one in (refused, refused_too)] == [UploadNotFound] * 2
    assert [one.state for one in (done, done_too)] == ["completed"] * 2


async def test_quota_boundary_among_those_that_begin_together(here, who, batches):
    """Of many that together do not fit, as many begin as fit, and what is reserved never passes the limit."""
    async with here.plane.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO plan_holders (owner, team, plan) VALUES (%s, %s, 'small')", [who.owner, who.team]
        )
    told = await asyncio.gather(*(begin(here, who, 3000) for _ in range(20)), return_exceptions=True)
    assert Counter(type(one) for one in told) == {DirectUpload: 3, QuotaExceeded: 17}
    assert max(batches["open_all"]) > 1
    async with here.plane.pool.connection() as conn:
        assert (await usage.read(conn, Account(who.owner, who.team))).stored_bytes == 9000
    assert await ask(here, "SELECT count(*) FROM assets WHERE owner = %s", who.owner) == [(3,)]


async def test_same_bytes_together(here, who):
    """The same bytes sent several times at once become one asset; what is deleted names who asked."""
    body = mp4(4000)
    uploads = await begin_with(here, who, *[body] * 6)
    completed = await complete(here, who, *uploads)
    assert len({upload.asset_id for upload in completed}) == 1
    assert Counter(upload.reused for upload in completed) == {False: 1, True: 5}
    assert await ask(here, "SELECT count(*) FROM assets WHERE owner = %s", who.owner) == [(1,)]
    deleted = await ask(
        here, "SELECT subject FROM audit_records WHERE owner = %s AND action = 'asset.deleted'", who.owner
    )
    assert deleted == [(who.subject,)] * 5


async def test_same_size_together(here, who):
    """Other bytes of the same size, at the same time, are other assets."""
    uploads = await begin_with(here, who, *(mp4(4100) for _ in range(6)))
    completed = await complete(here, who, *uploads)
    assert [(upload.state, upload.asset_id) for upload in completed] == [
        ("completed", upload.asset_id) for upload in uploads
    ]


async def test_one_upload_completed_many_times_at_once(here, who):
    """All are answered the same, and it happens once."""
    (upload,) = await begin_with(here, who, mp4(4200))
    completed = await complete(here, who, *[upload] * 10)
    assert {one.asset_id for one in completed} == {upload.asset_id}
    happened = await events_of(here, who)
    assert (happened["upload.completed"], happened["stage.queued"]) == (1, 1)


async def test_connection_lost_in_the_middle(here, who, monkeypatch):
    """A transaction that many share leaves nothing half-written when it is cut off; asked again, all are complete."""
    uploads = await begin_with(here, who, *(mp4(4300 + number) for number in range(6)))
    real = registration.register_all

    async def cut_off(conn, arrived, advance):
        await real(conn, arrived, advance)
        await ask(here, "SELECT pg_terminate_backend(%s)", conn.info.backend_pid)

    with monkeypatch.context() as patch:
        patch.setattr(registration, "register_all", cut_off)
        assert {type(one) for one in await complete(here, who, *uploads)} == {DatabaseUnavailable}
    rows = await ask(
        here, "SELECT u.state, a.status FROM uploads u JOIN assets a USING (asset_id) WHERE u.owner = %s", who.owner
    )
    assert rows == [("open", "uploading")] * 6
    assert [one.state for one in await complete(here, who, *uploads)] == ["completed"] * 6


async def test_one_idempotency_key_several_times_at_once(module_dsn, tmp_path):
    """Of requests with one key, sent together among others, one is done; the rest get its answer or are to wait."""
    environ = {"MEDIAPLANE_AUTH": "on", "STORAGE_MODE": "local"}
    async with running_gateway(module_dsn, tmp_path, environ) as gateway:
        owner = new_id()
        header = await make_header(gateway.plane.pool, Role.MEMBER, owner=owner, team=owner)
        async with httpx.AsyncClient(base_url=gateway.url, headers=header) as client:
            body = {"name": "a.mp4", "size_bytes": 1000, "content_type": "video/mp4"}
            same = [client.post("/v1/uploads", json=body, headers={"idempotency-key": "k"}) for _ in range(6)]
            others = [client.post("/v1/uploads", json=body) for _ in range(6)]
            answers = await asyncio.gather(*same, *others)
            again = await client.post("/v1/uploads", json=body, headers={"idempotency-key": "k"})
        begun = {answer.json()["upload_id"] for answer in answers[:6] if answer.status_code == 201}
        assert len(begun) == 1 and again.json()["upload_id"] in begun
        assert {a.status_code for a in answers[:6]} <= {201, 409} and {a.status_code for a in answers[6:]} == {201}
        async with gateway.plane.pool.connection() as conn:
            rows = await (await conn.execute("SELECT count(*) FROM uploads WHERE owner = %s", [owner])).fetchall()
        assert rows == [(7,)]
