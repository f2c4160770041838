"""What a listing finds."""

from datetime import datetime
from typing import NamedTuple


class Found(NamedTuple):
    """One object of a listing; unlike an `ObjectKey` its key may be any that S3 allows.

    A tuple, as a listing makes millions of them: a third of a frozen dataclass's cost.
    """

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime  # UTC
    storage_class: str = ""
