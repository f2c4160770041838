"""Every role at every endpoint with everybody's rows: nothing leaks, not even that a row is there.

The endpoints are those of the OpenAPI document: a new one fails here until its line says what it is.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.principals import Principal, Role
from mediaplane.access.rules import EVERYTHING, Action, Reach, Viewer, may_do, reach, sight, viewer
from mediaplane.gateway import context, who
from mediaplane.gateway import serve as serving
from mediaplane.media.keys import ObjectKey
from tests.services.accounts import make_header, shape
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Whose rows there are, and their team. Who asks is always `me` of `mine`.
PEOPLE = {
    "mine": ("me", "mine"),
    "mate": ("mate", "mine"),
    "them": ("them", "theirs"),
    "else": ("me", "theirs"),  # own, in another team than the credentials name
}  # names of one length, as that of `none`: answers are compared to the byte
STREAM_SECONDS = 0.4
CLIP = {"t_start_ms": 0, "t_end_ms": 500}
HOOK = {"url": "https://hooks.example/x"}
WISHES = {"wishes": [{"asset_id": f"asset-{whose}"} for whose in PEOPLE]}
UPLOAD = {"name": "a.mp4", "size_bytes": 1000, "content_type": "video/mp4"}


@dataclass(frozen=True)
class Open:
    """Answers everyone, about nobody's rows."""


@dataclass(frozen=True)
class Linked:
    """Carries its permission in the URL; credentials neither help nor hurt."""

    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Many:
    """Gives, or makes, what the caller may see: nothing of anybody else stands in the answer."""

    action: Action
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class One:
    """Is about one row: for who may not see it, as if it were not there."""

    action: Action
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Common:
    """Gives what belongs to the caller's team, whoever in it made it; else as `Many`, or with an id as `One`."""

    action: Action
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


PARTS = {"parts": [{"PartNumber": 1, "ETag": "e"}]}
TASK = {"title": "wanted", "types": ["video/*"]}
KEY = {"key": "in/{upload_id}"}
COMPANION = {
    "GET /params": Many(Action.UPLOAD, {"filename": "a.mp4", "type": "video/mp4"}),
    "POST /params": Many(Action.UPLOAD, body={"filename": "a.mp4", "type": "video/mp4"}),
    "POST /multipart": Many(Action.UPLOAD, body={"filename": "a.mp4", "type": "video/mp4"}),
    "GET /multipart/{upload_id}": One(Action.UPLOAD, KEY),
    "DELETE /multipart/{upload_id}": One(Action.UPLOAD, KEY),
    "GET /multipart/{upload_id}/batch": One(Action.UPLOAD, {**KEY, "partNumbers": "1"}),
    "GET /multipart/{upload_id}/{number}": One(Action.UPLOAD, KEY),
    "POST /multipart/{upload_id}/complete": One(Action.UPLOAD, KEY, PARTS),
}

