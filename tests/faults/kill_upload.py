"""Completes or aborts an upload and kills itself at one point on the way: run by `test_uploads.py` as a process."""

import asyncio
import sys

from killing import kill_at, local_plane

from mediaplane.access import registration, verification
from mediaplane.access.direct import DirectUploads
from mediaplane.access.principals import LOCAL
from mediaplane.access.wishes import Wish
from mediaplane.catalog import direct_uploads
from mediaplane.storage.local_intake import LocalIntake

# the function that is never begun, or (`after_…`) never returns to its caller
POINTS = {
    "begin": (LocalIntake, "begin"),
    "join": (LocalIntake, "join"),
    "after_join": (LocalIntake, "join"),
    "look": (verification, "_look"),
    "register": (registration, "register_all"),
    "after_register": (registration, "register_all"),
    "withdraw": (LocalIntake, "abort"),
    "after_withdraw": (LocalIntake, "abort"),
}


async def main(dsn: str, state_dir: str, point: str, upload_id: str) -> None:
    async with local_plane(dsn, state_dir) as plane:
        uploads: DirectUploads = plane.direct_uploads(plane.pool.connection)
        kill_at(POINTS, point)
        if point == "begin":
            await uploads.begin(LOCAL, Wish("killed.mp4", "video/mp4", 1 << 20, direct_uploads.PARTS))
            return
        if "withdraw" in point:
            await uploads.abort(await uploads.get(LOCAL, upload_id))
        else:
            await uploads.complete(LOCAL, upload_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
