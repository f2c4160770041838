"""What the API answers and takes about purges: the shapes that OpenAPI shows."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mediaplane.access.principals import MAX_NAME_CHARS
from mediaplane.gateway.views import View


class PurgeRequest(BaseModel):
    """Whose things are to be removed: one's own where nobody is named; in every team where none is named."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"owner": "user-4711"}]})

    owner: str | None = Field(default=None, min_length=1, max_length=MAX_NAME_CHARS)
    team: str | None = Field(default=None, min_length=1, max_length=MAX_NAME_CHARS)


class PurgeView(View):
    """A purge; once its state is `done` it is the receipt, and `receipt_digest` stands in the audit log.

    Deleted rows are counted by table. `keys_digest` is the SHA-256 of all keys that were removed, as lines `store key
    size` in order. `prefixes` were listed in `stores` and found empty; of `unproven` keys a store that may not be
    listed says neither. Keys that a client's URL could still write are removed once more at `watched_until`.
    """

    purge_id: str
    owner: str
    team: str
    asset_id: str | None
    state: str
    problem: str | None
    requested_by: dict[str, Any]
    requested_at: datetime
    rows_deleted: dict[str, int]
    objects: int
    size_bytes: int
    left_over: int
    unproven: int
    stores: list[str]
    prefixes: list[str]
    keys_digest: str | None
    watched_until: datetime | None
    receipt_digest: str | None
    finished_at: datetime | None


class PurgesPage(View):
    """Purges, newest first; `next` is the `page` of the following request, null on the last page."""

    purges: list[PurgeView]
    next: str | None
