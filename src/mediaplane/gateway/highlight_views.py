"""What the API answers and takes about highlights: the shapes that OpenAPI shows."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mediaplane.gateway.views import MAX_PADDING_MS, MAX_TIME_MS, View
from mediaplane.media.clip_names import MAX_STYLE_CHARS, PLAIN_STYLE, STYLE_PATTERN
from mediaplane.media.highlights import MAX_MOMENTS, MAX_REASON_CHARS, MAX_REASONS, MAX_TITLE_CHARS


class MomentView(View):
    """A time range worth a clip; the score is 0 to 1, larger is better."""

    start_ms: int = Field(ge=0, le=MAX_TIME_MS)
    end_ms: int = Field(ge=0, le=MAX_TIME_MS)
    score: float = Field(default=0, ge=0, le=1)
    title: str = Field(default="", max_length=MAX_TITLE_CHARS)
    style: str = Field(default=PLAIN_STYLE, pattern=STYLE_PATTERN, max_length=MAX_STYLE_CHARS)
    reasons: list[str] = Field(default=[], max_length=MAX_REASONS, description=f"each {MAX_REASON_CHARS} characters")


class HighlightsView(View):
    """`highlights.json` as it is stored; a moment's number, from 1, is its place in the list."""

    version: int
    asset_id: str
    duration_ms: int
    detector: str | None
    moments: list[MomentView]


class HighlightsRequest(BaseModel):
    """What to store; a document that was read may be sent back changed, what else stands in it is made anew."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"moments": [{"start_ms": 61_000, "end_ms": 92_000, "title": "The goal", "style": "vertical"}]},
            ]
        },
    )

    moments: list[MomentView] = Field(max_length=MAX_MOMENTS)

    def plain(self) -> list[dict[str, Any]]:
        """Return the moments as the file has them."""
        return [moment.model_dump() for moment in self.moments]


class HighlightClipsRequest(BaseModel):
    """Which highlights to cut: all, or those with these numbers; each in its own style, or all in `style`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"numbers": [1, 2], "style": "vertical"}]}
    )

    numbers: list[int] | None = Field(default=None, max_length=MAX_MOMENTS)
    style: str | None = Field(default=None, pattern=STYLE_PATTERN, max_length=MAX_STYLE_CHARS)
    mode: Literal["fast", "exact"] = "exact"
    padding_ms: int = Field(default=0, ge=0, le=MAX_PADDING_MS)
