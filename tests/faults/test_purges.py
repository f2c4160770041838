"""Purges whose process is killed: the next one goes on, and the receipt counts everything once."""

import asyncio
from pathlib import Path

import httpx
import pytest

from mediaplane.catalog import purges
from mediaplane.upkeep.deletion import drain_outbox
from tests.faults.killing import run_killed
from tests.services.gateway import running_gateway

KILLER = Path(__file__).with_name("kill_purge.py")


@pytest.mark.parametrize(
    "point", ["end_uploads", "gather", "after_forget_told", "after_note_rows", "waiting", "finish", "after_finish"]
)
async def test_killed_while_purging(dsn, tmp_path, point):
    """Whatever step it was killed at, rows and bytes go, and the receipt is that of a purge in one go."""
    async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as gateway:
        plane = gateway.plane
        stores = {name: opened.store for name, opened in plane.stores.items()}
        await gateway.add_asset("secret", title="a secret title")
        for role, name in (("original", "master.mp4"), ("clip", "clip.mp4")):
            await gateway.put("secret", f"videos/{role}/secret/{name}", b"bytes", role=role, content_type="video/mp4")
        async with httpx.AsyncClient() as client:
            asked = await client.post(f"{gateway.url}/v1/assets/secret/purge")
        purge_id = asked.json()["purge_id"]
        if "finish" in point or point == "waiting":  # those come when the bytes are gone
            await go_on(plane, purge_id)
            await drain_outbox(plane.pool, stores)
        await run_killed(KILLER, dsn, tmp_path, point, purge_id)
        async with asyncio.timeout(30):
            while (receipt := await go_on(plane, purge_id)).state != "done":
                await drain_outbox(plane.pool, stores)
                await asyncio.sleep(0.1)  # the server has to notice that the process is gone, and with it its lock
        assert (receipt.objects, receipt.size_bytes) == (2, 10)
        assert receipt.rows_deleted["assets"] == 1
        assert list(gateway.opened.store.root.rglob("*.mp4")) == []


async def go_on(plane, purge_id):
    async with plane.pool.connection() as conn:
        purge = await purges.get(conn, purge_id)
    return await plane.purging.carry_out(purge)
