"""Tasks, submissions and reviews for `Client`: `media.tasks`, `media.submissions`, `media.review`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import Field

from mediaplane.client.models import Model
from mediaplane.client.transport import Transport

PAGE = 200


class Task(Model):
    """What a team's contributors are asked for; the counts are there where one task was asked for."""

    task_id: str
    title: str
    instructions: str = ""
    types: list[str]
    max_bytes: int | None = None
    max_submissions: int | None = None
    max_per_contributor: int | None = None
    review_tiers: int
    deadline: datetime | None = None
    state: str
    created_at: datetime
    updated_at: datetime
    submissions: int | None = None
    own_submissions: int | None = None


class SubmissionStep(Model):
    """A step of a submission: from where to where, when, by whom, and why."""

    at: datetime
    from_state: str | None = None
    to_state: str
    round: int
    by: str
    subject: str | None = None
    reason_codes: list[str]
    note: str = ""


class Submission(Model):
    """An upload made for a task; its steps are there where one submission was asked for."""

    submission_id: str
    task_id: str
    asset_id: str | None = None
    state: str
    round: int
    reason_codes: list[str]
    note: str = ""
    contributor: str | None = None
    created_at: datetime
    updated_at: datetime
    steps: list[SubmissionStep] = Field(default_factory=list)


class ReviewMedia(Model):
    """The media of a submission, by URLs that expire."""

    kind: str
    title: str
    duration_ms: int | None = None
    content_type: str
    size_bytes: int
    playback_url: str | None = None
    original_url: str


class Review(Model):
    """A submission as its validator sees it; `media` while it is on the desk."""

    submission_id: str
    state: str
    round: int
    tier: int
    tiers: int
    is_held: bool
    lease_until: datetime | None = None
    task: Task
    decisions: list[dict[str, Any]]
    media: ReviewMedia | None = None


class Decided(Model):
    """Where a submission has come to by a decision."""

    submission_id: str
    state: str
    round: int
    tier: int
    tiers: int


class ReviewLink(Model):
    """A link for somebody without an account; `url` is there right after it was made, and never again."""

    link_id: str
    may_decide: bool
    title: str = ""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    url: str | None = None


class Tasks:
    """What contributors are asked to send in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add(self, title: str, types: Sequence[str], **limits: Any) -> Task:
        """Make a task; `limits` are `instructions`, `max_bytes`, `max_submissions`, `review_tiers`, `deadline`, …"""
        body = {"title": title, "types": list(types), **_plain(limits)}
        return Task.model_validate(self._transport.ask("POST", "/v1/tasks", body=body))

    def list(self, *, state: str | None = None) -> Iterator[Task]:
        """Yield the team's tasks, newest first."""
        return (Task.model_validate(one) for one in _pages(self._transport, "/v1/tasks", "tasks", {"state": state}))

    def get(self, task_id: str) -> Task:
        """Return one task, with how many submissions count."""
        return Task.model_validate(self._transport.ask("GET", _path("tasks", task_id)))

    def change(self, task_id: str, **changes: Any) -> Task:
        """Change what is named; None takes a limit away."""
        return Task.model_validate(self._transport.ask("PATCH", _path("tasks", task_id), body=_plain(changes)))

    def close(self, task_id: str) -> Task:
        """Take no more submissions for a task."""
        return self.change(task_id, state="closed")


class Submissions:
    """What was sent in; `Client.upload(…, task=…)` begins one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, task_id: str | None = None, state: str | None = None) -> Iterator[Submission]:
        """Yield submissions that one may see, newest first."""
        found = _pages(self._transport, "/v1/submissions", "submissions", {"task_id": task_id, "state": state})
        return (Submission.model_validate(one) for one in found)

    def get(self, submission_id: str) -> Submission:
        """Return one submission with its history."""
        return Submission.model_validate(self._transport.ask("GET", _path("submissions", submission_id)))


class Reviews:
    """A validator's desk."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def take(self, *, task_id: str | None = None, submission_id: str | None = None) -> Review | None:
        """Take the next submission (or this one), None where nothing waits."""
        body = {"task_id": task_id, "submission_id": submission_id}
        found = self._transport.ask("POST", "/v1/review/next", body=body)["review"]
        return Review.model_validate(found) if found else None

    def held(self) -> list[Review]:
        """Return what is on the desk."""
        return [Review.model_validate(one) for one in self._transport.ask("GET", "/v1/review")["held"]]

    def count_waiting(self) -> int:
        """Return how many submissions wait for one."""
        return int(self._transport.ask("GET", "/v1/review")["waiting"])

    def get(self, submission_id: str) -> Review:
        """Return a submission as validators see it."""
        return Review.model_validate(self._transport.ask("GET", _path("review", submission_id)))

    def renew(self, submission_id: str) -> Review:
        """Keep it on the desk for another lease."""
        return Review.model_validate(self._transport.ask("POST", _path("review", submission_id, "renew")))

    def release(self, submission_id: str) -> Review:
        """Put it back: others may take it."""
        return Review.model_validate(self._transport.ask("POST", _path("review", submission_id, "release")))

    def approve(self, submission_id: str, *, note: str = "") -> Decided:
        """Approve it, for the tier that is asked."""
        return self._decide(submission_id, "approve", (), note)

    def reject(self, submission_id: str, reasons: Sequence[str], *, note: str = "") -> Decided:
        """Reject it for good."""
        return self._decide(submission_id, "reject", reasons, note)

    def send_back(self, submission_id: str, reasons: Sequence[str], *, note: str = "") -> Decided:
        """Ask the contributor for changes."""
        return self._decide(submission_id, "needs_changes", reasons, note)

    def add_link(
        self, submission_id: str, *, may_decide: bool = False, hours: float = 24, title: str = ""
    ) -> ReviewLink:
        """Make a link for somebody without an account; its `url` is told now and never again."""
        body = {"may_decide": may_decide, "hours": hours, "title": title}
        return ReviewLink.model_validate(
            self._transport.ask("POST", _path("review", submission_id, "links"), body=body)
        )

    def links(self, submission_id: str) -> list[ReviewLink]:
        """Return the links of a submission."""
        found = self._transport.ask("GET", _path("review", submission_id, "links"))["links"]
        return [ReviewLink.model_validate(one) for one in found]

    def revoke_link(self, submission_id: str, link_id: str) -> None:
        """End a link at once."""
        self._transport.ask("DELETE", _path("review", submission_id, "links", link_id))

    def _decide(self, submission_id: str, verdict: str, reasons: Sequence[str], note: str) -> Decided:
        body = {"verdict": verdict, "reason_codes": list(reasons), "note": note}
        return Decided.model_validate(
            self._transport.ask("POST", _path("review", submission_id, "decision"), body=body)
        )


def _pages(transport: Transport, path: str, name: str, query: dict[str, Any]) -> Iterator[Any]:
    place: str | None = None
    while True:
        found = transport.ask("GET", path, query={**query, "limit": PAGE, "page": place})
        yield from found[name]
        place = found["next"]
        if place is None:
            return


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
