"""Which of the phrases of a recording were found, and which can be found at all."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mediaplane.media.words import fold, shape
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.luma import Luma

WIDER_MS, LONGER_MS = 1_000, 3_000
Phrase = dict[str, Any]


def letters(text: str) -> str:
    """Return what a search compares, but for spaces."""
    return shape(re.sub(r"\W|_", "", fold(text)))


def is_hit(line: Line, phrase: Phrase) -> bool:
    """Tell whether the phrase stands in the line, at its time within a second and not much longer."""
    start, end = phrase["t_start_ms"], phrase["t_end_ms"]
    near = line.t_start_ms <= end + WIDER_MS and line.t_end_ms >= start - WIDER_MS
    short = line.t_end_ms - line.t_start_ms <= end - start + LONGER_MS
    return near and short and letters(phrase["text"]) in letters(line.text)


def found(lines: Iterable[Line], truth: Sequence[Phrase]) -> list[Phrase]:
    """Return the phrases that some line hits."""
    known = list(lines)
    return [phrase for phrase in truth if any(is_hit(line, phrase) for line in known)]


def readable(
    truth: Sequence[Phrase], frame_at: Callable[[int], Luma], read: Callable[[Luma], list[str]]
) -> list[Phrase]:
    """Return the phrases that OCR of one whole frame within each phrase's time finds; one frame serves many."""
    waiting, seen = list(truth), []
    while waiting:
        first = min(waiting, key=lambda phrase: phrase["t_end_ms"])
        at_ms = max(first["t_start_ms"], first["t_end_ms"] - 300)
        here = [phrase for phrase in waiting if phrase["t_start_ms"] <= at_ms < phrase["t_end_ms"]]
        texts = [letters(text) for text in read(frame_at(at_ms))]
        seen += [phrase for phrase in here if any(letters(phrase["text"]) in text for text in texts)]
        waiting = [phrase for phrase in waiting if not any(phrase is other for other in here)]
    return seen


def shown(truth: Sequence[Phrase], hits: Sequence[Phrase]) -> str:
    """Return found and all, by kind of program, for people."""
    kinds = sorted({phrase["kind"] for phrase in truth})
    counts = [
        (kind, sum(p["kind"] == kind for p in hits), sum(phrase["kind"] == kind for phrase in truth)) for kind in kinds
    ]
    return ", ".join(f"{kind} {have}/{all_of}" for kind, have, all_of in counts)


def folder() -> Path:
    """Return where recordings are kept from run to run: making them takes minutes."""
    return Path(".services/recordings").resolve()
