"""Tasks, submissions and reviews over real HTTP: limits, rounds, tiers, desks, links, and who reads what."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from mediaplane.access.audit import verify
from mediaplane.access.principals import Role
from mediaplane.access.review import Desk
from mediaplane.catalog import audit, reviews, submissions, tasks
from mediaplane.client import Client, Upload
from mediaplane.media.ids import new_id
from mediaplane.postgres import connect
from tests.services.accounts import make_header
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
REJECT = {"verdict": "reject", "reason_codes": ["off_topic"]}
CHANGES = {"verdict": "needs_changes", "reason_codes": ["low_quality"], "note": "too dark"}


def mp4(size_bytes: int = 500) -> bytes:
    return MP4 + random.randbytes(size_bytes - len(MP4))


@dataclass(frozen=True)
class Deployment:
    """A gateway with accounts, and a client of it."""

    gateway: Gateway
    client: httpx.AsyncClient

    async def someone(self, role: Role, owner: str = "", *, team: str = "", **fields: Any) -> "Someone":
        name = owner or f"{role}-{new_id()[:8]}"
        header = await make_header(self.gateway.plane.pool, role, owner=name, team=team or "mine", **fields)
        return Someone(self, name, header)

    async def execute(self, statement: str, *values: Any) -> list[Any]:
        async with self.gateway.plane.pool.connection() as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def process(self, asset_id: str, *, kind: str = "video") -> None:
        """Do what the pipeline does in the end."""
        await self.execute("UPDATE assets SET status = 'ready', kind = %s WHERE asset_id = %s", kind, asset_id)


@dataclass(frozen=True)
class Someone:
    """One who has an account."""

    deployment: Deployment
    name: str
    header: dict[str, str]

    async def ask(self, method: str, path: str, document: Any = None, **query: Any) -> httpx.Response:
        url = f"{self.deployment.gateway.url}/v1{path}"
        return await self.deployment.client.request(method, url, json=document, params=query, headers=self.header)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, document: Any = None, status: int = 200) -> Any:
        answer = await self.ask("POST", path, document)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def refused(self, path: str, document: Any = None) -> tuple[int, str]:
        answer = await self.ask("POST", path, document)
        return answer.status_code, answer.json()["code"]

    async def begin(self, task: dict[str, Any], body: bytes, **wish: Any) -> httpx.Response:
        wanted = {"name": "clip.mp4", "size_bytes": len(body), "task": task["task_id"], **wish}
        return await self.ask("POST", "/uploads", wanted)

    async def send(self, task: dict[str, Any], body: bytes | None = None, **wish: Any) -> dict[str, Any]:
        """Upload a file for a task to its end."""
        content = body or mp4()
        answer = await self.begin(task, content, **wish)
        assert answer.status_code == 201, answer.text
        begun = answer.json()
        put = begun["put"]
        sent = await self.deployment.client.put(put["url"], content=content, headers=put["headers"])
        assert sent.status_code == 200, sent.text
        return await self.post(f"/uploads/{begun['upload_id']}/complete")

    async def submit(self, task: dict[str, Any], body: bytes | None = None, **wish: Any) -> str:
        """Upload a file for a task and have it processed; return the submission that is in review."""
        done = await self.send(task, body, **wish)
        await self.deployment.process(done["asset_id"])
        return str(done["submission_id"])

    async def take(self, **asked: Any) -> dict[str, Any] | None:
        return (await self.post("/review/next", asked))["review"]

    async def decide(self, submission_id: str, **said: Any) -> dict[str, Any]:
        return await self.post(f"/review/{submission_id}/decision", {"verdict": "approve", **said})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def deployment(module_dsn, tmp_path_factory) -> AsyncIterator[Deployment]:
    environ = {
        "STORAGE_MODE": "local",
        "MEDIAPLANE_AUTH": "on",
        "MEDIAPLANE_RATE_PER_SECOND": "0",
        "MEDIAPLANE_UPLOAD_NEEDS_TASK": "yes",
    }
    state = tmp_path_factory.mktemp("state")
    async with running_gateway(module_dsn, state, environ) as gateway, httpx.AsyncClient(timeout=60) as client:
        yield Deployment(gateway, client)


@pytest_asyncio.fixture(loop_scope="module")
async def company(deployment) -> Someone:
    return await deployment.someone(Role.COMPANY)


@pytest_asyncio.fixture(loop_scope="module")
async def contributor(deployment) -> Someone:
    return await deployment.someone(Role.CONTRIBUTOR)


@pytest_asyncio.fixture(loop_scope="module")
async def validator(deployment) -> Someone:
    return await deployment.someone(Role.VALIDATOR)


@pytest_asyncio.fixture(loop_scope="module")
async def task(company) -> dict[str, Any]:
    return await make_task(company)


async def make_task(company: Someone, **wanted: Any) -> dict[str, Any]:
    return await company.post("/tasks", {"title": "Street scenes", "types": ["video/*"], **wanted}, 201)


async def steps_of(reader: Someone, submission_id: str) -> list[tuple[str, str]]:
    shown = await reader.get(f"/submissions/{submission_id}")
    return [(step["to_state"], step["by"]) for step in shown["steps"]]


async def test_way_of_a_submission(deployment, company, contributor, validator, task):
    """From the upload to approval each step is there, with who and when; everybody reads what is theirs to read."""
    answer = await contributor.begin(task, body := mp4())
    begun = answer.json()
    submission_id = begun["submission_id"]
    assert (await contributor.get(f"/submissions/{submission_id}"))["state"] == "open"
    await deployment.client.put(begun["put"]["url"], content=body, headers=begun["put"]["headers"])
    done = await contributor.post(f"/uploads/{begun['upload_id']}/complete")
    assert (await contributor.get(f"/submissions/{submission_id}"))["state"] == "processing"
    assert (await validator.get("/review"))["waiting"] == 0
    await deployment.process(done["asset_id"])
    assert (await company.ask("GET", f"/submissions/{submission_id}")).status_code == 404, "nothing before approval"

    taken = await validator.take(task_id=task["task_id"])
    assert (taken["submission_id"], taken["task"]["title"], taken["is_held"]) == (submission_id, "Street scenes", True)
    seen = await deployment.client.get(taken["media"]["original_url"])
    assert seen.content == body
    assert contributor.name not in json.dumps(taken), "who sent it in is not told to who reviews"
    assert (await validator.decide(submission_id, note="good"))["state"] == "approved"

    assert await steps_of(contributor, submission_id) == [
        ("open", "contributor"),
        ("uploaded", "contributor"),
        ("processing", "contributor"),
        ("in_review", "system"),
        ("approved", "validator"),
    ]
    own = await contributor.ask("GET", f"/submissions/{submission_id}")
    assert validator.name not in own.text and "key:" not in own.text, "nor by whom, to who sent it in"
    (listed,) = (await company.get("/submissions", task_id=task["task_id"]))["submissions"]
    assert (listed["submission_id"], listed["contributor"], listed["note"]) == (submission_id, None, "")
    assert await steps_of(company, submission_id) == [("approved", "validator")]
    member = await deployment.someone(Role.MEMBER)
    told = await member.get(f"/submissions/{submission_id}")
    assert told["contributor"] == contributor.name and told["steps"][-1]["subject"].startswith("key:")
    assert (await company.ask("GET", f"/assets/{done['asset_id']}")).status_code == 404, "bytes go through datasets"


async def test_changes_are_sent_in_again(deployment, contributor, validator, task):
    """After `needs_changes` the contributor reads why, uploads for the same submission, and is asked once more."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    assert (await validator.decide(submission_id, **CHANGES))["state"] == "needs_changes"
    shown = await contributor.get(f"/submissions/{submission_id}")
    assert (shown["reason_codes"], shown["note"], shown["round"]) == (["low_quality"], "too dark", 1)
    assert await contributor.submit(task, submission=submission_id) == submission_id
    again = await contributor.get(f"/submissions/{submission_id}")
    assert (again["state"], again["round"], again["reason_codes"], again["note"]) == ("in_review", 2, [], "")
    taken = await validator.take(submission_id=submission_id)
    assert [(one["verdict"], one["round"]) for one in taken["decisions"]] == [("needs_changes", 1)]
    assert (await validator.decide(submission_id, **REJECT))["state"] == "rejected"
    for state_of in (submission_id,):
        answer = await contributor.begin(task, mp4(), submission=state_of)
        assert (answer.status_code, answer.json()["code"]) == (409, "submission_closed")