PLAN: dict[str, Open | Linked | Many | One] = {
    "GET /healthz": Open(),
    "GET /readyz": Open(),
    "GET /metrics": Many(Action.OPERATE),
    "GET /v1/assets": Many(Action.READ),
    "GET /v1/assets/{asset_id}": One(Action.READ),
    "DELETE /v1/assets/{asset_id}": One(Action.DELETE),
    "GET /v1/assets/{asset_id}/hls/{rendition}.m3u8": Linked(),
    "GET /v1/assets/{asset_id}/frames/{timestamp_ms}.jpg": Linked(),
    "GET /v1/assets/{asset_id}/thumbnails.vtt": Linked(),
    "GET /v1/assets/{asset_id}/pictures/{picture}": Linked(),
    "GET /v1/assets/{asset_id}/segments": One(Action.READ),
    "GET /v1/assets/{asset_id}/objects": One(Action.READ),
    "GET /v1/assets/{asset_id}/urls/{role}": One(Action.PLAY),
    "GET /v1/assets/{asset_id}/transcript.{kind}": Linked({"token": "1.x"}),
    "POST /v1/urls": Many(Action.PLAY, body=WISHES),
    "GET /v1/cdn/{store}/{permission}/{key}": Linked(),
    "GET /v1/assets/{asset_id}/events": One(Action.READ),
    "POST /v1/assets/{asset_id}/clips": One(Action.CUT, body=CLIP),
    "POST /v1/assets/{asset_id}/replays": One(Action.EDIT, body={"stage": "ocr"}),
    "GET /v1/assets/{asset_id}/clips": One(Action.READ),
    "GET /v1/assets/{asset_id}/highlights": One(Action.READ),
    "PUT /v1/assets/{asset_id}/highlights": One(Action.EDIT, body={"moments": []}),
    "POST /v1/assets/{asset_id}/highlights/clips": One(Action.CUT, body={}),
    "POST /v1/assets/{asset_id}/purge": One(Action.DELETE),
    "GET /v1/purges": Many(Action.READ),
    "POST /v1/purges": Many(Action.DELETE, body={}),
    "GET /v1/purges/{purge_id}": One(Action.READ),
    "GET /v1/search": Many(Action.READ, {"q": "secret"}),
    "GET /v1/clips/{clip_id}": One(Action.READ),
    "DELETE /v1/clips/{clip_id}": One(Action.DELETE),
    "GET /v1/objects/{store}/{key}": Linked(),
    "PUT /v1/objects/{store}/{key}": Linked(),
    "GET /v1/events": Many(Action.READ),
    "POST /v1/events/s3": Many(Action.OPERATE, body={"Records": []}),
    "POST /v1/events/s3/{token}": Linked(),
    "POST /v1/uploads": Many(Action.UPLOAD, body=UPLOAD),
    "GET /v1/uploads": Many(Action.UPLOAD),
    "GET /v1/uploads/{upload_id}": One(Action.UPLOAD),
    "DELETE /v1/uploads/{upload_id}": One(Action.UPLOAD),
    "POST /v1/uploads/{upload_id}/parts": One(Action.UPLOAD, body={"numbers": [1]}),
    "POST /v1/uploads/{upload_id}/complete": One(Action.UPLOAD, body={}),
    "GET /v1/webhooks": Many(Action.EDIT),
    "POST /v1/webhooks": Many(Action.EDIT, body=HOOK),
    "DELETE /v1/webhooks/{webhook_id}": One(Action.EDIT),
    "POST /v1/webhooks/{webhook_id}/enable": One(Action.EDIT),
    "POST /v1/webhooks/{webhook_id}/rotate": One(Action.EDIT),
    "POST /v1/webhooks/{webhook_id}/replay": One(Action.EDIT, body={}),
    "GET /v1/webhooks/{webhook_id}/deliveries": One(Action.EDIT),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": One(Action.EDIT),
    "GET /v1/usage": Many(Action.READ),
    "GET /v1/plans": Many(Action.OPERATE),
    "GET /v1/plans/holders": Many(Action.OPERATE),
    "PUT /v1/plans/holders": Many(Action.OPERATE, body={"owner": "me", "plan": None}),
    "GET /v1/tasks": Common(Action.READ),
    "POST /v1/tasks": Many(Action.TASKS, body=TASK),
    "GET /v1/tasks/{task_id}": Common(Action.READ),
    "PATCH /v1/tasks/{task_id}": One(Action.TASKS, body={"instructions": "more"}),
    "GET /v1/submissions": Many(Action.READ),
    "GET /v1/submissions/{submission_id}": One(Action.READ),
    "GET /v1/review": Many(Action.REVIEW),
    "POST /v1/review/next": Many(Action.REVIEW),
    "GET /v1/review/{submission_id}": One(Action.REVIEW),
    "POST /v1/review/{submission_id}/renew": One(Action.REVIEW),
    "POST /v1/review/{submission_id}/release": One(Action.REVIEW),
    "POST /v1/review/{submission_id}/decision": One(Action.REVIEW, body={"verdict": "approve"}),
    "POST /v1/review/{submission_id}/links": One(Action.REVIEW, body={}),
    "GET /v1/review/{submission_id}/links": One(Action.REVIEW),
    "DELETE /v1/review/{submission_id}/links/{link_id}": One(Action.REVIEW),
    "GET /v1/review-links/{link}": Linked(),
    "POST /v1/review-links/{link}/decision": Linked(),
    "POST /v1/companion": Many(Action.UPLOAD),
    **{name.replace(" ", " /s3"): case for name, case in COMPANION.items()},
    # The token in the path was made for who may upload.
    **{name.replace(" ", " /v1/companion/{token}/s3"): Linked() for name in COMPANION},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_RATE_PER_SECOND": "10000"}
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def headers(gateway) -> dict[Role, dict[str, str]]:
    return {role: await make_header(gateway.plane.pool, role) for role in Role}


async def seed(gateway: Gateway) -> None:
    """Give everyone the same rows anew, each with the name of whose they are."""
    async with gateway.plane.pool.connection() as conn, conn.transaction():
        for table in ("assets", "events", "webhook_deliveries", "webhook_endpoints", "lexicon", "idempotency_keys",
                      "submissions", "tasks", "purges"):  # fmt: skip
            await conn.execute(f"DELETE FROM {table}")
        for number, (whose, (owner, team)) in enumerate(PEOPLE.items(), start=1):
            row = {"whose": whose, "owner": owner, "team": team, "number": number}
            for statement in SEEDS.split(";\n"):
                await conn.execute(statement, row)
    for whose in PEOPLE:
        key = ObjectKey(f"highlights/{whose}")
        await gateway.plane.stores["local"].store.put(key, whole(b'{"moments": []}'), content_type="application/json")


async def whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


SEEDS = """
INSERT INTO assets (asset_id, owner, team, title, status, kind, duration_ms)
VALUES ('asset-' || %(whose)s, %(owner)s, %(team)s, 'title-' || %(whose)s, 'ready', 'video', 1000);

INSERT INTO renditions (asset_id, name, owner, team, kind, bandwidth, codecs)
VALUES ('asset-' || %(whose)s, '360p', %(owner)s, %(team)s, 'video', 1, 'avc1');

INSERT INTO objects (store, key, asset_id, owner, team, role, state, content_type)
SELECT 'local', r || '/' || %(whose)s, 'asset-' || %(whose)s, %(owner)s, %(team)s, r, 'stored', 'video/mp4'
FROM unnest('{original,clip,highlights}'::text[]) AS r;

INSERT INTO purges (purge_id, owner, team, asset_id, state, requested_by)
VALUES ('purge-' || %(whose)s, %(owner)s, %(team)s, 'asset-' || %(whose)s, 'done', '{}');

INSERT INTO segments (asset_id, owner, team, source, chunk, t_start_ms, t_end_ms, text, lexemes, frame_ms)
VALUES ('asset-' || %(whose)s, %(owner)s, %(team)s, 'ocr', 0, 0, 500, 'secret ' || %(whose)s, 'secret:1', 0);

INSERT INTO lexicon (owner, team, word, seen) VALUES (%(owner)s, %(team)s, 'secret', 1) ON CONFLICT DO NOTHING;

INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, status, store, key)
VALUES ('clip-' || %(whose)s, 'asset-' || %(whose)s, %(owner)s, %(team)s, 'exact', 0, 500, 'ready', 'local',
        'clip/' || %(whose)s);

INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, size_bytes, content_type, way, name)
VALUES ('upload-' || %(whose)s, 'asset-' || %(whose)s, %(owner)s, %(team)s, 'local', 'in/upload-' || %(whose)s, 10,
        'video/mp4', 'put', 'name-' || %(whose)s);

INSERT INTO tasks (task_id, owner, team, title, types)
VALUES ('task-' || %(whose)s, %(owner)s, %(team)s, 'title-' || %(whose)s, '{video/*}');

INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, asset_id)
VALUES ('sent-' || %(whose)s, 'task-' || %(whose)s, %(owner)s, %(team)s, %(owner)s, 1, 'asset-' || %(whose)s);

SELECT follow_asset('asset-' || %(whose)s);

INSERT INTO review_links (link_id, submission_id, owner, team, validator, may_decide, round, tier, title, expires_at)
VALUES ('link-' || %(whose)s, 'sent-' || %(whose)s, %(owner)s, %(team)s, 'v', false, 1, 1, 'title-' || %(whose)s,
        now() + interval '1 hour');

INSERT INTO webhook_endpoints (endpoint_id, owner, team, url, title, secret)
VALUES ('hook-' || %(whose)s, %(owner)s, %(team)s, 'https://hooks.example/' || %(whose)s, 'title-' || %(whose)s,
        sha256('secret'));

INSERT INTO events (type, owner, team, asset_id) VALUES ('asset.ready', %(owner)s, %(team)s, 'asset-' || %(whose)s);

INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, owner, team, state) OVERRIDING SYSTEM VALUE
VALUES (880000 + %(number)s, 'hook-' || %(whose)s, 1, %(owner)s, %(team)s, 'failed')
"""


def ids_of(whose: str) -> dict[str, str]:
    number = list(PEOPLE).index(whose) + 1 if whose in PEOPLE else 9
    kinds = {"asset_id": "asset", "clip_id": "clip", "upload_id": "upload", "webhook_id": "hook",
             "purge_id": "purge", "task_id": "task", "submission_id": "sent", "link_id": "link"}  # fmt: skip
    return {**{name: f"{kind}-{whose}" for name, kind in kinds.items()}, "delivery_id": str(880000 + number)}


REST = {
    "rendition": "index",
    "timestamp_ms": "0",
    "store": "local",
    "key": "original/mine",
    "number": "1",
    "token": "no",
    "link": "no",
    "role": "original",
    "kind": "vtt",
    "picture": "poster.jpg",
    "permission": "k1.1.0.x",
}


def fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], text)


