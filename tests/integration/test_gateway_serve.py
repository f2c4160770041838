"""Running the gateway: its port, its end, and its hands off other people's signal handlers."""

import asyncio
import signal
import socket
from contextlib import closing

import httpx
import pytest

from mediaplane.errors import ServiceFailed
from mediaplane.gateway.serve import listen
from tests.services.gateway import running_gateway


def test_listen_on_a_taken_port():
    """A port that is taken is a clear error that names the setting."""
    with closing(listen("127.0.0.1", 0)) as first, pytest.raises(ServiceFailed, match="MEDIAPLANE_PORT"):
        listen("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listen_on_a_free_port(host):
    """Port 0 takes a free one, on every loopback name that the settings allow."""
    try:
        listener = listen(host, 0)
    except ServiceFailed:
        assert host == "::1"
        pytest.skip("this machine has no IPv6 loopback")
    with closing(listener):
        assert listener.getsockname()[1] > 0


async def test_serve_until_stopped(dsn, tmp_path):
    """It leaves signals to its caller, ends in time though clients keep connections open, and frees the port."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        async with running_gateway(dsn, tmp_path, {"STORAGE_MODE": "local"}) as running:
            assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
            assert (await client.get(f"{running.url}/healthz")).status_code == 200
            port = int(running.url.rsplit(":", 1)[1])
            idle = socket.create_connection(("127.0.0.1", port))
        idle.close()
    listen("127.0.0.1", port).close()
