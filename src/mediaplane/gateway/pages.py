"""Keyset pages: the place after which the next page begins, as text that a client hands back."""

import base64
import binascii
import json
from datetime import datetime

from mediaplane.errors import InvalidQuery
from mediaplane.media.ids import check_id

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


def write_page(*place: str | int) -> str:
    """Return the place as text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_asset_page(text: str | None) -> tuple[datetime, str] | None:
    """Return time and id of the last asset seen.

    Raises:
        InvalidQuery: it is no page of this list.
    """
    if text is None:
        return None
    match _read(text):
        case [str(moment), str(asset_id)]:
            try:
                return datetime.fromisoformat(moment), check_id(asset_id)
            except ValueError:
                raise _no_page() from None
    raise _no_page()


def read_segment_page(text: str | None) -> tuple[int, int] | None:
    """Return start in milliseconds and id of the last segment seen.

    Raises:
        InvalidQuery: it is no page of this list.
    """
    if text is None:
        return None
    match _read(text):
        case [int(t_start_ms), int(segment_id)] if max(abs(t_start_ms), abs(segment_id)) < 1 << 63:
            return t_start_ms, segment_id
    raise _no_page()


def read_object_page(text: str | None) -> tuple[str, str] | None:
    """Return role and key of the last object seen.

    Raises:
        InvalidQuery: it is no page of this list.
    """
    if text is None:
        return None
    match _read(text):
        case [str(role), str(key)] if "\0" not in role + key and not _has_surrogates(role + key):
            return role, key
    raise _no_page()


def read_holder_page(text: str | None) -> tuple[str, str, datetime] | None:
    """Return owner, team and time of the last holder of a plan seen.

    Raises:
        InvalidQuery: it is no page of this list.
    """
    if text is None:
        return None
    match _read(text):
        case [str(owner), str(team), str(moment)] if "\0" not in owner + team:
            try:
                return owner, team, datetime.fromisoformat(moment)
            except ValueError:
                raise _no_page() from None
    raise _no_page()


def _has_surrogates(text: str) -> bool:
    """Return whether the text has halves of characters, which JSON may name and no database takes."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _read(text: str) -> object:
    try:
        return json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_page() from None


def _no_page() -> InvalidQuery:
    return InvalidQuery("page is no page of this list: use the `next` of an earlier answer")