async def ask(client: httpx.AsyncClient, name: str, header: dict[str, str], whose: str = "mine") -> httpx.Response:
    """Ask the endpoint for somebody's row; of a stream, what it says at first."""
    case = PLAN[name]
    values = {**REST, **ids_of(whose)}
    method, path = name.split(" ")
    query = {key: fill(value, values) for key, value in getattr(case, "query", {}).items()}
    body = getattr(case, "body", None)
    request = client.build_request(method, fill(path, values), params=query, headers=header, json=body)
    answer = await client.send(request, stream=True)
    try:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
            return answer
        text = await read_for_a_while(answer)
        return httpx.Response(answer.status_code, headers=answer.headers, content=text, request=request)
    finally:
        await answer.aclose()


async def read_for_a_while(answer: httpx.Response) -> bytes:
    seen = bytearray()

    async def read() -> None:
        async for part in answer.aiter_raw():
            seen.extend(part)

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(read(), STREAM_SECONDS)
    return bytes(seen)


def principal(role: Role) -> Principal:
    scopes = frozenset(Action) if role is Role.SERVICE else frozenset()
    return Principal("s", "me", "mine", role, scopes)


def names_of(kinds: type | tuple[type, ...]) -> list[str]:
    return [name for name, case in PLAN.items() if isinstance(case, kinds)]


