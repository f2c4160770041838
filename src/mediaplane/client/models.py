"""What the API answers, typed. Fields that a newer gateway adds are left out, so that an older client goes on."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Frozen, and silent about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Asset(Model):
    """One piece of media."""

    asset_id: str
    title: str
    kind: str
    status: str
    error_code: str | None = None
    error_message: str | None = None
    digest: str | None = None
    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None = None


class StoredRole(Model):
    """What an asset has stored in one role."""

    role: str
    objects: int
    size_bytes: int
    first_key: str


class StageState(Model):
    """The latest run of one stage, of one chunk where the stage has chunks."""

    run_id: str = ""
    stage: str
    chunk: int | None = None
    subject: str = ""
    state: str
    reused: bool = False  # by the latest replay, or when the same bytes came again
    progress: float
    attempt: int
    error_code: str | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Replay(Model):
    """An asset worked on once more: the runs that are done again, and those that are used as they are."""

    replay_id: str
    asset_id: str
    params: dict[str, str]
    begun: list[StageState]
    reused: list[StageState]


class AssetDetail(Asset):
    """One asset with what is stored of it, how far its stages are, and where it plays."""

    objects: list[StoredRole]
    stages: list[StageState]
    playback_url: str | None = None
    preview_url: str | None = None  # WebVTT of small pictures
    poster_url: str | None = None
    waveform_url: str | None = None
    peaks_url: str | None = None


class Segment(Model):
    """A time range with text."""

    segment_id: int
    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int] | None = None
    confidence: float | None = None
    language: str | None = None
    frame_url: str | None = None


class Snippet(Model):
    """The part of a text around its first match, and the matches in it as (start, end) in characters."""

    text: str
    marks: list[tuple[int, int]]


class Hit(Model):
    """A moment that a search found."""

    asset_id: str
    t_start_ms: int
    t_end_ms: int
    text: str
    snippet: Snippet
    score: float
    frame_url: str | None = None
    playback_url: str | None = None


class Hits(Model):
    """Moments, best first; `corrections` tells what was read for misspelt words."""

    hits: list[Hit]
    next: str | None = None
    corrections: dict[str, str] = Field(default_factory=dict)


class Clip(Model):
    """A cut; `url` once it is ready."""

    clip_id: str
    asset_id: str
    mode: str
    t_start_ms: int
    t_end_ms: int
    status: str
    error_code: str | None = None
    error_message: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    highlight: int = 0
    version: int = 1
    title: str = ""
    style: str = "original"
    url: str | None = None
    thumbnail_url: str | None = None


class Moment(Model):
    """A time range worth a clip; the score is 0 to 1, larger is better."""

    start_ms: int
    end_ms: int
    score: float = 0.0
    title: str = ""
    style: str = "original"
    reasons: list[str] = Field(default_factory=list)


class Highlights(Model):
    """The moments of an asset; `etag` is their version, to be named when they are replaced."""

    asset_id: str
    duration_ms: int
    moments: list[Moment]
    detector: str | None = None
    etag: str = ""


class SignedPut(Model):
    """One PUT: the body is the file, with exactly these headers."""

    url: str
    headers: dict[str, str]


class PartUrl(Model):
    """Where one part goes."""

    number: int
    url: str
    size_bytes: int | None = None


class ReceivedPart(Model):
    """A part that the store has."""

    number: int
    size_bytes: int
    etag: str


class Parts(Model):
    """An upload in parts."""

    part_bytes: int | None = None
    count: int | None = None
    received: list[ReceivedPart]
    urls: list[PartUrl]


class Upload(Model):
    """One upload: what the store has of it, and where the rest goes."""

    upload_id: str | None = None
    asset_id: str
    state: Literal["open", "completed", "refused", "aborted"]
    reused: bool = False
    name: str
    size_bytes: int | None = None
    content_type: str
    way: str | None = None
    received_bytes: int | None = None
    put: SignedPut | None = None
    parts: Parts | None = None
    error_code: str | None = None
    error_message: str | None = None
    submission_id: str | None = None


class Event(Model):
    """Something that happened; `data` is all that was said of it."""

    id: int
    name: str
    type: str
    asset_id: str | None = None
    data: dict[str, Any]


class Amount(Model):
    """How much of one resource is used; `limit` and `left` are None where nothing limits it."""

    usage: float
    limit: int | None = None
    left: float | None = None
    percent: float | None = None


class Stored(Model):
    """What an account's `stored_bytes` are made of."""

    objects_bytes: int
    outbox_bytes: int
    reserved_bytes: int


class Usage(Model):
    """An account's usage by resource (`stored_bytes`, `clips`, `minutes_per_month`, `uploads_in_flight`)."""

    owner: str
    team: str
    plan: str | None = None
    since: datetime | None = None
    resources: dict[str, Amount]
    largest_bytes: int | None = None
    stored: Stored
    month_ends_at: datetime


class Plan(Model):
    """A plan of the deployment; what `limits` does not name is unlimited."""

    plan: str
    title: str = ""
    is_default: bool = False
    limits: dict[str, int]
    holders: int = 0


class PlanHolder(Model):
    """What an owner was given; `*` is all teams, or owners, and `plan` None where it was taken away."""

    owner: str
    team: str
    plan: str | None = None
    since: datetime
    limits: dict[str, int | None] = Field(default_factory=dict)


class Webhook(Model):
    """Where events are sent; `secret` is there right after it was made or rotated, and never again."""

    webhook_id: str
    url: str
    title: str
    types: list[str]
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    created_at: datetime
    secret: str | None = None


class Delivery(Model):
    """What a webhook was or will be told."""

    delivery_id: int
    event_id: int
    type: str | None = None
    asset_id: str | None = None
    state: str
    attempts: int
    due_at: datetime
    last_status: int | None = None
    last_error: str | None = None
    delivered_at: datetime | None = None