async def test_upload_that_cannot_be_used(deployment, contributor, task):
    """What cannot be processed goes back with the reason, as does what turns out to be of another kind."""
    done = await contributor.send(task)
    await deployment.execute(
        "UPDATE assets SET status = 'failed', error_code = 'media_truncated', error_message = 'it ends too early' "
        "WHERE asset_id = %s",
        done["asset_id"],
    )
    shown = await contributor.get(f"/submissions/{done['submission_id']}")
    told = (shown["state"], shown["reason_codes"], shown["note"])
    assert told == ("needs_changes", ["media_truncated"], "it ends too early")
    other = await contributor.send(task)
    await deployment.process(other["asset_id"], kind="audio")
    shown = await contributor.get(f"/submissions/{other['submission_id']}")
    assert (shown["state"], shown["reason_codes"]) == ("needs_changes", ["wrong_kind"])
    lie = b"<html>" + b"x" * 500
    begun = (await contributor.begin(task, lie)).json()
    await deployment.client.put(begun["put"]["url"], content=lie, headers=begun["put"]["headers"])
    assert await contributor.refused(f"/uploads/{begun['upload_id']}/complete") == (415, "upload_type_refused")
    shown = await contributor.get(f"/submissions/{begun['submission_id']}")
    assert (shown["state"], shown["reason_codes"]) == ("needs_changes", ["upload_type_refused"])
    assert await contributor.submit(task, submission=begun["submission_id"]) == begun["submission_id"]