async def test_every_endpoint_is_listed(client):
    """What the document offers is what this file walks, no more and no less."""
    document = (await client.get("/v1/openapi.json")).json()
    offered = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert offered == set(PLAN)


@pytest.mark.parametrize("name", names_of((Many, One, Linked, Common)))
async def test_nobody(gateway, client, headers, name):
    """Without credentials, with wrong ones or with those of a key that ended, everything that is somebody's is shut."""
    await seed(gateway)
    right = headers[Role.ADMIN]["authorization"]
    wrong = {"authorization": right[:-1] + ("y" if right.endswith("x") else "x")}
    token = {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9."}
    for header in ({}, wrong, token, {"authorization": "Basic bWU6bWU="}, {"cookie": "session=1"}):
        answer = await ask(client, name, header)
        if isinstance(PLAN[name], Linked):
            assert answer.status_code in (403, 422, 411)
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "credentials_invalid")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert "title-mine" not in answer.text


@pytest.mark.parametrize("name", names_of(Linked))
async def test_links_are_not_replaced_by_credentials(gateway, client, headers, name):
    """What a URL permits, no role permits without it."""
    await seed(gateway)
    for role in Role:
        assert (await ask(client, name, headers[role])).status_code in (403, 422, 411)


@pytest.mark.parametrize("name", names_of(Many))
async def test_lists(gateway, client, headers, name):
    """What a role may not see at all is refused; of what it may, nothing of others stands in the answer."""
    case = PLAN[name]
    assert isinstance(case, Many)
    for role in Role:
        await seed(gateway)
        answer = await ask(client, name, headers[role])
        if reach(principal(role), case.action) is Reach.NONE:
            assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted"), role
            continue
        assert answer.status_code < 300, (role, answer.text)
        for whose, (owner, team) in PEOPLE.items():
            if not may_do(principal(role), case.action, owner=owner, team=team):
                assert f"-{whose}" not in answer.text, role


