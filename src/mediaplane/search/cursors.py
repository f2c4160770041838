"""Page cursors: where a page ended, opaque, and bound to the search it belongs to."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from mediaplane.catalog.moments import Narrowing, Place, Window
from mediaplane.errors import InvalidQuery


@dataclass(frozen=True, slots=True)
class Cursor:
    """The end of a page: which way of matching, which window of segments, behind which line."""

    way: str
    window: Window = Window()
    behind: Place | None = None  # None: at the window's beginning
    meant: Mapping[str, list[str]] = field(default_factory=dict)  # corrections the pages before were made with


def search_digest(text: str, narrowing: Narrowing) -> str:
    """Return what tells one search from another."""
    return hashlib.sha256(json.dumps([text, asdict(narrowing)]).encode()).hexdigest()[:16]


def write_cursor(cursor: Cursor, digest: str) -> str:
    """Return the cursor as text for URLs."""
    behind = list(asdict(cursor.behind).values()) if cursor.behind else None
    fields = [digest, cursor.way, [cursor.window.upper, cursor.window.lower], behind, dict(cursor.meant)]
    return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str, digest: str) -> Cursor:
    """Return the cursor that `text` is.

    Raises:
        InvalidQuery: it is none, or it belongs to another search.
    """
    try:
        written_for, way, (upper, lower), behind, meant = json.loads(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        )
        cursor = Cursor(way, Window(upper, lower), Place(*behind) if behind else None, meant)
        is_sound = _is_sound(cursor)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidQuery("the page cursor is damaged: begin again without it") from error
    if not is_sound:
        raise InvalidQuery("the page cursor is damaged: begin again without it")
    if written_for != digest:
        raise InvalidQuery("the page cursor belongs to another search: begin again without it")
    return cursor


def _is_sound(cursor: Cursor) -> bool:
    """Tell whether all parts are what the database takes; a cursor may have been made up."""
    numbers = [number for number in (cursor.window.upper, cursor.window.lower) if number is not None]
    words = [word for meant in cursor.meant.values() for word in meant if isinstance(meant, list)]
    if behind := cursor.behind:
        numbers += [behind.text_hash, behind.t_start_ms, behind.segment_id]
        if not isinstance(behind.score, (int, float)) or not isinstance(behind.asset_id, str):
            return False
    return all(isinstance(number, int) and abs(number) < 1 << 63 for number in numbers) and all(
        isinstance(word, str) and "\x00" not in word for word in (cursor.way, *words)
    )