async def test_limits_of_a_task(deployment, company, contributor):
    """Type, size, number, deadline and closing are held at the beginning of an upload, with a code for each."""
    task = await make_task(company, max_bytes=600, max_submissions=3, max_per_contributor=2)

    async def refusal(who: Someone, body: bytes = mp4(), **wish: Any) -> tuple[int, str]:
        answer = await who.begin(task, body, **wish)
        return answer.status_code, answer.json()["code"]

    assert await refusal(contributor, mp4(601)) == (413, "upload_too_large")
    assert await refusal(contributor, name="a.png") == (415, "upload_type_refused")
    first = await contributor.submit(task)
    await contributor.send(task)
    assert await refusal(contributor) == (409, "task_full")
    second = await deployment.someone(Role.CONTRIBUTOR)
    await second.send(task)
    third = await deployment.someone(Role.CONTRIBUTOR)
    assert await refusal(third) == (409, "task_full")
    validator = await deployment.someone(Role.VALIDATOR)
    await validator.take(submission_id=first)
    await validator.decide(first, **REJECT)
    assert await refusal(contributor) == (409, "task_full"), "a rejected one counts for who sent it in"
    aborted = (await third.begin(task, mp4())).json()
    assert await refusal(second) == (409, "task_full")
    assert (await third.ask("DELETE", f"/uploads/{aborted['upload_id']}")).status_code == 204
    assert (await third.ask("GET", f"/submissions/{aborted['submission_id']}")).status_code == 404
    path = f"/tasks/{task['task_id']}"
    await company.ask("PATCH", path, {"deadline": "2020-01-01T00:00:00Z"})
    assert await refusal(third) == (409, "task_closed")
    changed = await company.ask("PATCH", path, {"deadline": None, "state": "closed"})
    assert (changed.json()["deadline"], changed.json()["state"]) == (None, "closed")
    assert await refusal(third) == (409, "task_closed")
    await company.ask("PATCH", path, {"state": "open"})
    assert (await third.begin(task, mp4())).status_code == 201


async def test_last_place_is_given_once(deployment, company):
    """Of twenty who begin at the same moment exactly as many get through as the task takes."""
    task = await make_task(company, max_submissions=3)
    many = [await deployment.someone(Role.CONTRIBUTOR) for _ in range(20)]
    answers = await asyncio.gather(*(one.begin(task, mp4()) for one in many))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 17


async def test_task_is_named(deployment, contributor, task):
    """Where the deployment wants it, contributors upload for tasks only; others as before."""
    wanted = {"name": "a.mp4", "size_bytes": 100}
    assert await contributor.refused("/uploads", wanted) == (422, "task_error")
    assert await contributor.refused("/uploads", {**wanted, "submission": "x"}) == (422, "task_error")
    member = await deployment.someone(Role.MEMBER)
    assert (await member.ask("POST", "/uploads", wanted)).status_code == 201


