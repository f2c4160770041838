"""Transcripts as text: what was said or read in a recording, in the formats that players and programs take.

Sources: W3C WebVTT, "WebVTT cue payload text"; the SubRip format has no standard, this is what players read.
"""

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class TextRow(Protocol):
    """A time range with text."""

    @property
    def source(self) -> str: ...  # speech or ocr
    @property
    def t_start_ms(self) -> int: ...
    @property
    def t_end_ms(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str | None: ...


MIN_CUE_MS = 500  # what was seen in one frame only is still shown long enough to be noticed


def chosen_source(rows: Sequence[TextRow], wanted: str = "") -> str:
    """Return whose text a transcript has: what was said, where anything was; else what was read on the screen."""
    return wanted or ("speech" if any(row.source == "speech" for row in rows) else "ocr")


def as_vtt(rows: Sequence[TextRow]) -> str:
    """Return WebVTT."""
    cues = [f"{_times(row, '.')}\n{html.escape(_lines(row.text), quote=False)}\n" for row in rows if row.text.strip()]
    return "\n".join(["WEBVTT\n", *cues])


def as_srt(rows: Sequence[TextRow]) -> str:
    """Return SubRip."""
    shown = [row for row in rows if row.text.strip()]
    return "\n".join(f"{number}\n{_times(row, ',')}\n{_lines(row.text)}\n" for number, row in enumerate(shown, start=1))


def as_text(rows: Sequence[TextRow]) -> str:
    """Return the text alone, a line or paragraph each."""
    return "".join(f"{row.text.strip()}\n" for row in rows if row.text.strip())


def as_json(rows: Sequence[TextRow]) -> str:
    """Return one JSON document."""
    found = [
        {
            "t_start_ms": row.t_start_ms,
            "t_end_ms": row.t_end_ms,
            "text": row.text,
            "source": row.source,
            "language": row.language,
        }
        for row in rows
    ]
    return json.dumps({"segments": found}, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[Sequence[TextRow]], str]] = {
    "vtt": as_vtt,
    "srt": as_srt,
    "txt": as_text,
    "json": as_json,
}
TYPES: Mapping[str, str] = {
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "txt": "text/plain",
    "json": "application/json",
}
DEFAULT_FORMAT = "vtt"


def _times(row: TextRow, point: str) -> str:
    end_ms = max(row.t_end_ms, row.t_start_ms + MIN_CUE_MS)
    return f"{_clock(row.t_start_ms, point)} --> {_clock(end_ms, point)}"


def _clock(moment_ms: int, point: str) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{milliseconds:03}"


def _lines(text: str) -> str:
    """Return text that cannot end its cue: an empty line would, and an arrow makes a line one of times."""
    return re.sub(r"\s*[\r\n]+\s*", "\n", text.strip()).replace("-->", "→")