SEEN_BY_READERS = {"GET /v1/assets", "GET /v1/submissions", "GET /v1/search", "GET /v1/webhooks"}


async def test_what_a_team_has_in_common(gateway, client, headers):
    """Everybody in a team sees all of its tasks, and of other teams' not even that they are there."""
    await seed(gateway)
    for role in Role:
        missing = shape(await ask(client, "GET /v1/tasks/{task_id}", headers[role], "none"), *ids_of("none").values())
        assert missing[0] == 404, role
        listed = (await ask(client, "GET /v1/tasks", headers[role])).text
        for whose, (_, team) in PEOPLE.items():
            answer = await ask(client, "GET /v1/tasks/{task_id}", headers[role], whose)
            seen = team == "mine" or reach(principal(role), Action.READ) is Reach.ALL
            assert (f"-{whose}" in listed) == seen, (role, whose)
            assert answer.status_code == 200 if seen else shape(answer, *ids_of(whose).values()) == missing, role


@pytest.mark.parametrize("name", sorted(SEEN_BY_READERS))
async def test_lists_are_not_empty(gateway, client, headers, name):
    """Each role sees in lists exactly what the rules give it: the test above is not passed by seeing nothing."""
    case = PLAN[name]
    assert isinstance(case, Many)
    await seed(gateway)
    for role in Role:
        if reach(principal(role), case.action) is Reach.NONE:
            continue
        text = (await ask(client, name, headers[role])).text
        expected = {
            whose
            for whose, (owner, team) in PEOPLE.items()
            if may_do(principal(role), case.action, owner=owner, team=team)
        }
        assert {whose for whose in PEOPLE if f"-{whose}" in text} == expected, role


@pytest.mark.parametrize("name", names_of(One))
async def test_rows(gateway, client, headers, name):
    """A row that the role may not see is answered as one that was never there: same status, headers and body."""
    case = PLAN[name]
    assert isinstance(case, One)
    await seed(gateway)
    for role in Role:
        missing = shape(await ask(client, name, headers[role], "none"), *ids_of("none").values())
        if reach(principal(role), case.action) is Reach.NONE:
            assert missing[0] == 403, role
        else:
            assert missing[0] == 404, (role, missing)
        for whose, (owner, team) in PEOPLE.items():
            answer = await ask(client, name, headers[role], whose)
            if not may_do(principal(role), case.action, owner=owner, team=team):
                assert shape(answer, *ids_of(whose).values()) == missing, (role, whose)
            elif answer.status_code < 300 and not name.startswith("GET"):
                await seed(gateway)  # it did something
            elif case.action is Action.READ:
                assert answer.status_code == 200, (role, whose, answer.text)
            assert answer.status_code < 500, (role, whose, answer.text)