async def test_uppy_names_its_task(deployment, contributor, task):
    """The stock Uppy client says in a file's metadata for which task it is."""
    announced = {"filename": "a.mp4", "type": "video/mp4", "metadata": {"task": task["task_id"], "size": 100}}
    url = f"{deployment.gateway.url}/s3/multipart"
    answer = await deployment.client.post(url, json=announced, headers=contributor.header)
    assert answer.status_code == 200, answer.text
    (listed,) = (await contributor.get("/submissions", task_id=task["task_id"]))["submissions"]
    assert listed["state"] == "open"
    shown = await contributor.get(f"/uploads/{answer.json()['uploadId']}")
    assert shown["submission_id"] == listed["submission_id"]


async def test_same_bytes_are_sent_in_once(deployment, company, contributor, task):
    """The same bytes are refused for the same task, and taken for another without being sent again."""
    body = mp4()
    first = await contributor.submit(task, body)
    digest = hashlib.sha256(body).hexdigest()
    again = await contributor.begin(task, body, sha256=digest)
    assert (again.status_code, again.json()["code"]) == (409, "submission_duplicate")
    unsaid = await contributor.send(task, body)
    shown = await contributor.get(f"/submissions/{unsaid['submission_id']}")
    assert (shown["state"], shown["reason_codes"], shown["asset_id"]) == ("needs_changes", ["duplicate"], None)
    other = await make_task(company, title="Another")
    known = await contributor.begin(other, body, sha256=digest)
    assert (known.status_code, known.json()["reused"]) == (200, True)
    shown = await contributor.get(f"/submissions/{known.json()['submission_id']}")
    assert shown["state"] == "in_review" and shown["submission_id"] != first
    third = await make_task(company, title="A third")
    unsaid = await contributor.send(third, body)
    assert unsaid["reused"]
    assert (await contributor.get(f"/submissions/{unsaid['submission_id']}"))["state"] == "in_review"


async def test_media_that_is_deleted(deployment, contributor, task):
    """A contributor who deletes what was sent in is asked for it again, and it is on nobody's desk."""
    submission_id = await contributor.submit(task)
    asset_id = (await contributor.get(f"/submissions/{submission_id}"))["asset_id"]
    assert (await contributor.ask("DELETE", f"/assets/{asset_id}")).status_code == 204
    shown = await contributor.get(f"/submissions/{submission_id}")
    told = (shown["state"], shown["reason_codes"], shown["asset_id"])
    assert told == ("needs_changes", ["media_deleted"], None)
    assert await contributor.submit(task, submission=submission_id) == submission_id


