"""`up`, `serve`, `worker`: the processes of a plane."""

import asyncio
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import typer
import uvloop

from mediaplane.cancellation import end_tasks
from mediaplane.catalog import views
from mediaplane.cli.output import console, notes
from mediaplane.cli.supervisor import POLL_SECONDS, Supervisor
from mediaplane.embedded import running
from mediaplane.errors import ServiceFailed, StorageError
from mediaplane.logs import Logger, set_up_logging
from mediaplane.media.ids import new_id
from mediaplane.postgres import connect, migrate
from mediaplane.servers import Services, describe_running, open_services, prepare_buckets
from mediaplane.settings import Settings, load_settings
from mediaplane.storage.connectivity import find_unusable
from mediaplane.wiring import open_plane

log = Logger(__name__)
READY_SECONDS = 60.0
SERVERS_SECONDS = 2.0


def up(
    port: int = typer.Option(
        -1, "--port", help="Port of the gateway, 0 for any free one [env MEDIAPLANE_PORT; default 8420]"
    ),
    workers: int = typer.Option(0, "--workers", help="How many worker processes [env MEDIAPLANE_WORKERS; default 1]"),
) -> None:
    """Run everything here: PostgreSQL, object store, gateway and worker, until Ctrl-C."""
    settings = load_settings()
    with running.only_one(settings.state_dir), _stop_signals() as stop:
        notes.print("starting PostgreSQL and the object store …")
        with open_services(settings) as services:
            found = services.settings
            prepare(found)
            chosen_port = _choose_port(found, settings.gateway_port if port < 0 else port)
            url = settings.public_url or settings.local_url(chosen_port)
            children = Supervisor(_environment(url, chosen_port), settings.state_dir / "logs")
            try:
                children.start("gateway", "serve")
                for number in range(workers or settings.workers):
                    children.start(f"worker-{number + 1}", "worker")
                _wait_until_ready(children, settings.local_url(chosen_port))
                running.announce(settings.state_dir, describe_running(found, url))
                console.print(f"mediaplane is up: {url}  (state in {settings.state_dir}; Ctrl-C stops it)")
                _watch(children, services, stop)
            finally:
                notes.print("stopping …")
                children.stop()


def serve() -> None:
    """Run the gateway alone."""
    from mediaplane.gateway.serve import serve as serve_gateway  # FastAPI is slow to import; other commands do without

    set_up_logging()

    async def run(settings: Settings) -> None:
        stop = _stop_event()
        _check_stores(settings)
        async with open_plane(settings) as plane:
            await serve_gateway(plane, settings.gateway_host, settings.gateway_port, stop)

    with open_services(load_settings(role="gateway")) as services:
        _run(run(services.settings))


def worker(
    name: str = typer.Option("", "--name", help="Name in logs and in `show`; host and process where none"),
) -> None:
    """Run a worker alone; as many as you like may share one database."""
    from mediaplane.jobs import worker as jobs
    from mediaplane.rounds import all_rounds

    set_up_logging()

    async def run(settings: Settings) -> None:
        stop = _stop_event()
        _check_stores(settings)
        slots = settings.worker_slots or os.cpu_count() or 1
        async with open_plane(settings, max_connections=slots * 2 + 4) as plane:
            await jobs.work(
                settings.database_url,
                stages=plane.stages(),
                after=plane.flow.after_run,
                periodic=all_rounds(plane),
                slots=slots,
                lease=timedelta(seconds=settings.lease_seconds),
                retry_waits=settings.retry_waits,
                worker_name=name or f"{socket.gethostname()}-{os.getpid()}-{new_id()[:4]}",
                stop=stop,
            )

    with open_services(load_settings(role="worker")) as services:
        _run(run(services.settings))


def _check_stores(settings: Settings) -> None:
    """Say in a line each what is wrong with a store; only what may pass by itself is waited for.

    Raises:
        StorageError: a store that is written to cannot be used, and that will not change by itself.
    """
    for store, problem in find_unusable(settings).items():
        log.warning("store_unusable", store=store, problem=problem.message)
        if not problem.retryable and settings.storage_mode != "local":
            raise StorageError(f"store {store}: {problem.message}", retryable=False)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_alone_at_the_end(work))


async def _alone_at_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work and end what goes on beside it: the runner would ask once, and wait."""
    try:
        await work
    finally:
        await end_tasks(*asyncio.all_tasks() - {asyncio.current_task()})


def prepare(settings: Settings) -> None:
    """Bring schema and bucket up to date."""
    asyncio.run(_prepare_database(settings))
    for remark in prepare_buckets(settings):
        notes.print(remark, style="yellow")


async def _prepare_database(settings: Settings) -> None:
    for name in await migrate(settings.database_url):
        notes.print(f"migrated {name}")
    async with await connect(settings.database_url) as conn:
        await views.install(conn, settings.views)


def _environment(url: str, port: int) -> dict[str, str]:
    return {**os.environ, "MEDIAPLANE_PUBLIC_URL": url, "MEDIAPLANE_PORT": str(port)}


def _choose_port(settings: Settings, wanted: int) -> int:
    """Return a port that is free now.

    Raises:
        ServiceFailed: the wanted one is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in settings.gateway_host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.gateway_host, wanted))
        except OSError as error:
            raise ServiceFailed(
                f"port {wanted} is taken ({error.strerror}): choose another with --port, or --port 0"
            ) from error
        return int(probe.getsockname()[1])


def _wait_until_ready(children: Supervisor, url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        children.require("gateway")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 -- our own gateway
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS / 2)
    raise ServiceFailed(f"the gateway did not become ready within {READY_SECONDS:.0f} s: see gateway.log")


def _watch(children: Supervisor, services: Services, stop: list[int]) -> None:
    looked_at = 0.0
    while not stop:
        if time.monotonic() - looked_at > SERVERS_SECONDS:
            for name in services.revive():
                notes.print(f"{name} had died and was started again", style="yellow")
            looked_at = time.monotonic()
        for name in children.restart_dead():
            notes.print(f"{name} had died and was started again: see {children.log_dir}/{name}.log", style="yellow")
        time.sleep(POLL_SECONDS)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Give a list that is filled by SIGINT or SIGTERM, so that a stop during the start waits until it can be clean."""
    received: list[int] = []

    def take(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt  # asked twice: now
        received.append(number)

    previous = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
