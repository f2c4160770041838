"""`highlights.json`: the moments of a recording that are worth a clip of their own.

    {"version": 1, "asset_id": "…", "duration_ms": 600000, "detector": "default",
     "moments": [{"start_ms": 61000, "end_ms": 92000, "score": 0.93, "title": "Goal!", "style": "vertical",
                  "reasons": ["12 LU louder than the rest"]}]}

`detector` says who found them, null where somebody wrote them. Their order is theirs: a moment's number, from 1, is
its place in the list.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from mediaplane.errors import InvalidHighlights
from mediaplane.media.clip_names import MAX_STYLE_CHARS, PLAIN_STYLE, STYLE_PATTERN

VERSION = 1
MAX_MOMENTS = 99  # names of clips have two digits for them
MAX_BYTES = 512 * 1024
MAX_TITLE_CHARS = 200
MAX_REASONS = 10
MAX_REASON_CHARS = 200
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time range worth a clip; the score is 0 to 1, larger is better."""

    start_ms: int
    end_ms: int
    score: float = 0.0
    title: str = ""
    style: str = PLAIN_STYLE
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Highlights:
    """What stands in one `highlights.json`."""

    asset_id: str
    duration_ms: int
    moments: tuple[Moment, ...]
    detector: str | None = None

    def to_bytes(self) -> bytes:
        """Return the file: equal highlights are equal bytes."""
        document = {"version": VERSION, **asdict(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def etag_of(content: bytes) -> str:
    """Return the version of a file, as it stands in the header ETag; whatever store it lies in."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def read_file(content: bytes, *, asset_id: str, duration_ms: int) -> Highlights:
    """Return what stands in a file.

    Raises:
        InvalidHighlights: it is none.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidHighlights("highlights.json is no JSON document") from None
    if not isinstance(document, dict) or not isinstance(document.get("moments"), list):
        raise InvalidHighlights('highlights.json must be an object with a list "moments"')
    detector = document.get("detector")
    return check(asset_id, duration_ms, document["moments"], detector=detector if isinstance(detector, str) else None)


def check(asset_id: str, duration_ms: int, moments: Sequence[Any], *, detector: str | None = None) -> Highlights:
    """Return highlights of these moments, each a mapping as in the file.

    Raises:
        InvalidHighlights: a moment is wrong; the message says which and how.
    """
    if len(moments) > MAX_MOMENTS:
        raise InvalidHighlights(f"there may be at most {MAX_MOMENTS} moments, not {len(moments)}")
    read = [_moment(number, moment, duration_ms) for number, moment in enumerate(moments, start=1)]
    return Highlights(asset_id, duration_ms, tuple(read), detector)


def _moment(number: int, given: Any, duration_ms: int) -> Moment:
    if not isinstance(given, Mapping):
        raise _wrong(number, "must be an object")
    if unknown := sorted(set(given) - set(Moment.__slots__)):
        raise _wrong(number, f"has unknown entries: {', '.join(map(str, unknown))}")
    start_ms, end_ms = (_whole(given.get(name)) for name in ("start_ms", "end_ms"))
    if not 0 <= start_ms < end_ms <= duration_ms:
        raise _wrong(number, f"start_ms and end_ms must be whole, in order, and within 0 to {duration_ms}")
    score = given.get("score", 0.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score) or not 0 <= score <= 1:
        raise _wrong(number, "score must be a number from 0 to 1")
    style = given.get("style", PLAIN_STYLE)
    if not isinstance(style, str) or len(style) > MAX_STYLE_CHARS or not re.fullmatch(STYLE_PATTERN, style):
        raise _wrong(number, f"style must be a name of small letters, digits and -, at most {MAX_STYLE_CHARS} long")
    title = _text(number, "title", given.get("title", ""), MAX_TITLE_CHARS)
    reasons = given.get("reasons", ())
    if not isinstance(reasons, list | tuple) or len(reasons) > MAX_REASONS:
        raise _wrong(number, f"reasons must be a list of at most {MAX_REASONS}")
    told = tuple(_text(number, "a reason", reason, MAX_REASON_CHARS) for reason in reasons)
    return Moment(start_ms, end_ms, float(score), title, style, told)


def _text(number: int, name: str, value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise _wrong(number, f"{name} must be a text of at most {most} characters")
    # what neither PostgreSQL's text nor a terminal can hold
    return "".join(char for char in value.encode("utf-8", "ignore").decode() if char.isprintable())


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _wrong(number: int, problem: str) -> InvalidHighlights:
    return InvalidHighlights(f"moment {number}: {problem}")
