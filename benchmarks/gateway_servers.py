"""Servers to measure, each a process of its own: the gateway, and a constant handler under the same server settings."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SETTINGS = {
    "STORAGE_MODE": "local",
    "MEDIAPLANE_SIGNING_KEY": "a key for this benchmark",
    "MEDIAPLANE_RATE_PER_SECOND": "0",
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the processor time it has used so far."""
        used = self.process.cpu_times()
        return float(used.user + used.system)


@contextmanager
def running(kind: str, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run `gateway` or `constant` until the end of the block; its log goes nowhere."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway_servers", kind],
        env={**os.environ, **SETTINGS, **environ},
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("BENCH_LOG") else subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield Server(int(server.stdout.readline()), psutil.Process(server.pid))
    finally:
        server.terminate()
        server.wait(30)


def _serve_gateway() -> None:
    import uvloop

    from mediaplane.cli.services import _stop_event
    from mediaplane.gateway.serve import serve
    from mediaplane.logs import set_up_logging
    from mediaplane.settings import load_settings
    from mediaplane.wiring import open_plane

    set_up_logging(logging.INFO)  # as `mediaplane serve` does: a line a request

    async def run() -> None:
        async with open_plane(load_settings()) as plane:
            await serve(plane, "127.0.0.1", 0, _stop_event(), lambda port: print(port, flush=True))

    uvloop.run(run())


def _serve_constant() -> None:
    import uvicorn
    import uvloop
    from fastapi import FastAPI

    from mediaplane.gateway.protocol import EdgeProtocol
    from mediaplane.gateway.serve import KEEP_ALIVE_SECONDS, listen

    app = FastAPI()

    @app.get("/constant")
    async def constant() -> dict[str, str]:
        return {"status": "ok"}

    config = uvicorn.Config(
        app, http=EdgeProtocol, loop="none", ws="none", lifespan="off", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )  # fmt: skip
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)

    async def run() -> None:
        await asyncio.gather(uvicorn.Server(config).serve(sockets=[listener]))

    uvloop.run(run())


if __name__ == "__main__":
    {"gateway": _serve_gateway, "constant": _serve_constant}[sys.argv[1]]()
