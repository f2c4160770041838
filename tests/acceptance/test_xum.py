"""The story of `xum`: contributors send in sound, video and pictures, validators review them, a company gets the good.

The contributor's page is of another origin than gateway and bucket, and does what a browser does: it asks the bucket
first whether it may, loses its connection in the middle of a part, is closed, and goes on with fresh URLs.
"""

import json
import random
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from mediaplane.client import Client, Conflict, Invalid, NotFound, Submission, Task
from tests.acceptance.plane import Plane, running_plane
from tests.services.made_media import ffmpeg, make_pattern

PAGE = "https://app.xum-ai.app"
PART = 16 << 20
PATIENCE_SECONDS = 180
LIMITS = {"max_bytes": 40 << 20, "max_per_contributor": 3, "max_submissions": 10}


@dataclass(frozen=True)
class Xum:
    """A running deployment, its buckets, and where its gateway answers."""

    plane: Plane
    server: Any
    buckets: dict[str, str]
    url: str
    opened: ExitStack

    def key(self, role: str, owner: str, *more: str) -> str:
        """Give somebody a key."""
        made = self.plane.json("key", "create", "--role", role, "--owner", owner, "--team", "crowd", *more)
        return str(made["key"])

    def client(self, role: str, owner: str, *more: str) -> Client:
        """Give somebody a key, and return a client with it."""
        return self.client_with(self.key(role, owner, *more))

    def client_with(self, key: str) -> Client:
        """Return a client that is closed in the end."""
        return self.opened.enter_context(Client(self.url, key=key))

    def keys_in(self, store: str) -> set[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.buckets[store])
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def execute(self, statement: str, *values: object) -> None:
        database = self.plane_file()["database_url"]
        with psycopg.connect(database) as conn:
            conn.execute(statement, values)

    def plane_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.plane.state_dir / "up.json").read_text())
        return found


@pytest.fixture(params=["seaweed", "rgw"])
def xum(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Xum]:
    """The profile as it is shipped, on buckets and a server of one's own."""
    server = request.getfixturevalue(request.param)
    mark = f"{time.time_ns():x}"
    buckets = {"raw": f"xum-raw-{mark}", "processed": f"xum-processed-{mark}", "assets": f"xum-public-{mark}"}
    settings = {
        "MEDIAPLANE_PROFILE": "xum",
        "S3_ENDPOINT": server.http_endpoint,
        "S3_PROVIDER": {"seaweed": "seaweedfs", "rgw": "ceph"}[request.param],
        "S3_ACCESS_KEY_ID": server.access_key,
        "S3_SECRET_ACCESS_KEY": server.secret_key,
        "S3_PUBLIC_URL": "https://cdn.xum-ai.app",
        "S3_RAW_BUCKET": buckets["raw"],
        "S3_PROCESSED_BUCKET": buckets["processed"],
        "S3_PUBLIC_BUCKET": buckets["assets"],
        "HLS_SHORT_SIDES": "64",
    }
    with running_plane(tmp_path / "state", **settings) as plane, ExitStack() as opened:
        url = json.loads((plane.state_dir / "up.json").read_text())["url"]
        yield Xum(plane, server, buckets, url, opened)


@dataclass(frozen=True)
class Files:
    """One of each kind; the video is long enough for two parts."""

    video: Path
    picture: Path
    better_picture: Path
    sound: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    video = make_pattern(tmp_path / "street.mp4", seconds=1, rate="10")
    padding = PART + (2 << 20)
    video.write_bytes(video.read_bytes() + struct.pack(">I4s", padding, b"free") + random.randbytes(padding - 8))
    pictures = [tmp_path / name for name in ("dark.png", "bright.png")]
    for path, colour in zip(pictures, ("black", "yellow"), strict=True):
        ffmpeg("-f", "lavfi", "-i", f"color={colour}:size=320x240", "-frames:v", "1", path)
    sound = tmp_path / "street.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:a", "aac", sound)
    return Files(video, *pictures, sound)


