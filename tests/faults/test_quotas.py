"""A process that is killed while it reserves holds what its rows say, and nothing for ever."""

from datetime import timedelta
from pathlib import Path

import pytest

from mediaplane.access.principals import LOCAL
from mediaplane.access.wishes import Wish
from mediaplane.catalog import usage
from mediaplane.catalog.direct_uploads import PUT
from mediaplane.catalog.usage import Account, Usage
from mediaplane.errors import QuotaExceeded
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import sweep_abandoned
from mediaplane.wiring import Plane
from tests.faults.killing import local_plane, run_killed

KILLER = Path(__file__).with_name("kill_reservation.py")
ME = Account("local", "local")


async def used(plane: Plane) -> Usage:
    async with plane.pool.connection() as conn:
        assert await usage.differences(conn) == []
        return await usage.read(conn, ME)


@pytest.mark.parametrize("point", ["lock", "after_lock", "rows", "after_rows", "committed"])
async def test_killed_while_reserving(dsn, tmp_path, point):
    """Reservation and rows are there together or not at all; what is there, the sweeper frees."""
    await run_killed(KILLER, dsn, tmp_path, point)
    plans = {"free": {"default": True, "stored_bytes": 10_000}}
    async with local_plane(dsn, str(tmp_path), plans=plans) as plane:
        uploads = plane.direct_uploads(plane.pool.connection)
        wish = Wish("next.mp4", "video/mp4", 6000, PUT)
        if point == "committed":
            assert await used(plane) == Usage(reserved_bytes=6000, uploads=1)
            with pytest.raises(QuotaExceeded):
                await uploads.begin(LOCAL, wish)
            intakes = {name: opened.intake for name, opened in plane.stores.items()}
            await sweep_abandoned(plane.pool.connection, intakes, silence=timedelta(0))
            await drain_outbox(plane.pool, {name: opened.store for name, opened in plane.stores.items()})
        assert await used(plane) == Usage()
        await uploads.begin(LOCAL, wish)
