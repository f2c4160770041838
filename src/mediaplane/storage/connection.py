"""One kept connection to an HTTP/1.1 server, written as steps that wait.

A step is a generator. It yields what it waits for, and whoever drives it (`wait_for`, or the loop of a bulk transfer)
resumes it: so the same code serves one blocking request and a hundred transfers on one thread.

Left out on purpose: HTTP/2, pipelining, compression: S3 servers offer none of them that pays.
"""

import os
import select
import socket
import ssl
import sys
import time
from base64 import b64encode
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

READ, WRITE = select.POLLIN, select.POLLOUT  # the same numbers as epoll's
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0  # an answer, or the next `PROGRESS_BYTES` of one, take no longer
PROGRESS_BYTES = 16 << 10
RECEIVE_BYTES = 64 << 10
_RESOLVED_SECONDS = 30.0

T = TypeVar("T")
_Place = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]  # what getaddrinfo returns


class ConnectionLost(OSError):
    """The other side went away, fell silent, or does not speak HTTP."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    permission: str = ""  # a header line for its user and password


@dataclass(frozen=True, slots=True)
class Address:
    """Where a site is reached: the host that is asked, directly or through a proxy."""

    scheme: str
    host: str
    port: int
    ca_file: str = ""
    proxy: "Proxy | None" = None

    @property
    def authority(self) -> str:
        """Return `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Connection:
    """A socket that never blocks, what has come but is not read yet, and what its step waits for."""

    __slots__ = ("_socket", "address", "buffer", "deadline", "descriptor", "direct", "heard", "secure", "used", "wants")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.secure = False
        self.direct = True  # False: a proxy wants whole URLs in requests
        self.buffer = b""
        self.used = 0  # answers so far
        self.heard = False  # something of the current answer has come
        self.wants = READ
        self.deadline = 0.0  # monotonic; a step that waits longer fails
        self.descriptor = -1
        self._socket: socket.socket | None = None

    def open(self) -> "Steps[None]":
        """Connect, through the address's proxy where it has one, and begin TLS.

        Raises:
            OSError: not reached, refused, or not trusted.
        """
        proxy = self.address.proxy
        yield from self._connect(proxy or self.address)
        if proxy and self.address.scheme == "https":
            yield from self._tunnel(proxy)
        self.direct = not proxy or self.address.scheme == "https"
        if self.address.scheme == "https":
            yield from self._begin_tls()

    def _connect(self, reached: "Address | Proxy") -> "Steps[None]":
        found = _resolve(reached.host, reached.port, int(time.monotonic() / _RESOLVED_SECONDS))
        problem: OSError = ConnectionLost(f"{reached.host} has no address")
        for family, kind, protocol, _, place in found:
            try:
                yield from self._connect_to(socket.socket(family, kind, protocol), place)
            except OSError as error:
                problem = error
                self.close()
            else:
                return
        raise problem

    def _connect_to(self, opened: socket.socket, place: tuple[object, ...]) -> "Steps[None]":
        self._take(opened)
        opened.settimeout(0)  # never blocks
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.deadline = time.monotonic() + CONNECT_SECONDS
        try:
            opened.connect(place)
        except BlockingIOError:
            yield from self.wait(WRITE)
        if problem := opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))

    def _take(self, opened: socket.socket) -> None:
        self._socket, self.descriptor = opened, opened.fileno()

    def _tunnel(self, proxy: "Proxy") -> "Steps[None]":
        authority = self.address.authority
        yield from self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{proxy.permission}\r\n".encode())
        head = yield from self.read_head()
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise ConnectionLost(f"the proxy {proxy.host}:{proxy.port} answered {head[9:40].decode('latin-1')!r}")

    def _begin_tls(self) -> "Steps[None]":
        assert self._socket
        secured = _trust(self.address.ca_file).wrap_socket(
            self._socket, server_hostname=self.address.host, do_handshake_on_connect=False
        )
        self._take(secured)
        self.deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                yield from self.wait(READ)
            except ssl.SSLWantWriteError:
                yield from self.wait(WRITE)
            else:
                self.secure = True
                return

    def wait(self, wants: int) -> "Steps[None]":
        """Wait until the socket can be read or written.

        Raises:
            TimeoutError: the deadline has passed.
        """
        self.wants = wants
        yield self
        if self.deadline and time.monotonic() > self.deadline:
            raise TimeoutError("timed out")

    def send(self, data: bytes | memoryview) -> "Steps[None]":
        """Send all of it."""
        yield from self.send_rest(self.try_send(data), data)

    def try_send(self, data: bytes | memoryview, more: bytes | memoryview = b"") -> int:
        """Send what the socket takes at once, of both together, and return how much that was."""
        assert self._socket
        try:
            if not self.secure:
                return self._socket.sendmsg((data, more) if more else (data,))
            return self._socket.send(b"".join((data, more)) if more else data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def send_rest(self, sent: int, data: bytes | memoryview, more: bytes | memoryview = b"") -> "Steps[None]":
        """Send what `try_send` has not."""
        rest = memoryview(b"".join((data, more)))[sent:]
        while rest:
            yield from self.wait(WRITE)
            if sent := self.try_send(rest[: 256 << 10]):
                self.deadline = time.monotonic() + IDLE_SECONDS
                rest = rest[sent:]

    def send_file(self, file: int, offset: int, count: int) -> "Steps[None]":
        """Send `count` bytes of an open file, without a copy in this process where the connection allows it.

        Raises:
            EOFError: the file ends before that.
        """
        while count:
            if self.secure:
                block = os.pread(file, min(count, 256 << 10), offset)
                yield from self.send(block)
                sent = len(block)
            else:
                try:
                    sent = os.sendfile(self.descriptor, file, offset, min(count, 4 << 20))
                except BlockingIOError:
                    yield from self.wait(WRITE)
                    continue
            if not sent:
                raise EOFError("the file became shorter while it was read")
            self.deadline = time.monotonic() + IDLE_SECONDS
            offset, count = offset + sent, count - sent

    def receive(self) -> "Steps[bytes]":
        """Return the next bytes.

        Raises:
            ConnectionLost: the other side has closed.
        """
        assert self._socket
        if not self.secure:
            yield from self.wait(READ)
        while True:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield from self.wait(READ)
            except ssl.SSLWantWriteError:
                yield from self.wait(WRITE)
            else:
                if not data:
                    raise ConnectionLost("the store closed the connection early")
                return data

    def receive_into(self, space: memoryview) -> "Steps[int]":
        """Return how many bytes have come into `space`, at least one; see `receive`."""
        assert self._socket
        if not self.secure:
            yield from self.wait(READ)
        while True:
            try:
                count = self._socket.recv_into(space)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield from self.wait(READ)
            except ssl.SSLWantWriteError:
                yield from self.wait(WRITE)
            else:
                if not count:
                    raise ConnectionLost("the store closed the connection early")
                return count

    def read_head(self) -> "Steps[bytes]":
        """Return an answer's status line and headers, as they came; what follows stays in `buffer`.

        Raises:
            ConnectionLost: closed, or what comes is no HTTP.
        """
        data = self.buffer or (yield from self.receive())
        self.heard = True
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > 256 << 10 or not data.startswith(b"HTTP/1."[: len(data)]):
                raise ConnectionLost("what answers does not speak HTTP")
            data += yield from self.receive()
        if not data.startswith(b"HTTP/1."):
            raise ConnectionLost("what answers does not speak HTTP")
        self.buffer = data[end + 4 :]
        return data[: end + 2]

    def is_quiet(self) -> bool:
        """Tell whether nothing has come that nobody asked for: neither the end nor a late answer."""
        if self.buffer:
            return False
        poll = select.poll()
        poll.register(self.descriptor, READ)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket; twice is no error."""
        if self._socket is not None:
            self._socket.close()
            self._socket, self.descriptor = None, -1


Wait = Connection | float | None  # a socket, seconds, or just a turn of the others
Steps = Generator[Wait, None, T]


def wait_for(steps: Steps[T]) -> T:
    """Return what the steps return, waiting in this thread."""
    try:
        while True:
            waits = next(steps)
            if isinstance(waits, Connection):
                poll = select.poll()
                poll.register(waits.descriptor, waits.wants)
                poll.poll(max(0.0, waits.deadline - time.monotonic()) * 1000 + 1)
            elif waits is not None:
                time.sleep(waits)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


@lru_cache(maxsize=64)
def _resolve(host: str, port: int, _moment: int) -> Sequence[_Place]:
    """Return a host's addresses; kept for a while, as a hundred connections are opened in a row, on one thread."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def find_proxy(scheme: str, host: str) -> Proxy | None:
    """Return the proxy that the environment names for a host now: http_proxy, https_proxy, no_proxy."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # brings http.client and email: 15 ms that a script would wait

    url = getproxies().get(scheme)
    if not url or proxy_bypass(host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    permission = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        permission = f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
    return Proxy(parts.hostname or "", parts.port or 8080, permission)


@cache
def _trust(ca_file: str) -> ssl.SSLContext:
    """Return the system's authorities and those of `ca_file`: one context, so that sessions are shared."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
