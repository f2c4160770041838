"""The scrubbing preview: a WebVTT track that says which part of which picture shows a time.

Source: W3C WebVTT; Media Fragments URI, "spatial dimension" (`#xywh=`), as hls.js players, Vidstack, Plyr, JW and
video.js read it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar


class SheetRow(Protocol):
    """What the track says about one sheet of small pictures."""

    @property
    def first_ms(self) -> int: ...
    @property
    def tile_ms(self) -> int: ...
    @property
    def tiles(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def tile_width(self) -> int: ...
    @property
    def tile_height(self) -> int: ...


Row = TypeVar("Row", bound=SheetRow)


def preview_track(sheets: Sequence[Row], end_ms: int, url: Callable[[Row], str]) -> str:
    """Return the WebVTT of sheets in order of time; `url`, called once a sheet, gives where it is.

    Each picture is shown until the next one's time, the last until `end_ms`.
    """
    tiles = [tile for sheet in sheets for tile in _tiles(sheet, url(sheet))]
    starts = [start for start, _ in tiles]
    ends = [later for _, later in pairwise(starts)] + [max(end_ms, starts[-1] + 1)] if starts else []
    cues = [
        f"{cue_time(start)} --> {cue_time(end)}\n{place}\n" for (start, place), end in zip(tiles, ends, strict=True)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def cue_time(milliseconds: int) -> str:
    """Return a time as WebVTT writes it: `01:02:03.456`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def _tiles(sheet: SheetRow, url: str) -> Iterator[tuple[int, str]]:
    for number in range(sheet.tiles):
        row, column = divmod(number, sheet.columns)
        x, y = column * sheet.tile_width, row * sheet.tile_height
        yield sheet.first_ms + number * sheet.tile_ms, f"{url}#xywh={x},{y},{sheet.tile_width},{sheet.tile_height}"
