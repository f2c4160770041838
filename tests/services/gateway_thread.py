"""The gateway for tests that are not asynchronous: in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.services.gateway import Gateway, running_gateway

Result = TypeVar("Result")


class GatewayThread:
    """A gateway that answers, and the loop in which its parts may be used."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self.gateway = gateway
        self._loop = loop

    def run(self, work: Callable[[Gateway], Awaitable[Result]]) -> Result:
        """Do something with the gateway's parts."""

        async def done() -> Result:
            return await work(self.gateway)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)


@contextmanager
def gateway_in_thread(dsn: str, state_dir: Path, environ: Mapping[str, str]) -> Iterator[GatewayThread]:
    """Serve a plane with these settings until the end of the block."""
    started: Future[GatewayThread] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with running_gateway(dsn, state_dir, environ) as running:
                started.set_result(GatewayThread(running, asyncio.get_running_loop()))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="gateway")
    thread.start()
    try:
        running = started.result(60)
        yield running
        running._loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(60)