def test_story_of_xum(xum: Xum, files: Files, tmp_path: Path) -> None:
    """Upload in parts with a break, limits, processing, two tiers of review with a lease taken over, and the result."""
    company, key = xum.client("company", "acme"), xum.key("contributor", "kim")
    kim = xum.client_with(key)
    task = company.tasks.add("Street scenes", ["audio/*", "video/*", "image/*"], instructions="By day.", **LIMITS)
    assert (task.review_tiers, [one.task_id for one in kim.tasks.list()]) == (2, [task.task_id])

    video = send_in_parts_with_a_break(xum, key, task, files.video)
    assert kim.submissions.get(video).state in ("processing", "in_review")
    picture = kim.upload(files.picture, task=task.task_id).submission_id
    sound = kim.upload(files.sound, task=task.task_id).submission_id
    limits_are_held(kim, task, files, tmp_path)
    assert list(company.submissions.list()) == [], "nothing yet"

    for submission_id in (video, picture, sound):
        assert wait_for_review(xum, kim, submission_id).state == "in_review"
    assert len(xum.keys_in("raw")) == 3, "what was sent in lies in the raw bucket, and nothing else does"
    assert all(key.startswith("submissions/kim/") for key in xum.keys_in("raw"))
    assert xum.keys_in("processed") and not xum.keys_in("assets"), "what is made of it is as private"

    juniors = [xum.client("validator", name, "--tier", "1") for name in ("vera", "vito")]
    senior = xum.client("validator", "sam", "--tier", "2")
    lease_is_taken_over(xum, juniors, video)
    approve_both(juniors[1:], senior, video)

    juniors[0].review.take(submission_id=picture)
    juniors[0].review.send_back(picture, ["low_quality"], note="too dark")
    told = kim.submissions.get(picture)
    assert (told.state, told.reason_codes, told.note) == ("needs_changes", ["low_quality"], "too dark")
    assert "vera" not in str(told) and "key:" not in str(told)
    again = kim.upload(files.better_picture, task=task.task_id, submission=picture)
    assert (again.submission_id, wait_for_review(xum, kim, picture).round) == (picture, 2)
    assert {one.state for one in company.submissions.list()} == {"approved"}, "the picture is not approved yet"
    approve_both(juniors, senior, picture)

    expert_rejects_by_link(juniors[0], sound)
    assert states_of(kim) == {video: "approved", picture: "approved", sound: "rejected"}
    company_gets_the_good(xum, company, task, {video, picture})
    assert xum.plane.json("audit", "verify")["faults"] == []


def send_in_parts_with_a_break(xum: Xum, key: str, task: Task, file: Path) -> str:
    """Send a file as a page does; a part fails, the tab is closed, another tab finds the upload and goes on."""
    content = file.read_bytes()
    headers = {"authorization": f"Bearer {key}", "origin": PAGE}
    with httpx.Client(timeout=60) as tab:
        wish = {"name": file.name, "size_bytes": len(content), "task": task.task_id, "multipart": True}
        begun = tab.post(f"{xum.url}/v1/uploads", json=wish, headers=headers)
        assert begun.status_code == 201, begun.text
        assert begun.headers["access-control-allow-origin"] == PAGE
        upload = begun.json()
        first, second = upload["parts"]["urls"]
        is_bound(first["url"], upload)
        pages_may_write(tab, first["url"])
        assert tab.put(first["url"], content=content[:PART], headers={"origin": PAGE}).status_code == 200
        with pytest.raises(httpx.HTTPError):
            tab.put(second["url"], content=breaking_off(content[PART:]), headers=length_of(content[PART:]))
    with httpx.Client(timeout=60) as tab:
        (found,) = tab.get(f"{xum.url}/v1/uploads", headers=headers).json()["uploads"]
        resumed = tab.get(f"{xum.url}/v1/uploads/{found['upload_id']}", headers=headers).json()
        assert [part["number"] for part in resumed["parts"]["received"]] == [1]
        (missing,) = resumed["parts"]["urls"]
        assert tab.put(missing["url"], content=content[PART:], headers={"origin": PAGE}).status_code == 200
        done = tab.post(f"{xum.url}/v1/uploads/{found['upload_id']}/complete", json={}, headers=headers)
        assert done.status_code == 200, done.text
    return str(done.json()["submission_id"])


