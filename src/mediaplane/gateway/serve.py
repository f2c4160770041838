"""Running the gateway: a socket, uvicorn on it, and a clean end."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from mediaplane.errors import ServiceFailed
from mediaplane.gateway.app import create_app
from mediaplane.gateway.edge import Edge
from mediaplane.gateway.protocol import EdgeProtocol
from mediaplane.logs import Logger
from mediaplane.postgres import GATEWAY_ROLE, admit_gateway
from mediaplane.wiring import Plane

log = Logger(__name__)

GRACE_SECONDS = 5  # a player asks again for what was cut off
# A request makes and frees thousands of objects and leaves few in cycles: looking after every 700 took 8% of the time.
GC_THRESHOLDS = (20_000, 20, 50)
KEEP_ALIVE_SECONDS = 30  # players ask for a segment every six seconds


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one, `getsockname()[1]` tells which.

    Bound before anything is built, so that URLs made meanwhile can name the port.

    Raises:
        ServiceFailed: the address is taken or not ours.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise ServiceFailed(f"the gateway cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ServiceFailed(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}; set MEDIAPLANE_PORT to another port, or 0"
        ) from error
    listener.setblocking(False)  # noqa: FBT003 the standard library's own
    return listener


async def serve(
    plane: Plane,
    host: str,
    port: int,
    stop: asyncio.Event,
    on_ready: Callable[[int], None] = lambda _port: None,
    *,
    listener: socket.socket | None = None,
) -> None:
    """Answer requests until `stop` is set, then finish those under way for a few seconds.

    `on_ready` is told the port once connections are accepted; a `listener` from `listen` replaces host and port.

    Raises:
        ServiceFailed: the address is taken, or accounts are on and the database cannot keep them apart.
        SettingInvalid: what tokens are checked with does not fit together.
    """
    app = create_app(plane, role=await _gateway_role(plane))
    gc.freeze()  # modules, routes and schemas stay: looking through them again and again only makes requests wait
    gc.set_threshold(*GC_THRESHOLDS)
    opened = listener or listen(host, port)
    bound_port = int(opened.getsockname()[1])
    edge: Edge = app.state.edge
    server = _Server(_config(plane, app), on_started=lambda: on_ready(bound_port))
    edge.feed.start()
    running = asyncio.create_task(server.serve(sockets=[opened]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        edge.is_stopping = True  # whoever balances the load looks at /readyz and sends requests elsewhere
        if not running.done():
            await asyncio.sleep(plane.settings.drain_seconds)
    finally:
        stopping.cancel()
        await edge.stop()
        server.should_exit = True
        await running
        opened.close()


async def _gateway_role(plane: Plane) -> str:
    """Return as whom the gateway asks the database; without accounts there is one owner, so it may be anybody."""
    async with plane.pool.connection() as conn:
        missing = await admit_gateway(conn)
    if not missing:
        return GATEWAY_ROLE
    if plane.settings.auth:
        raise ServiceFailed(f"MEDIAPLANE_AUTH is on and the database does not keep accounts apart: {missing}")
    log.warning("row-level security is off", problem=missing)
    return ""


def _config(plane: Plane, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=EdgeProtocol,
        loop="none",  # the caller's loop
        ws="none",
        lifespan="off",
        access_log=False,  # ours leaves the query out
        log_config=None,
        proxy_headers=bool(plane.settings.proxies),  # nobody else may say for whom they ask
        forwarded_allow_ips=list(plane.settings.proxies),
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, for the caller decides when to stop; says when it has begun."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
