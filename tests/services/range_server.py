"""A web server on loopback that serves a directory by ranges and counts what it sends; it can be made to fail."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

BLOCK_BYTES = 1 << 14


@dataclass
class RangeServer:
    """What the server did, and how it shall fail: close connections at byte `broken_from`, or answer `status`."""

    directory: Path
    url: str = ""
    broken_from: int | None = None
    breaks_left: int | None = None  # how often; None: always
    status: int | None = None
    sent_bytes: int = 0
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    lock: Lock = field(default_factory=Lock)

    def address(self, path: Path | str) -> str:
        """Return the URL of a file in the directory."""
        return f"{self.url}/{Path(path).name}?signature=secret"

    def breaks_at(self, position: int) -> bool:
        """Return whether the connection shall be closed here."""
        with self.lock:
            if self.broken_from is None or position < self.broken_from or self.breaks_left == 0:
                return False
            if self.breaks_left is not None:
                self.breaks_left -= 1
            return True

    def forget(self) -> None:
        """Begin counting anew."""
        with self.lock:
            self.sent_bytes = 0
            self.requests.clear()


@contextmanager
def serve_ranges(directory: Path, tls: ssl.SSLContext | None = None) -> Iterator[RangeServer]:
    """Serve `directory` until the block ends, over HTTPS with `tls`."""
    state = RangeServer(directory)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _serve(self, state, with_body=True)

        def do_HEAD(self) -> None:
            _serve(self, state, with_body=False)

        def log_message(self, *args: Any) -> None:
            """Say nothing: requests are kept in `state`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: clients close connections when they seek."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(handler: BaseHTTPRequestHandler, state: RangeServer, *, with_body: bool) -> None:
    path = state.directory / handler.path.split("?")[0].lstrip("/")
    wanted = handler.headers.get("Range", "")
    with state.lock:
        state.requests.append((handler.command, handler.path, wanted))
    if state.status is not None or not path.is_file():
        _refuse(handler, state.status or 404)
        return
    size = path.stat().st_size
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    start, end = (int(match[1]), min(size, int(match[2] or size) + 1)) if match else (0, size)
    if start >= size:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{size}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if match else 200)
    handler.send_header("Content-Length", str(end - start))
    handler.send_header("Accept-Ranges", "bytes")
    if match:
        handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
    handler.end_headers()
    if with_body:
        _send(handler, state, path, start, end)


def _refuse(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _send(handler: BaseHTTPRequestHandler, state: RangeServer, path: Path, start: int, end: int) -> None:
    with path.open("rb") as file:
        file.seek(start)
        while start < end:
            if state.breaks_at(start):
                handler.close_connection = True
                return
            block = file.read(min(BLOCK_BYTES, end - start))
            try:
                handler.wfile.write(block)
            except (BrokenPipeError, ConnectionResetError):
                handler.close_connection = True
                return
            start += len(block)
            with state.lock:
                state.sent_bytes += len(block)
