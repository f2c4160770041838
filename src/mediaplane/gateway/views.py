"""What the API answers: the shapes that OpenAPI shows."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mediaplane.media.clip_names import MAX_STYLE_CHARS, PLAIN_STYLE, STYLE_PATTERN
from mediaplane.media.highlights import MAX_TITLE_CHARS

MAX_STAGE_CHARS = 40
MAX_TIME_MS = 10**12  # thirty years; keeps every sum within the database's bigint
MAX_PADDING_MS = 600_000  # as the setting CLIP_PADDING_MS allows


class View(BaseModel):
    """Reads its fields from a row of the catalog; what is not named here stays inside."""

    model_config = ConfigDict(from_attributes=True)


class AssetView(View):
    """One piece of media."""

    asset_id: str
    title: str
    kind: str
    status: str
    error_code: str | None
    error_message: str | None
    digest: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None


class AssetsPage(View):
    """Assets, newest first; `next` is the `page` of the following request, null on the last page."""

    assets: list[AssetView]
    next: str | None


class RoleView(View):
    """What an asset has stored in one role."""

    role: str
    objects: int
    size_bytes: int
    first_key: str


class StageView(View):
    """The latest run of one stage, of one chunk where the stage has chunks."""

    run_id: str
    stage: str
    chunk: int | None
    subject: str
    state: str
    progress: float
    attempt: int
    error_code: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None


class StageDetail(StageView):
    """The same, with whether the latest replay, or the same bytes ingested again, used what the run had made."""

    reused: bool = False


class ReplayRequest(BaseModel):
    """Which stage is to be done with which parameters from now on, e.g. `ocr` with `{"languages": "eng,deu"}`."""

    stage: str = Field(max_length=MAX_STAGE_CHARS)
    set: dict[Annotated[str, Field(max_length=MAX_STAGE_CHARS)], Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, max_length=20
    )


class ReplayView(BaseModel):
    """A replay that has begun: the runs it does again and those it uses as they are; more follow from the former."""

    replay_id: str
    asset_id: str
    params: dict[str, str]
    begun: list[StageDetail]
    reused: list[StageDetail]


class AssetDetail(AssetView):
    """One asset with what is stored of it, how far its stages are, where it plays, and what of it can be looked at.

    `preview_url` is a WebVTT track of small pictures (scrubbing preview), `peaks_url` JSON as audiowaveform writes it.
    """

    objects: list[RoleView]
    stages: list[StageDetail]
    playback_url: str | None
    preview_url: str | None = None
    poster_url: str | None = None
    waveform_url: str | None = None
    peaks_url: str | None = None


class SegmentView(View):
    """A time range with text; `box` is x, y, width, height in pixels of the original."""

    segment_id: int
    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int] | None
    confidence: float | None
    language: str | None
    frame_url: str | None


class SegmentsPage(View):
    """Segments by time."""

    segments: list[SegmentView]
    next: str | None


class SnippetView(View):
    """The part of a text around its first match, and the matches in it as (start, end) in characters."""

    text: str
    marks: list[tuple[int, int]]


class HitView(View):
    """A moment that a search found, with the picture it was read in and where to play it."""

    asset_id: str
    t_start_ms: int
    t_end_ms: int
    text: str
    snippet: SnippetView
    score: float
    frame_url: str | None
    playback_url: str | None


class HitsPage(View):
    """Moments, best first; `corrections` tells what was read for misspelt words."""

    hits: list[HitView]
    next: str | None
    corrections: dict[str, str]


class ClipRequest(BaseModel):
    """What to cut; without `padding_ms` the deployment's own padding."""

    model_config = ConfigDict(extra="forbid")

    t_start_ms: int = Field(ge=0, le=MAX_TIME_MS)
    t_end_ms: int = Field(ge=0, le=MAX_TIME_MS)
    mode: Literal["fast", "exact"] = "fast"
    padding_ms: int | None = Field(default=None, ge=0, le=MAX_PADDING_MS)
    title: str = Field(default="", max_length=MAX_TITLE_CHARS, description="what it is called; part of its key")
    style: str = Field(default=PLAIN_STYLE, pattern=STYLE_PATTERN, max_length=MAX_STYLE_CHARS)


class ClipView(View):
    """A cut, the padding within its times; `url` and, where the deployment keeps them, a thumbnail once it is ready.

    `highlight` is the number of the highlight it was cut of, 0 by hand; `version` counts the clips of one highlight.
    """

    clip_id: str
    asset_id: str
    mode: str
    t_start_ms: int
    t_end_ms: int
    status: str
    error_code: str | None
    error_message: str | None
    created_at: datetime
    expires_at: datetime | None
    highlight: int
    version: int
    title: str
    style: str
    url: str | None = None
    thumbnail_url: str | None = None


class ClipsView(View):
    """Clips of one asset."""

    clips: list[ClipView]


class Health(View):
    """Whether the process answers and, for readiness, what it needs."""

    status: str
    checks: dict[str, str]
