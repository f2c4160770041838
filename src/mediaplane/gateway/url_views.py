"""What the API answers about downloads."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mediaplane.access.downloads import Issued
from mediaplane.gateway.views import View
from mediaplane.media.ids import ID_PATTERN

MAX_WISHES = 1000

RoleName = Annotated[
    str,
    Field(
        pattern="^[a-z][a-z0-9_]{0,31}$",
        description="what of the asset: `original`, `proxy`, `poster`, `frame`, `clip`, …; `playback` for HLS, "
        "`transcript` for its text",
    ),
]
ObjectName = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=r"^[^\x00]*$",
        description="which of several: the end of its key, such as `1500.jpg` of a frame; of a transcript its format: "
        "`vtt`, `srt`, `txt`, `json`; empty: the first",
    ),
]


class WishView(BaseModel):
    """What is wanted of one asset."""

    model_config = ConfigDict(extra="forbid")

    asset_id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    role: RoleName = "original"
    name: ObjectName = ""


class UrlsRequest(BaseModel):
    """Up to 1,000 wishes; with `download` the answers are saved as files instead of being shown."""

    model_config = ConfigDict(extra="forbid")

    wishes: list[WishView] = Field(min_length=1, max_length=MAX_WISHES)
    download: bool = False


class UrlsView(View):
    """The wishes in their order, each with its URL."""

    urls: list[Issued]


class ObjectView(View):
    """One stored object of an asset."""

    role: str
    key: str
    store: str
    content_type: str
    size_bytes: int
    etag: str | None


class ObjectsPage(View):
    """Objects by role and key."""

    objects: list[ObjectView]
    next: str | None
