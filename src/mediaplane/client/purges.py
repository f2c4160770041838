"""Purges for `Client`: `media.purges`, removal for good with a receipt."""

import time
from datetime import datetime
from typing import Any
from urllib.parse import quote

from mediaplane.client.models import Model
from mediaplane.client.transport import Transport

POLL_SECONDS = 1.0


class Purge(Model):
    """A removal for good; the receipt, once its state is `done`."""

    purge_id: str
    owner: str
    team: str
    asset_id: str | None = None
    state: str
    problem: str | None = None
    requested_by: dict[str, Any]
    requested_at: datetime
    rows_deleted: dict[str, int]
    objects: int
    size_bytes: int
    left_over: int
    unproven: int
    stores: list[str]
    prefixes: list[str]
    keys_digest: str | None = None
    watched_until: datetime | None = None
    receipt_digest: str | None = None
    finished_at: datetime | None = None


class Purges:
    """Removes an asset, or all that an owner has, and says when nothing is left."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def asset(self, asset_id: str) -> Purge:
        """Begin to remove an asset for good."""
        return Purge.model_validate(self._transport.ask("POST", f"/v1/assets/{quote(asset_id, safe='')}/purge"))

    def owner(self, owner: str | None = None, *, team: str | None = None) -> Purge:
        """Begin to remove all that one has, or, for operators, that another owner has."""
        return Purge.model_validate(self._transport.ask("POST", "/v1/purges", body={"owner": owner, "team": team}))

    def get(self, purge_id: str) -> Purge:
        """Return a purge: how far it is, or its receipt."""
        return Purge.model_validate(self._transport.ask("GET", f"/v1/purges/{quote(purge_id, safe='')}"))

    def wait(self, purge_id: str, *, seconds: float = 3600) -> Purge:
        """Wait until a purge is done and return its receipt.

        Raises:
            TimeoutError: it took longer.
        """
        until = time.monotonic() + seconds
        while (found := self.get(purge_id)).state != "done":
            if time.monotonic() >= until:
                raise TimeoutError(f"the purge {purge_id} is not done yet: {found.problem}")
            time.sleep(POLL_SECONDS)
        return found
