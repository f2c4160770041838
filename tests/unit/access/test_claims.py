"""Claims that are renewed while work goes on."""

import asyncio

import pytest

from mediaplane.access import claims
from mediaplane.access.claims import renewed
from mediaplane.errors import DatabaseUnavailable


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(claims, "RENEW_SECONDS", 0.02)


async def test_renewed_until_the_end_of_the_block_and_through_an_outage():
    """One that fails because the database is away is followed by others; after the block comes none."""
    asked, enough = 0, asyncio.Event()

    async def renew() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise DatabaseUnavailable("away")
        if asked == 3:
            enough.set()

    async with renewed(renew):
        await asyncio.wait_for(enough.wait(), 60)
    so_far = asked
    await asyncio.sleep(0.1)
    assert asked == so_far


async def test_short_block_renews_nothing():
    """What ends before it is time asks nobody, and what it raises comes out."""

    async def renew() -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="of its own"):
        async with renewed(renew):
            raise ValueError("of its own")
