"""Carries out a purge and kills itself at one point on the way: run by `test_purges.py` as a process."""

import asyncio
import sys

from killing import kill_at, local_plane

from mediaplane.catalog import purges

# the function that is never begun, or (`after_…`) never returns to its caller
POINTS = {
    "end_uploads": (purges, "end_uploads"),
    "gather": (purges, "gather"),
    "after_forget_told": (purges, "forget_told"),
    "after_note_rows": (purges, "note_rows"),
    "waiting": (purges, "waiting"),
    "finish": (purges, "finish"),
    "after_finish": (purges, "finish"),
}


async def main(dsn: str, state_dir: str, point: str, purge_id: str) -> None:
    async with local_plane(dsn, state_dir) as plane:
        async with plane.pool.connection() as conn:
            purge = await purges.get(conn, purge_id)
        kill_at(POINTS, point)
        await plane.purging.carry_out(purge)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