@pytest.mark.parametrize("validators", [2, 20])
async def test_validators_at_once(deployment, company, contributor, validators):
    """However many take at the same moment, nobody holds what another holds, and nothing is left out."""
    task = await make_task(company)
    waiting = {await contributor.submit(task) for _ in range(max(1, validators // 2))}
    many = [await deployment.someone(Role.VALIDATOR) for _ in range(validators)]
    taken = await asyncio.gather(*(one.take(task_id=task["task_id"]) for one in many))
    found = [one["submission_id"] for one in taken if one]
    assert len(found) == len(set(found)) and set(found) == waiting
    again = await asyncio.gather(*(many[0].take(task_id=task["task_id"]) for _ in range(5)))
    assert len({one["submission_id"] for one in again if one}) <= 1, "one who takes again keeps what lies on the desk"


async def test_one_submission_many_hands(deployment, contributor, task):
    """Twenty validators ask for the very same submission: one gets it, and only that one's decision counts, once."""
    submission_id = await contributor.submit(task)
    many = [await deployment.someone(Role.VALIDATOR) for _ in range(20)]
    wanted = {"submission_id": submission_id}
    answers = await asyncio.gather(*(one.ask("POST", "/review/next", wanted) for one in many))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    path, said = f"/review/{submission_id}/decision", {"verdict": "approve"}
    decided = await asyncio.gather(*(one.ask("POST", path, said) for one in many for _ in range(2)))
    assert sorted(answer.status_code for answer in decided) == [200] + [409] * 39
    assert {answer.json()["code"] for answer in decided if answer.status_code == 409} == {"review_not_held"}


async def test_decision_twice(deployment, contributor, validator, task):
    """A second decision is refused; the same request sent again is answered as before."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    validator.header["idempotency-key"] = new_id()
    path = f"/review/{submission_id}/decision"
    first, repeated = [await validator.ask("POST", path, REJECT) for _ in range(2)]
    assert first.json() == repeated.json() and repeated.headers["idempotency-replayed"] == "true"
    del validator.header["idempotency-key"]
    assert await validator.refused(path, {"verdict": "approve"}) == (409, "review_not_held")


async def test_lease_that_ended(deployment, contributor, validator, task):
    """After its end a lease gives no right any more, and others may take over; before it can be made longer."""
    submission_id = await contributor.submit(task)
    path = f"/review/{submission_id}"
    first = await validator.take(submission_id=submission_id)
    longer = await validator.post(f"{path}/renew")
    assert longer["lease_until"] >= first["lease_until"]
    await expire_lease(deployment, submission_id)
    assert await validator.refused(f"{path}/decision", {"verdict": "approve"}) == (409, "review_not_held")
    assert await validator.refused(f"{path}/renew") == (409, "review_not_held")
    assert (await validator.get(path))["media"] is None
    other = await deployment.someone(Role.VALIDATOR)
    assert (await other.take(submission_id=submission_id))["is_held"]
    assert await validator.refused(f"{path}/decision", {"verdict": "approve"}) == (409, "review_not_held")
    assert await validator.refused("/review/next", {"submission_id": submission_id}) == (409, "review_not_held")
    assert not (await other.post(f"{path}/release"))["is_held"]
    assert (await validator.take(submission_id=submission_id))["is_held"]


async def test_lease_that_ends_while_the_desk_is_looked_at(deployment, contributor, validator, task, monkeypatch):
    """Who asks for the next gets it then too: that nothing waits would not be true."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    held = reviews.held

    async def held_until_now(conn, *asked, **more):
        found = await held(conn, *asked, **more)
        await expire_lease(deployment, submission_id)
        return found

    monkeypatch.setattr(reviews, "held", held_until_now)
    async with await connect(deployment.gateway.plane.settings.database_url) as conn:
        desk = Desk(validator.name, validator.name, 1, None, None, timedelta(minutes=1))
        taken = await desk.take(conn, task_id=task["task_id"])
    assert taken is not None and taken.submission_id == submission_id


async def test_refusal_names_no_validator_whose_lease_has_ended(deployment, company, contributor):
    """What keeps a submission from being taken is told as it is now."""
    task = await make_task(company, review_tiers=2)
    first, junior = [await deployment.someone(Role.VALIDATOR, tier=1) for _ in range(2)]
    senior = await deployment.someone(Role.VALIDATOR, tier=2)
    submission_id = await contributor.submit(task)
    await first.take(submission_id=submission_id)
    await first.decide(submission_id)
    await senior.take(submission_id=submission_id)
    asked = await junior.ask("POST", "/review/next", {"submission_id": submission_id})
    assert "another validator" in asked.json()["detail"]
    await expire_lease(deployment, submission_id)
    asked = await junior.ask("POST", "/review/next", {"submission_id": submission_id})
    assert "tier 2" in asked.json()["detail"]


async def test_changes_of_a_task_at_once(deployment, task):
    """Who changes one entry does not undo what somebody else changes at the same moment."""
    dsn = deployment.gateway.plane.settings.database_url
    async with await connect(dsn) as one, await connect(dsn) as other:
        async with one.transaction():
            await tasks.change(one, task["task_id"], {"title": "Night scenes"})
            closing = asyncio.create_task(tasks.change(other, task["task_id"], {"state": tasks.CLOSED}))
            await asyncio.wait({closing}, timeout=1)
        closed = await closing
    assert (closed.title, closed.state) == ("Night scenes", "closed")


async def expire_lease(deployment: Deployment, submission_id: str) -> None:
    await deployment.execute(
        "UPDATE submissions SET lease_until = now() - interval '1 second' WHERE submission_id = %s", submission_id
    )


async def test_tiers(deployment, company, contributor):
    """The second tier sees what the first has approved, nobody approves twice, and the last one's word is final."""
    task = await make_task(company, review_tiers=2)
    one, other = [await deployment.someone(Role.VALIDATOR, tier=1) for _ in range(2)]
    senior = await deployment.someone(Role.VALIDATOR, tier=2)
    submission_id = await contributor.submit(task)
    await senior.take(submission_id=submission_id)
    assert (await senior.decide(submission_id))["state"] == "in_review", "who may more stands in for the first tier too"
    assert await senior.refused("/review/next", {"submission_id": submission_id}) == (409, "review_not_held")
    for junior in (one, other):
        assert await junior.take(task_id=task["task_id"]) is None
    boss = await deployment.someone(Role.VALIDATOR, tier=2)
    taken = await boss.take(task_id=task["task_id"])
    assert (taken["tier"], taken["tiers"], taken["decisions"][0]["verdict"]) == (2, 2, "approve")
    assert (await boss.decide(submission_id))["state"] == "approved"
    assert [state for state, _ in await steps_of(contributor, submission_id)][-2:] == ["in_review", "approved"]
    second = await contributor.submit(task)
    await one.take(submission_id=second)
    await one.decide(second)
    await boss.take(submission_id=second)
    assert (await boss.decide(second, **CHANGES))["state"] == "needs_changes"


async def test_own_submission_is_not_reviewed(deployment, contributor, task):
    """Who sent something in does not review it, whatever else they may do."""
    submission_id = await contributor.submit(task)
    same = await deployment.someone(Role.VALIDATOR, contributor.name)
    assert await same.refused("/review/next", {"submission_id": submission_id}) == (409, "review_not_held")


async def test_reason_is_needed(deployment, contributor, validator, task):
    """Whoever does not approve says why, in words of the list."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    path = f"/review/{submission_id}/decision"
    for said in ({"verdict": "reject"}, {"verdict": "reject", "reason_codes": ["because"]}, {"verdict": "maybe"}):
        assert await validator.refused(path, said) == (422, "invalid_request")


async def test_other_team(deployment, contributor, validator, task):
    """For another team neither task nor submission is there, whatever is asked of it."""
    submission_id = await contributor.submit(task)
    stranger = await deployment.someone(Role.VALIDATOR, team="theirs")
    answers = {
        await stranger.refused("/review/next", {"submission_id": submission_id}),
        await stranger.refused(f"/review/{submission_id}/decision", {"verdict": "approve"}),
        await stranger.refused(f"/review/{submission_id}/links", {}),
    }
    assert answers == {(404, "submission_not_found")}
    assert (await stranger.get("/review"))["waiting"] == 0
    other = await deployment.someone(Role.CONTRIBUTOR, team="theirs")
    answer = await other.begin(task, mp4())
    assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")
    mate = await deployment.someone(Role.CONTRIBUTOR)
    answer = await mate.begin(task, mp4(), submission=submission_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "submission_not_found")


async def test_company_sees_only_what_it_asked_for(deployment, company, contributor, validator, task):
    """An approved submission is shown to who asked for it, and to no other company of the team."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    await validator.decide(submission_id)
    other = await deployment.someone(Role.COMPANY)
    assert (await other.ask("GET", f"/submissions/{submission_id}")).status_code == 404
    assert (await other.get("/submissions"))["submissions"] == []
    assert (await company.get("/submissions"))["submissions"][0]["submission_id"] == submission_id


async def test_link_to_look(deployment, contributor, validator, task):
    """A link shows one submission's media to somebody without an account, as a page too, and decides nothing."""
    link = await make_link(validator, await contributor.submit(task, name="<script>.mp4"))
    shown = (await deployment.client.get(link["url"])).json()
    assert (shown["title"], shown["may_decide"]) == ("Street scenes", False)
    assert (await deployment.client.get(shown["media"]["original_url"])).content.startswith(MP4)
    page = await deployment.client.get(link["url"], headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html") and "<video" in page.text
    assert "<script" not in page.text and "default-src 'none'" in page.headers["content-security-policy"]
    refused = await deployment.client.post(f"{link['url']}/decision", json={"verdict": "approve"})
    assert (refused.status_code, refused.json()["code"]) == (403, "link_invalid")


async def make_link(validator: Someone, submission_id: str, **wanted: Any) -> dict[str, Any]:
    await validator.take(submission_id=submission_id)
    return await validator.post(f"/review/{submission_id}/links", {"title": "an expert", **wanted}, 201)


async def test_link_to_decide(deployment, contributor, validator, task):
    """A link that may decide keeps the submission on its maker's desk, takes the page's form, and counts once."""
    submission_id = await contributor.submit(task)
    link = await make_link(validator, submission_id, may_decide=True, hours=48)
    other = await deployment.someone(Role.VALIDATOR)
    assert await other.refused("/review/next", {"submission_id": submission_id}) == (409, "review_not_held")
    page = await deployment.client.get(link["url"], headers={"accept": "text/html"})
    assert f'action="{urlsplit(link["url"]).path}/decision"' in page.text
    said = {"verdict": "needs_changes", "reason_codes": ["incomplete"], "note": "the end is missing"}
    headers = {"accept": "text/html", "origin": "null"}
    nothing = await deployment.client.post(f"{link['url']}/decision", data={"verdict": "reject"}, headers=headers)
    assert nothing.status_code == 422
    done = await deployment.client.post(f"{link['url']}/decision", data=said, headers=headers)
    assert done.status_code == 200 and "Thank you" in done.text
    assert (await steps_of(contributor, submission_id))[-1] == ("needs_changes", "link")
    for again in (deployment.client.get(link["url"]), deployment.client.post(f"{link['url']}/decision", json=REJECT)):
        answer = await again
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")


async def test_link_that_ended(deployment, contributor, validator, task):
    """A link that was revoked, has expired, was changed, or is another's shows nothing."""
    submission_id = await contributor.submit(task)
    link = await make_link(validator, submission_id, may_decide=True)
    path = f"/review/{submission_id}/links"
    assert [one["link_id"] for one in (await validator.get(path))["links"]] == [link["link_id"]]
    changed = link["url"][:-2] + ("A" if link["url"][-2] != "A" else "B") + link["url"][-1]
    for url in (changed, link["url"].rpartition("/")[0] + "/a.b.c", link["url"] + "x"):
        assert (await deployment.client.get(url)).status_code == 403
    assert (await validator.ask("DELETE", f"{path}/{link['link_id']}")).status_code == 204
    assert (await deployment.client.get(link["url"])).json()["code"] == "link_invalid"
    second = await make_link(validator, submission_id)
    await deployment.execute(
        "UPDATE review_links SET expires_at = now() - interval '1 second' WHERE link_id = %s", second["link_id"]
    )
    assert (await deployment.client.get(second["url"])).json()["code"] == "link_invalid"


async def test_audit_of_reviews(deployment, contributor, validator, task):
    """Who took what, decided what, made which link, and what a link showed to whom: all of it is in the chain."""
    submission_id = await contributor.submit(task)
    link = await make_link(validator, submission_id, may_decide=True)
    await deployment.client.get(link["url"])
    await deployment.client.post(f"{link['url']}/decision", json=REJECT)
    rows = await deployment.execute(
        "SELECT action, subject, ip FROM audit_records WHERE thing = ANY(%s) OR details ->> 'submission_id' = %s "
        "ORDER BY record_id",
        [submission_id, link["link_id"]],
        submission_id,
    )
    key = f"key:{validator.header['authorization'].split('_')[1]}"
    by_link = f"link:{link['link_id']}"
    assert [(action, subject) for action, subject, _ in rows] == [
        ("review.taken", key),
        ("url.issued", key),
        ("review_link.created", key),
        ("review_link.opened", by_link),
        ("url.issued", by_link),
        ("review.decided", by_link),
    ]
    assert {ip for _, _, ip in rows} == {"127.0.0.1"}
    async with deployment.gateway.plane.pool.connection() as conn:
        assert (await verify(conn)).fault_count == 0
        assert await audit.head(conn)


async def test_events_of_submissions(deployment, company, contributor, validator, task):
    """Each step is told to the contributor and the team; who asked for it is told of the approval, and nothing else."""
    submission_id = await contributor.submit(task)
    await validator.take(submission_id=submission_id)
    await validator.decide(submission_id, note="fine")
    rows = await deployment.execute(
        "SELECT type, owner, data FROM events WHERE data ->> 'submission_id' = %s ORDER BY event_id", submission_id
    )
    told = [(kind, owner) for kind, owner, _ in rows]
    states = ("open", "uploaded", "processing", "in_review", "approved")
    assert told == [(f"submission.{state}", contributor.name) for state in states] + [("task.approved", company.name)]
    assert validator.name not in json.dumps([data for _, _, data in rows])


async def test_what_datasets_may_take(deployment, company, contributor, validator, task):
    """Approved submissions with their originals, and only as long as the media is there and whole."""
    body = mp4()
    wanted, other = await contributor.submit(task, body), await contributor.submit(task)
    await validator.take(submission_id=wanted)
    await validator.decide(wanted)

    async def takeable() -> list[submissions.Approved]:
        async with deployment.gateway.plane.pool.connection() as conn:
            return [one async for one in submissions.approved(conn, task_id=task["task_id"])]

    (found,) = await takeable()
    assert (found.submission_id, found.size_bytes, found.owner) == (wanted, len(body), contributor.name)
    assert found.submission_id != other
    await deployment.execute("UPDATE assets SET status = 'failed' WHERE asset_id = %s", found.asset_id)
    assert await takeable() == []
    assert (await contributor.get(f"/submissions/{wanted}"))["state"] == "approved"


async def test_typed_client(deployment, company, contributor, validator, task, tmp_path):
    """What the API offers a program can do by methods."""
    file = tmp_path / "a.mp4"
    file.write_bytes(mp4())

    def client(who: Someone) -> Client:
        return Client(deployment.gateway.url, key=who.header["authorization"].removeprefix("Bearer "))

    def send() -> Upload:
        with client(company) as asks, client(contributor) as sends:
            changed = asks.tasks.change(task["task_id"], max_bytes=5000, deadline=datetime(2030, 1, 1, tzinfo=UTC))
            assert (changed.max_bytes, asks.tasks.get(task["task_id"]).submissions) == (5000, 0)
            return sends.upload(file, task=task["task_id"], digest=True)

    def review(submission_id: str) -> None:
        with client(validator) as looks:
            waiting = looks.review.count_waiting()
            assert looks.review.take(task_id=task["task_id"]).submission_id == submission_id
            assert looks.review.count_waiting() == waiting - 1
            assert [one.submission_id for one in looks.review.held()] == [submission_id]
            assert not looks.review.release(submission_id).is_held
            assert looks.review.take(submission_id=submission_id).is_held
            assert looks.review.renew(submission_id).lease_until
            link = looks.review.add_link(submission_id, title="x")
            looks.review.revoke_link(submission_id, link.link_id)
            assert looks.review.links(submission_id)[0].revoked_at
            assert looks.review.get(submission_id).media.size_bytes == 500
            assert looks.review.reject(submission_id, ["other"], note="no").state == "rejected"

    def look() -> None:
        with client(contributor) as sends, client(company) as asks:
            (found,) = sends.submissions.list(task_id=task["task_id"])
            assert sends.submissions.get(found.submission_id).steps[-1].by == "validator"
            assert asks.tasks.close(task["task_id"]).state == "closed"

    sent = await asyncio.to_thread(send)
    await deployment.process(sent.asset_id)
    await asyncio.to_thread(review, sent.submission_id)
    await asyncio.to_thread(look)


async def test_pages(deployment, company, contributor, task):
    """Tasks and submissions come in pages that leave nothing out."""
    sent = [await contributor.submit(task) for _ in range(3)]
    seen, page = [], None
    while True:
        query = {"limit": 2, "task_id": task["task_id"], **({"page": page} if page else {})}
        found = await contributor.get("/submissions", **query)
        seen += [one["submission_id"] for one in found["submissions"]]
        if (page := found["next"]) is None:
            break
    assert seen == sent[::-1]
    listed = await contributor.get("/tasks", limit=1, state="open")
    assert listed["tasks"][0]["task_id"] == task["task_id"] and listed["next"]
    shown = await contributor.get(f"/tasks/{task['task_id']}")
    assert (shown["submissions"], shown["own_submissions"]) == (3, 3)
