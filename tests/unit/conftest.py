"""Unit tests reach no network: a connection to anything but a Unix socket is an error."""

import socket

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse `connect` on every socket that is not a Unix socket."""

    def refuse_connect(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX:
            raise RuntimeError(f"a unit test wants to connect to {address!r}: it belongs into tests/integration")
        return socket.socket.__base__.connect(self, address)

    def refuse_connect_ex(self: socket.socket, address: object) -> int:
        refuse_connect(self, address)
        return 0

    monkeypatch.setattr(socket.socket, "connect", refuse_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse_connect_ex)
