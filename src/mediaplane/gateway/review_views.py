"""What the API takes and answers about tasks, submissions and reviews.

A contributor reads what was decided and why, not by whom; a validator does not read whose submission it is; who asked
for it reads of approved ones only.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mediaplane.gateway.views import View

TaskState = Literal["open", "closed"]
SubmissionState = Literal["open", "uploaded", "processing", "in_review", "approved", "rejected", "needs_changes"]
ReasonCode = Literal[
    "off_topic", "incomplete", "low_quality", "technical_fault", "duplicate", "rights_unclear", "personal_data",
    "inappropriate", "other",
]  # fmt: skip
By = Literal["contributor", "validator", "company", "member", "admin", "service", "link", "system"]

MediaType = Annotated[str, StringConstraints(pattern=r"^([a-z]+|\*)/([a-z0-9!#$&^_.+-]+|\*)$", max_length=127)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Deadline = Annotated[  # a year that stays one in every time zone, in PostgreSQL and in Python
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))
]
MAX_COUNT = 1_000_000_000
MAX_LINK_HOURS = 30 * 24


class TaskRequest(BaseModel):
    """What contributors are asked for; null is no limit, and the deployment's own number of tiers."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "Street noise", "types": ["audio/*"], "max_submissions": 500, "review_tiers": 2}]
        },
    )

    title: Annotated[Text, Field(min_length=1, max_length=200)]
    instructions: Annotated[Text, Field(max_length=20_000)] = ""
    types: list[MediaType] = Field(min_length=1, max_length=50, description="media types, such as audio/* or image/png")
    max_bytes: int | None = Field(default=None, ge=1, le=5 * 10**13, description="of one file")
    max_submissions: int | None = Field(default=None, ge=1, le=MAX_COUNT, description="rejected ones left out")
    max_per_contributor: int | None = Field(default=None, ge=1, le=MAX_COUNT, description="rejected ones included")
    review_tiers: int | None = Field(default=None, ge=1, le=9, description="so many validators approve, one a tier")
    deadline: Deadline | None = Field(default=None, description="no upload begins after it")


class TaskChange(BaseModel):
    """What is to change; what is not named stays. A change counts for what is begun from now on."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    instructions: Annotated[Text, Field(max_length=20_000)] | None = None
    types: list[MediaType] | None = Field(default=None, min_length=1, max_length=50)
    max_bytes: int | None = Field(default=None, ge=1, le=5 * 10**13)
    max_submissions: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    max_per_contributor: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    review_tiers: int | None = Field(default=None, ge=1, le=9)
    deadline: Deadline | None = None
    state: TaskState | None = None

    def changes(self) -> dict[str, Any]:
        """Return what was named; null takes a limit away, and changes nothing where there must be a value."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        never_null = ("title", "instructions", "types", "review_tiers", "state")
        return {name: value for name, value in named.items() if value is not None or name not in never_null}


class TaskView(View):
    """What a team's contributors are asked for."""

    task_id: str
    title: str
    instructions: str
    types: list[str]
    max_bytes: int | None
    max_submissions: int | None
    max_per_contributor: int | None
    review_tiers: int
    deadline: datetime | None
    state: TaskState
    created_at: datetime
    updated_at: datetime


class TaskDetail(TaskView):
    """One task, with how many submissions count for its limit, and how many are one's own."""

    submissions: int
    own_submissions: int


class TasksPage(View):
    """Tasks, newest first; `next` is the `page` of the following request, null on the last page."""

    tasks: list[TaskView]
    next: str | None


class SubmissionView(View):
    """An upload made for a task; `contributor` is told to oneself and to who manages the team, not to validators."""

    submission_id: str
    task_id: str
    asset_id: str | None
    state: SubmissionState
    round: int
    reason_codes: list[str]
    note: str
    contributor: str | None = None
    created_at: datetime
    updated_at: datetime


class StepView(View):
    """A step: from where to where, when, by whom, and why. `subject` is told to who manages the team."""

    at: datetime
    from_state: str | None
    to_state: str
    round: int
    by: By
    subject: str | None = None
    reason_codes: list[str]
    note: str


class SubmissionDetail(SubmissionView):
    """One submission with its history."""

    steps: list[StepView]


class SubmissionsPage(View):
    """Submissions, newest first; `next` is the `page` of the following request, null on the last page."""

    submissions: list[SubmissionView]
    next: str | None


class MediaView(View):
    """The media of a submission, by URLs that expire; `playback_url` is HLS (a picture's leads to the picture)."""

    kind: str
    title: str
    duration_ms: int | None
    width: int | None
    height: int | None
    content_type: str
    size_bytes: int
    playback_url: str | None
    original_url: str


class DecisionView(View):
    """What was decided before, by a tier or in another round."""

    round: int
    tier: int
    verdict: str
    reason_codes: list[str]
    note: str
    at: datetime


class ReviewView(View):
    """A submission as its validator sees it; `media` while it is on the desk, until `lease_until`."""

    submission_id: str
    state: SubmissionState
    round: int
    tier: int
    tiers: int
    waiting_since: datetime | None
    is_held: bool
    lease_until: datetime | None
    task: TaskView
    decisions: list[DecisionView]
    media: MediaView | None


class ReviewQueue(View):
    """What is on one's desk, and how many submissions wait for it."""

    held: list[ReviewView]
    waiting: int


class TakeRequest(BaseModel):
    """Which submission to take: of one task, or this very one; neither: the one that has waited longest."""

    model_config = ConfigDict(extra="forbid")

    task_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    submission_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Taken(View):
    """What was taken; null where nothing waits."""

    review: ReviewView | None


class DecisionRequest(BaseModel):
    """What a validator says; the contributor reads reasons and note. Whoever does not approve gives a reason."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"verdict": "needs_changes", "reason_codes": ["low_quality"], "note": "Too dark from 0:40 on."}
            ]
        },
    )

    verdict: Literal["approve", "reject", "needs_changes"]
    reason_codes: list[ReasonCode] = Field(default_factory=list, max_length=9)
    note: Annotated[Text, Field(max_length=5000)] = ""

    @model_validator(mode="after")
    def _has_reason(self) -> Self:
        if self.verdict != "approve" and not self.reason_codes:
            raise ValueError(f"{self.verdict} needs one of reason_codes at least")
        return self


class Decided(View):
    """Where a submission has come to by a decision; `tier` is who is asked next while it is in review."""

    submission_id: str
    state: SubmissionState
    round: int
    tier: int
    tiers: int


class LinkRequest(BaseModel):
    """A link for somebody without an account; with `may_decide` it decides in the name of who makes it."""

    model_config = ConfigDict(extra="forbid")

    may_decide: bool = False
    hours: float = Field(default=24, gt=0, le=MAX_LINK_HOURS)
    title: Annotated[Text, Field(max_length=200)] = Field(default="", description="whom it is for")


class LinkView(View):
    """A link of a submission."""

    link_id: str
    may_decide: bool
    title: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class NewLinkView(LinkView):
    """A link that was just made; its `url` is told now and never again."""

    url: str


class LinksView(View):
    """Links, oldest first."""

    links: list[LinkView]


class LinkedReview(View):
    """What a link shows: what was asked for, and the media that was sent in."""

    title: str
    instructions: str
    round: int
    may_decide: bool
    expires_at: datetime
    media: MediaView
