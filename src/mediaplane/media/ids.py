"""Ids of rows: text of `[A-Za-z0-9_-]{1,64}`, new ones UUIDs."""

import re
import uuid

from mediaplane.errors import InvalidId

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
_ID = re.compile(ID_PATTERN)


def new_id() -> str:
    """Return a fresh random id."""
    return str(uuid.uuid4())


def derive_id(*parts: str) -> str:
    """Return the id that follows from these texts, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(parts)))


def check_id(text: str) -> str:
    """Return `text` if it is an id.

    Raises:
        InvalidId: it is not `[A-Za-z0-9_-]{1,64}`.
    """
    if not _ID.fullmatch(text):
        raise InvalidId(f"{text!r} is no id: allowed are 1 to 64 of A-Z a-z 0-9 _ -")
    return text