async def test_rows_that_were_refused_are_still_there(gateway, client, headers):
    """What was answered with 404 did not happen all the same."""
    await seed(gateway)
    for name in names_of(One):
        if not name.startswith("GET"):
            for role in (Role.CONTRIBUTOR, Role.VALIDATOR, Role.COMPANY, Role.MEMBER):
                await ask(client, name, headers[role], "them")
    async with gateway.plane.pool.connection() as conn:
        row = await conn.execute("SELECT revoked_at FROM review_links WHERE link_id = 'link-them'")
        assert await row.fetchone() == (None,)
        for table, column in (("assets", "asset_id"), ("clips", "clip_id"), ("webhook_endpoints", "endpoint_id")):
            rows = await conn.execute(f"SELECT {column} FROM {table} WHERE team = 'theirs' AND owner = 'them'")
            assert len(await rows.fetchall()) == 1, table
        row = await conn.execute("SELECT state FROM uploads WHERE upload_id = 'upload-them'")
        assert await row.fetchone() == ("open",)


async def test_rows_of_a_row(gateway, client, headers):
    """A part of another's row is not reached through a row of one's own."""
    await seed(gateway)
    own = {**ids_of("mine"), "delivery_id": ids_of("them")["delivery_id"]}
    path = fill("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", own)
    missing = fill("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", {**own, "delivery_id": "889999"})
    answers = [await client.post(place, headers=headers[Role.MEMBER]) for place in (path, missing)]
    assert answers[0].status_code == 404
    assert shape(answers[0], own["delivery_id"]) == shape(answers[1], "889999")


async def test_scopes_take_away(gateway, client, headers):
    """A key that may only read plays, cuts and deletes nothing; what it reads has no URLs in it."""
    await seed(gateway)
    header = await make_header(gateway.plane.pool, Role.MEMBER, scopes=["read"])
    shown = (await ask(client, "GET /v1/assets/{asset_id}", header)).json()
    assert shown["playback_url"] is None
    assert (await ask(client, "GET /v1/assets/{asset_id}", headers[Role.MEMBER])).json()["playback_url"]
    assert [hit["playback_url"] for hit in (await ask(client, "GET /v1/search", header)).json()["hits"]] == [None, None]
    assert (await ask(client, "GET /v1/clips/{clip_id}", header)).json()["url"] is None
    assert (await ask(client, "GET /v1/clips/{clip_id}", headers[Role.MEMBER])).json()["url"]
    for name in ("DELETE /v1/assets/{asset_id}", "POST /v1/assets/{asset_id}/clips", "POST /v1/uploads"):
        assert (await ask(client, name, header)).status_code == 403


@dataclass(frozen=True)
class Blind(Viewer):
    """A viewer whose names no query is told; only the database knows them."""

    named: Viewer = EVERYTHING


@pytest.fixture(params=["the queries alone", "the database alone"])
def one_fence(request, monkeypatch) -> str:
    """Take one of the two fences away."""
    if request.param == "the queries alone":

        async def nobody(_plane: object) -> str:
            return ""

        monkeypatch.setattr(serving, "_gateway_role", nobody)
    else:
        monkeypatch.setattr(who, "viewer", lambda asks, action: Blind(None, None, named=viewer(asks, action)))
        monkeypatch.setattr(context, "sight", lambda seen: sight(seen.named if isinstance(seen, Blind) else seen))
    return str(request.param)


async def test_either_fence_holds_alone(module_dsn, tmp_path, headers, one_fence):
    """What narrows the queries and what narrows the database do not lean on each other; live events have one fence."""
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_RATE_PER_SECOND": "10000"}
    async with (
        running_gateway(module_dsn, tmp_path, environ) as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=20) as client,
    ):
        await seed(gateway)
        header = headers[Role.CONTRIBUTOR]
        for name in names_of(One):
            missing = shape(await ask(client, name, header, "none"), *ids_of("none").values())
            for whose in ("mate", "them", "else"):
                assert shape(await ask(client, name, header, whose), *ids_of(whose).values()) == missing, name
        text = (await ask(client, "GET /v1/tasks", header)).text
        assert {whose for whose in PEOPLE if f"-{whose}" in text} == {"mine", "mate"}, one_fence
        for name in sorted(SEEN_BY_READERS):
            text = (await ask(client, name, header)).text
            assert {whose for whose in PEOPLE if f"-{whose}" in text} <= {"mine"}, (name, one_fence)
