"""An asset's segments of text over time: drawn in characters, and laid into lanes for drawings of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from mediaplane.media.timecodes import format_timecode

WIDTH = 72  # characters
LISTED = 16  # segments that get a line of their own
TEXT_CHARACTERS = 60
_LEVELS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Span:
    """Something with a time and words."""

    start_ms: int
    end_ms: int
    text: str


def draw_timeline(spans: Sequence[Span], duration_ms: int) -> list[str]:
    """Return lines: how much text is on the screen at each time, then where single segments lie.

    Where there are more than `LISTED`, those that are seen longest are listed, by time.
    """
    if not spans or duration_ms <= 0:
        return []
    listed = sorted(
        sorted(spans, key=lambda span: span.start_ms - span.end_ms)[:LISTED], key=lambda span: span.start_ms
    )
    lines = [_density(spans, duration_ms), _ruler(duration_ms)]
    for span in listed:
        text = " ".join(span.text.split())
        shown = text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"
        lines.append(f"{_bar(span, duration_ms)}  {format_timecode(span.start_ms):>11}  {shown}")
    if len(spans) > len(listed):
        lines.append(f"… and {len(spans) - len(listed)} more: mediaplane show ASSET --html FILE draws them all")
    return lines


def lay_lanes(spans: Sequence[Span]) -> list[int]:
    """Return a lane for each span so that no two in one lane overlap; `spans` are by start."""
    ends: list[int] = []
    lanes: list[int] = []
    for span in spans:
        lane = next((number for number, end in enumerate(ends) if end <= span.start_ms), len(ends))
        if lane == len(ends):
            ends.append(0)
        ends[lane] = max(span.end_ms, span.start_ms + 1)
        lanes.append(lane)
    return lanes


def _columns(span: Span, duration_ms: int) -> tuple[int, int]:
    """Return the first column of a span and the one behind its last; at least one wide."""
    first = min(WIDTH - 1, max(0, span.start_ms * WIDTH // duration_ms))
    return first, max(first + 1, min(WIDTH, -(-span.end_ms * WIDTH // duration_ms)))


def _density(spans: Sequence[Span], duration_ms: int) -> str:
    counts = [0] * WIDTH
    for span in spans:
        first, end = _columns(span, duration_ms)
        for column in range(first, end):
            counts[column] += 1
    most = max(counts)
    return "".join(_LEVELS[-(-count * (len(_LEVELS) - 1) // most)] for count in counts)


def _ruler(duration_ms: int) -> str:
    """Return times below the drawing: begin, middle, end."""
    begin, middle, end = (format_timecode(duration_ms * part // 2).partition(".")[0] for part in (0, 1, 2))
    return f"{begin:<{WIDTH // 2}}{middle:<{WIDTH // 2 - len(end)}}{end}"


def _bar(span: Span, duration_ms: int) -> str:
    first, end = _columns(span, duration_ms)
    return "·" * first + "█" * (end - first) + "·" * (WIDTH - end)
