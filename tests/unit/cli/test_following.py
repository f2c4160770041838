"""Following what workers do."""

from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import pytest

from mediaplane.cli import following
from mediaplane.cli.following import follow
from mediaplane.errors import DatabaseUnavailable


@dataclass(frozen=True)
class Seen:
    status: str


class Pool:
    """Lends nothing, or fails, as it is told to."""

    def __init__(self, *turns: Exception | None) -> None:
        self._turns = list(turns)

    @asynccontextmanager
    async def connection(self):
        turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        if turn is not None:
            raise turn
        yield None


async def test_end_is_found_behind_an_outage():
    """A database that is away for a moment is asked again; both ends are ends."""
    statuses = ["processing", "failed"]

    async def look(_) -> Seen:
        return Seen(statuses.pop(0))

    pool = Pool(None, psycopg.OperationalError("away"), DatabaseUnavailable("away"), None)
    assert await follow(pool, look, again="later", poll_seconds=0.001) == Seen("failed")


async def test_long_outage_ends_with_what_to_do(monkeypatch):
    """Nobody waits for ever."""
    monkeypatch.setattr(following, "AWAY_SECONDS", 0.05)

    async def look(_) -> Seen:
        raise AssertionError

    with pytest.raises(DatabaseUnavailable, match="mediaplane show a1"):
        await follow(Pool(psycopg.OperationalError("away")), look, again="mediaplane show a1", poll_seconds=0.001)