def is_bound(url: str, upload: dict[str, Any]) -> None:
    """The URL lives 15 minutes at most, and is for this key, this session, this part and this size."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert int(query["X-Amz-Expires"]) <= 15 * 60
    assert "content-length" in query["X-Amz-SignedHeaders"]
    assert upload["asset_id"] in urlsplit(url).path and query["partNumber"] == "1"
    assert datetime.fromisoformat(upload["urls_expire_at"]) > datetime.now(UTC)


def pages_may_write(tab: httpx.Client, url: str) -> None:
    """The bucket lets the product's pages write, and nobody else's."""
    asked = {"access-control-request-method": "PUT", "origin": PAGE}
    assert tab.options(url, headers=asked).headers["access-control-allow-origin"] in (PAGE, "*")
    refused = tab.options(url, headers={**asked, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def breaking_off(content: bytes) -> Iterator[bytes]:
    yield content[:100_000]
    raise httpx.WriteError("the network went away")


def length_of(content: bytes) -> dict[str, str]:
    return {"content-length": str(len(content)), "origin": PAGE}


def limits_are_held(kim: Client, task: Task, files: Files, tmp_path: Path) -> None:
    """What the task does not take is refused before a byte is sent."""
    with pytest.raises(Conflict) as full:
        kim.upload(files.better_picture, task=task.task_id)
    assert full.value.code == "task_full"
    text = tmp_path / "notes.txt"
    text.write_text("no media")
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate((40 << 20) + 1)
    for path, code in ((text, "upload_type_refused"), (huge, "upload_too_large")):
        with pytest.raises(Invalid) as refused:
            kim.upload(path, task=task.task_id)
        assert refused.value.code == code
    with pytest.raises(Invalid) as nothing:
        kim.upload(files.better_picture)
    assert nothing.value.code == "task_error", "contributors upload for tasks"


def wait_for_review(xum: Xum, kim: Client, submission_id: str) -> Submission:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := kim.submissions.get(submission_id)).state in ("open", "uploaded", "processing"):
        assert time.monotonic() < deadline, xum.plane.logs()
        time.sleep(0.5)
    assert found.state == "in_review", f"{found}\n{xum.plane.logs()}"
    return found


def lease_is_taken_over(xum: Xum, juniors: list[Client], submission_id: str) -> None:
    """A validator who went home holds nothing up, and decides nothing any more."""
    gone, other = juniors
    taken = gone.review.take(submission_id=submission_id)
    assert taken is not None and taken.media is not None
    assert httpx.get(taken.media.original_url).headers["content-length"] == str(taken.media.size_bytes)
    with pytest.raises(Conflict):
        other.review.take(submission_id=submission_id)
    xum.execute(
        "UPDATE mediaplane.submissions SET lease_until = now() - interval '1 s' WHERE submission_id = %s", submission_id
    )
    assert other.review.take(submission_id=submission_id) is not None
    with pytest.raises(Conflict) as late:
        gone.review.approve(submission_id)
    assert late.value.code == "review_not_held"


def approve_both(juniors: list[Client], senior: Client, submission_id: str) -> None:
    """The first tier's approval asks the second; the second's is final."""
    juniors[0].review.take(submission_id=submission_id)
    assert (first := juniors[0].review.approve(submission_id)).state == "in_review" and first.tier == 2
    with pytest.raises(Conflict):
        juniors[0].review.take(submission_id=submission_id)
    senior.review.take(submission_id=submission_id)
    assert senior.review.approve(submission_id).state == "approved"


def expert_rejects_by_link(validator: Client, submission_id: str) -> None:
    """Somebody without an account sees the sound and decides, by a link."""
    validator.review.take(submission_id=submission_id)
    link = validator.review.add_link(submission_id, may_decide=True, title="an expert")
    assert link.url is not None
    page = httpx.get(link.url, headers={"accept": "text/html"})
    assert "<audio" in page.text and "Street scenes" in page.text
    form = {"verdict": "reject", "reason_codes": "rights_unclear", "note": "music in the background"}
    assert httpx.post(f"{link.url}/decision", data=form, headers={"accept": "text/html"}).status_code == 200
    assert httpx.get(link.url).status_code == 403, "a link decides once"


def states_of(kim: Client) -> dict[str, str]:
    return {one.submission_id: one.state for one in kim.submissions.list()}


def company_gets_the_good(xum: Xum, company: Client, task: Task, approved: set[str]) -> None:
    """The company sees what was approved, without names; bytes come with datasets, for which exactly this is there."""
    found = list(company.submissions.list(task_id=task.task_id))
    assert {one.submission_id for one in found} == approved
    assert {one.contributor for one in found} == {None}
    with pytest.raises(NotFound):
        company.asset(str(found[0].asset_id))
    listed = xum.plane.json("submission", "ls", "--task", task.task_id, "--state", "approved")["submissions"]
    assert {one["submission_id"] for one in listed} == approved
