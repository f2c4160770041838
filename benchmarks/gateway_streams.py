"""1,000 parallel event streams on one gateway: memory more, and processor while nothing happens.

The gateway is a process of its own, on a real PostgreSQL; the clients are plain sockets of this one.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.postgres import connect, migrate

STREAMS = 1000
IDLE_SECONDS = 45.0  # three heartbeats of every stream
READY_SECONDS = 60.0
EVENTS = 20


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres(Path(directory) / "pg") as postgres:
        asyncio.run(migrate(postgres.dsn))
        gateway = _start(postgres.dsn, directory)
        try:
            figures = asyncio.run(_measure(postgres.dsn, psutil.Process(gateway.pid), _port_of(gateway)))
        finally:
            gateway.terminate()
            gateway.wait(30)
    for name, value, unit in figures:
        figure = {"name": name, "value": value, "ours": value, "peer": None, "peer_name": None}
        print(json.dumps({**figure, "unit": unit, "runs": 1}))


def _start(dsn: str, directory: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "DATABASE_URL": dsn,
        "STORAGE_MODE": "local",
        "MEDIAPLANE_STATE_DIR": directory,
        "MEDIAPLANE_SIGNING_KEY": "a key for this benchmark",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway_streams", "serve"], env=environ, stdout=subprocess.PIPE, text=True
    )


def _port_of(gateway: subprocess.Popen[str]) -> int:
    assert gateway.stdout is not None
    return int(gateway.stdout.readline())


def serve() -> None:
    """Be the gateway: print the port, answer until terminated."""
    import logging

    import uvloop

    from mediaplane.cli.services import _stop_event
    from mediaplane.gateway.serve import serve as serve_gateway
    from mediaplane.logs import set_up_logging
    from mediaplane.settings import load_settings
    from mediaplane.wiring import open_plane

    set_up_logging(logging.WARNING)

    async def run() -> None:
        async with open_plane(load_settings()) as plane:
            await serve_gateway(plane, "127.0.0.1", 0, _stop_event(), lambda port: print(port, flush=True))

    uvloop.run(run())


async def _measure(dsn: str, process: psutil.Process, port: int) -> list[tuple[str, float, str]]:
    await _warm_up(port)
    before = process.memory_full_info().uss
    streams = [await _open(port) for _ in range(STREAMS)]
    await asyncio.sleep(2)
    used, began = process.cpu_times(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    spent = process.cpu_times()
    seconds = spent.user - used.user + spent.system - used.system
    idle_percent = 100 * seconds / (time.monotonic() - began)
    told_ms = await _tell_all(dsn, streams)
    more_mb = (process.memory_full_info().uss - before) / 1e6
    for _, writer in streams:
        writer.close()
    return [
        ("streams_mb", round(more_mb, 1), f"MB more for {STREAMS} streams"),
        ("streams_cpu", round(idle_percent, 2), f"% of one core, {STREAMS} streams, nothing happening"),
        ("streams_told_ms", round(told_ms, 1), f"ms from a row's commit until all {STREAMS} have it, mean"),
    ]


async def _warm_up(port: int) -> None:
    for _ in range(20):
        _, writer = await _open(port)
        writer.close()
    await asyncio.sleep(1)


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    await reader.readuntil(b"event: snapshot\n")
    return reader, writer


async def _tell_all(dsn: str, streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> float:
    taken = []
    async with await connect(dsn) as conn:
        for number in range(EVENTS):
            asset_id = f"bench-{number}"
            await conn.execute(
                "INSERT INTO assets (asset_id, owner, team, status) VALUES (%s, 'local', 'local', 'ready')", [asset_id]
            )
            began = time.monotonic()
            await asyncio.gather(*(reader.readuntil(f'"asset_id":"{asset_id}"'.encode()) for reader, _ in streams))
            taken.append((time.monotonic() - began) * 1000)
    return sum(taken) / len(taken)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main()
