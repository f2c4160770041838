"""The servers of `make bench-transfer`: the stand-in in memory, SeaweedFS and Ceph RGW; all on loopback."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.transfer_tools import BUCKET
from tests.services import s3 as services
from tests.services.rgw import Rgw, end_with_parent, free_port, missing_binaries, stop_process

SOURCE = Path(__file__).with_name("s3hole.c")
BUILT = Path(".services/s3hole")


@dataclass(frozen=True)
class Server:
    """Where a server listens, and its keys."""

    url: str
    access_key: str = "AKID"
    secret_key: str = "secret"


def build_stand_in() -> Path:
    """Compile the stand-in where it is missing or older than its source."""
    if not BUILT.exists() or BUILT.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILT.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-o", BUILT, SOURCE, "-lm"], check=True)
    return BUILT


@contextmanager
def stand_in(latency_ms: int = 0, kept_bytes: int = 64 << 20) -> Iterator[Server]:
    """Run the stand-in while the block lasts; of a body above `kept_bytes` it keeps the length, and sends `pattern`."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "LATENCY_US": str(latency_ms * 1000), "KEEP_MAX": str(kept_bytes)}
    process = subprocess.Popen(
        [build_stand_in().resolve()],
        env=environment,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    try:
        _wait(port)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the stand-in did not start")


def pattern() -> bytes:
    """Return the 4 MiB that the stand-in sends again and again for a body it did not keep."""
    return bytes([(number * 2654435761 >> 13) & 0xFF for number in range(4 << 20)])


@contextmanager
def seaweed() -> Iterator[Server]:
    """Run SeaweedFS as the tests do."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = services.make_certificate(root)
        ports = {free_port() for _ in range(20)}
        server = services._server("seaweed", ports.pop(), ports.pop(), certificate)  # noqa: SLF001
        weed = services.shutil.which(
            "weed", path=f"{Path(services.sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        process = services._start_seaweed(str(weed), root, server, certificate, ports)  # noqa: SLF001
        stack.callback(stop_process, process, seconds=0.5)
        services._wait_for_seaweed(process, server, root)  # noqa: SLF001
        server.client().create_bucket(Bucket=BUCKET)
        yield Server(server.http_endpoint, server.access_key, server.secret_key)


@contextmanager
def rgw() -> Iterator[Server | None]:
    """Run Ceph RGW as the tests do; None where it is not installed."""
    if missing_binaries():
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        certificate = services.make_certificate(root)
        ports = (free_port(), free_port())
        server = services._server("rgw", *ports, certificate)  # noqa: SLF001
        users = {"owner": (server.access_key, server.secret_key)}
        cluster = Rgw(root, certificate.certificate, certificate.private_key, services.DOMAIN, users, *ports)
        try:
            cluster.start()
            server.client().create_bucket(Bucket=BUCKET)
            yield Server(server.http_endpoint, server.access_key, server.secret_key)
        finally:
            cluster.stop()
