"""A forward proxy on loopback that knows where `*.localhost` lives.

glibc does not resolve `bucket.s3.localhost`, and only root may write /etc/hosts. Every client (obstore, boto3, httpx,
ffmpeg) asks a proxy from the environment to resolve names, so virtual-host style is tested with the real `Host`
header, certificate and signature, as a normal user. It refuses every name outside `.localhost`.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_SIZE = 1 << 16


@contextlib.contextmanager
def localhost_proxy() -> Iterator[str]:
    """Run the proxy in threads and yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError, ValueError):
        head = _read_head(client)
        method, target, version = head.split(b"\r\n", 1)[0].decode().split(" ")
        address = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if not (address.hostname or "").endswith("localhost"):
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", address.port or 80)) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(_origin_form(head, method, target, version))
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _read_head(client: socket.socket) -> bytes:
    """Return what came up to the end of the headers, with the beginning of the body that may follow."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(_SIZE)
        if not more:
            raise ValueError("closed before the request was complete")
        head += more
    return head


def _origin_form(head: bytes, method: str, target: str, version: str) -> bytes:
    """Rewrite the request line, and ask for one request per connection: later ones would need rewriting too."""
    path = target.split("/", 3)[3] if target.count("/") >= 3 else ""
    headers, body = head.split(b"\r\n\r\n", 1)
    kept = [
        line
        for line in headers.split(b"\r\n")[1:]
        if not line.lower().startswith((b"connection:", b"proxy-connection:"))
    ]
    first = f"{method} /{path} {version}".encode()
    return b"\r\n".join([first, *kept, b"Connection: close", b"", body])


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_SIZE):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
