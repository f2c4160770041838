"""What the API takes and answers about uploads: the shapes that OpenAPI shows."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mediaplane.gateway.views import View
from mediaplane.media.ids import ID_PATTERN

MAX_NUMBERS = 1000  # part URLs of one call
FIRST_NUMBERS = 100  # part URLs that come with an upload
MAX_SAID_PARTS = 20_000  # more than S3 has, so that a list that is too long is told what is wrong with it

Hex64 = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$", to_lower=True)]
Hex32 = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{32}$", to_lower=True)]


class UploadRequest(BaseModel):
    """A file that a client wants to upload."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=1024, description="the file's name: shown, never part of a key")
    size_bytes: int = Field(ge=1, le=5 * 10**13)
    content_type: str = Field(default="", max_length=255, description="media type; empty: by the name")
    title: str = Field(default="", max_length=500)
    sha256: Hex64 | None = Field(default=None, description="verified; the same bytes are not uploaded twice")
    md5: Hex32 | None = Field(default=None, description="verified")
    multipart: bool | None = Field(default=None, description="in parts or in one PUT; null: by the size")
    task: str | None = Field(default=None, pattern=f"^{ID_PATTERN}$", description="the task that it is sent in for")
    submission: str | None = Field(
        default=None, pattern=f"^{ID_PATTERN}$", description="with `task`: the submission that needs changes"
    )


class PutView(View):
    """One PUT: the body is the file, with exactly these headers."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]


class PartUrl(View):
    """Where one part goes: PUT exactly `size_bytes` bytes from `(number - 1) * part_bytes` on, no headers needed."""

    number: int
    url: str
    size_bytes: int | None


class ReceivedPart(View):
    """A part that the store has."""

    number: int
    size_bytes: int
    etag: str


class PartsView(View):
    """An upload in parts; `urls` are those of the first missing ones, more come from `POST …/parts`."""

    part_bytes: int | None
    count: int | None
    received: list[ReceivedPart]
    urls: list[PartUrl]


class UploadSummary(View):
    """An upload as lists show it; `expires_at` is when it is removed if nobody goes on with it."""

    upload_id: str | None
    asset_id: str
    state: Literal["open", "completed", "refused", "aborted"]
    reused: bool
    name: str
    size_bytes: int | None
    content_type: str
    way: Literal["put", "parts", "form"] | None
    created_at: datetime | None
    expires_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    submission_id: str | None = None


class UploadView(UploadSummary):
    """One upload. While it is open: what the store has of it, and where the rest goes until `urls_expire_at`.

    With `reused` the same bytes were there already: `asset_id` is the asset that has them.
    """

    received_bytes: int | None = None
    put: PutView | None = None
    parts: PartsView | None = None
    urls_expire_at: datetime | None = None


class UploadsPage(View):
    """Open uploads, newest first; `next` is the `page` of the following request, null on the last page."""

    uploads: list[UploadSummary]
    next: str | None


class PartsRequest(BaseModel):
    """Which parts a client wants to send next."""

    model_config = ConfigDict(extra="forbid")

    numbers: list[int] = Field(min_length=1, max_length=MAX_NUMBERS)


class PartUrls(View):
    """Where these parts go."""

    urls: list[PartUrl]
    urls_expire_at: datetime


class SentPart(BaseModel):
    """A part as its PUT was answered."""

    model_config = ConfigDict(extra="forbid")

    number: int
    etag: str = Field(max_length=200)


class CompleteRequest(BaseModel):
    """What was sent; without `parts` those that the store has are taken."""

    model_config = ConfigDict(extra="forbid")

    parts: list[SentPart] | None = Field(default=None, max_length=MAX_SAID_PARTS)
