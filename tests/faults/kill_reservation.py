"""Begins uploads within a quota and kills itself at one point on the way: run by `test_quotas.py` as a process."""

import asyncio
import sys

from killing import kill_at, local_plane

from mediaplane.access import direct
from mediaplane.access.principals import LOCAL
from mediaplane.access.wishes import Wish
from mediaplane.catalog import direct_uploads, usage

# the function that is never begun, or (`after_…`) never returns to its caller
POINTS = {
    "lock": (usage, "lock_account"),
    "after_lock": (usage, "lock_account"),
    "rows": (direct_uploads, "open_all"),
    "after_rows": (direct_uploads, "open_all"),
    "committed": (direct.DirectUploads, "_begin_parts"),
}


async def main(dsn: str, state_dir: str, point: str) -> None:
    plans = {"free": {"default": True, "stored_bytes": 10_000}}
    async with local_plane(dsn, state_dir, plans=plans) as plane:
        uploads = plane.direct_uploads(plane.pool.connection)
        kill_at(POINTS, point)
        await uploads.begin(LOCAL, Wish("killed.mp4", "video/mp4", 6000, direct_uploads.PARTS))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
