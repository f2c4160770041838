"""A process that is killed while it reserves holds what its rows say, and nothing for ever."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mediaplane.access.principals import LOCAL
from mediaplane.access.wishes import Wish
from mediaplane.catalog import usage
from mediaplane.catalog.direct_uploads import PUT
from mediaplane.catalog.usage import Account, Usage
from mediaplane.errors import QuotaExceeded
from mediaplane.settings import load_settings
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.upkeep.sweeping import sweep_abandoned
from mediaplane.wiring import Plane, open_plane

KILLER = Path(__file__).with_name("kill_reservation.py")
ROOT = KILLER.parents[2]
ME = Account("local", "local")


async def used(plane: Plane) -> Usage:
    async with plane.pool.connection() as conn:
        assert await usage.differences(conn) == []
        return await usage.read(conn, ME)


@pytest.mark.parametrize("point", ["lock", "after_lock", "rows", "after_rows", "committed"])
async def test_killed_while_reserving(dsn, tmp_path, point):
    """Reservation and rows are there together or not at all; what is there, the sweeper frees."""
    command = [sys.executable, KILLER, dsn, tmp_path, point]
    killed = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=False, timeout=120)
    assert killed.returncode == -9
    environ = {"STORAGE_MODE": "local", "MEDIAPLANE_STATE_DIR": str(tmp_path), "MEDIAPLANE_PUBLIC_URL": "http://x.test"}
    plans = {"free": {"default": True, "stored_bytes": 10_000}}
    settings = replace(load_settings(environ), database_url=dsn, plans=plans)
    async with open_plane(settings) as plane:
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
