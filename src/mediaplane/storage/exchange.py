"""One request and its answer on one connection: HTTP/1.1 as S3 servers speak it.

Source: RFC 9112 (HTTP/1.1).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from mediaplane.storage.connection import IDLE_SECONDS, PROGRESS_BYTES, Address, Connection, ConnectionLost, Steps

ANSWER_BYTES = 64 << 20  # a longer answer without a sink is no S3 server's


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A part of an open file as a request's body."""

    file: int
    offset: int
    count: int


class Sink(Protocol):
    """Where the body of a good answer goes; `begin` is called again when a request is repeated."""

    space: memoryview  # what is received into

    def begin(self, answer: "Answer") -> None: ...
    def write(self, data: memoryview) -> None: ...


class Brake(Protocol):
    """Says how long to wait so that bytes do not flow faster than they may."""

    def delay(self, count: int) -> float: ...


class Pool(Protocol):
    """Keeps connections between requests."""

    def take(self, address: Address) -> Connection | None: ...
    def give(self, connection: Connection) -> None: ...


@dataclass(slots=True)
class Request:
    """What is asked; `key` empty: of the bucket."""

    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # lower case
    body: bytes | FileSlice = b""
    sink: Sink | None = None
    unsigned: bool = False  # a signed header guards the body, or nothing is to
    brake: Brake | None = None
    patience: float = IDLE_SECONDS  # until the first bytes of the answer


class Answer:
    """Status, headers and, where there was no sink, the body."""

    __slots__ = ("_head", "_lower", "body", "status")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._lower = head.lower()
        self.body = b""
        try:
            self.status = int(head[9:12])
        except ValueError:
            raise ConnectionLost("what answers does not speak HTTP") from None

    def header(self, name: str) -> str:
        """Return the value of a header (its name lower case), empty where it is missing."""
        wanted = _as_sent(name)
        start = self._lower.find(wanted)
        if start < 0:
            return ""
        start += len(wanted)
        return self._head[start : self._head.find(b"\r\n", start)].decode("utf-8", "replace").strip()

    def keeps_connection(self) -> bool:
        """Tell whether the other side will take another request on the connection."""
        said = self.header("connection").lower()
        return said == "keep-alive" if self._lower.startswith(b"http/1.0") else said != "close"

    def headers(self, prefix: str) -> dict[str, str]:
        """Return the headers whose name begins so, by the rest of their names, lower case."""
        pairs = (line.partition(":") for line in self._head.decode("utf-8", "replace").split("\r\n")[1:])
        named = ((name.lower(), value.strip()) for name, _, value in pairs)
        return {name[len(prefix) :]: value for name, value in named if name.startswith(prefix)}


@cache
def _as_sent(name: str) -> bytes:
    return f"\r\n{name}:".encode()


def exchange(connection: Connection, request: Request, head: bytes) -> Steps[tuple[Answer, bool]]:
    """Send a request whose head is `head`; return the answer, and whether the connection can be used again.

    The answer may come before all is sent: a refusal is read even when the server no longer takes the body.

    Raises:
        OSError: the connection was lost, or the other side fell silent.
    """
    body = request.body
    try:
        if isinstance(body, FileSlice):
            yield from connection.send(head)
            yield from _send_slice(connection, body, request.brake)
        else:
            if request.brake and body and (delay := request.brake.delay(len(body))):
                yield delay
                connection.deadline = time.monotonic() + IDLE_SECONDS
            sent = connection.try_send(head, body)
            if sent < len(head) + len(body):
                yield from connection.send_rest(sent, head, body)
    except (ConnectionResetError, BrokenPipeError):
        if connection.used and not isinstance(body, FileSlice):
            raise  # it was closed while it was kept
    if request.patience != IDLE_SECONDS:
        connection.deadline = time.monotonic() + request.patience
    answer = Answer((yield from connection.read_head()))
    while answer.status == 100:
        answer = Answer((yield from connection.read_head()))
    kept = yield from _read_body(connection, request, answer)
    return answer, kept


def _send_slice(connection: Connection, body: FileSlice, brake: Brake | None) -> Steps[None]:
    if brake is None:
        yield from connection.send_file(body.file, body.offset, body.count)
        return
    sent = 0
    while sent < body.count:
        count = min(64 << 10, body.count - sent)
        if delay := brake.delay(count):
            yield delay
        connection.deadline = time.monotonic() + IDLE_SECONDS
        yield from connection.send_file(body.file, body.offset + sent, count)
        sent += count


def _read_body(connection: Connection, request: Request, answer: Answer) -> Steps[bool]:
    """Read the body into the sink or into `answer.body`; return whether the connection can be used again."""
    keeps = answer.keeps_connection()
    if request.method == "HEAD" or answer.status in (204, 304):
        return keeps
    length = answer.header("content-length")
    sink = request.sink if request.sink and answer.status in (200, 206) else None
    if sink:
        sink.begin(answer)
    if "chunked" in answer.header("transfer-encoding").lower():
        yield from _read_chunked(connection, answer, sink)
        return keeps
    if not length.isdigit():
        yield from _read_to_end(connection, answer, sink)
        return False
    if sink:
        yield from _read_into(connection, int(length), sink, request.brake)
    else:
        answer.body = yield from _read_exactly(connection, int(length), request.brake)
    return keeps


def _read_exactly(connection: Connection, count: int, brake: Brake | None = None) -> Steps[bytes]:
    if count > ANSWER_BYTES:
        raise ConnectionLost("the answer is far too long")
    data, progress = connection.buffer, 0
    if len(data) < count:
        pieces, missing = [data], count - len(data)
        while missing > 0:
            piece = yield from connection.receive()
            pieces.append(piece)
            missing -= len(piece)
            progress += len(piece)
            if progress >= PROGRESS_BYTES:
                connection.deadline, progress = time.monotonic() + IDLE_SECONDS, 0
        data = b"".join(pieces)
    if brake and count and (delay := brake.delay(count)):
        yield delay
    connection.buffer = data[count:]
    return data[:count] if connection.buffer else data


def _read_into(connection: Connection, count: int, sink: Sink, brake: Brake | None) -> Steps[None]:
    data, progress = connection.buffer[:count], 0
    connection.buffer = connection.buffer[count:]
    if data:
        sink.write(memoryview(data))
    missing = count - len(data)
    while missing:
        received = yield from connection.receive_into(sink.space[:missing])
        sink.write(sink.space[:received])
        missing -= received
        progress += received
        if progress >= PROGRESS_BYTES:
            connection.deadline, progress = time.monotonic() + IDLE_SECONDS, 0
        if brake and (delay := brake.delay(received)):
            yield delay
            connection.deadline = time.monotonic() + IDLE_SECONDS


def _read_chunked(connection: Connection, answer: Answer, sink: Sink | None) -> Steps[None]:
    """Read a body in HTTP chunks. Source: RFC 9112, 7.1."""
    pieces: list[bytes] = []
    total = 0
    while True:
        line = yield from _read_line(connection)
        try:
            count = int(line.partition(b";")[0], 16)
        except ValueError:
            raise ConnectionLost("the store sent a broken answer") from None
        if not count:
            break
        data = yield from _read_exactly(connection, count)
        connection.deadline = time.monotonic() + IDLE_SECONDS
        yield from _read_exactly(connection, 2)
        total += count
        if sink:
            sink.write(memoryview(data))
        elif total > ANSWER_BYTES:
            raise ConnectionLost("the answer is far too long")
        else:
            pieces.append(data)
    while (yield from _read_line(connection)):
        pass  # trailers
    answer.body = b"".join(pieces)


def _read_line(connection: Connection) -> Steps[bytes]:
    while (end := connection.buffer.find(b"\r\n")) < 0:
        if len(connection.buffer) > 16 << 10:
            raise ConnectionLost("the store sent a broken answer")
        connection.buffer += yield from connection.receive()
    line, connection.buffer = connection.buffer[:end], connection.buffer[end + 2 :]
    return line


def _read_to_end(connection: Connection, answer: Answer, sink: Sink | None) -> Steps[None]:
    """Read a body that ends with the connection: whether it is whole only its length and checksum tell."""
    pieces, total = [connection.buffer], len(connection.buffer)
    connection.buffer = b""
    while True:
        try:
            data = yield from connection.receive()
        except ConnectionLost:
            break
        total += len(data)
        if total > ANSWER_BYTES:
            raise ConnectionLost("the answer is far too long")
        pieces.append(data)
    body = b"".join(pieces)
    if sink:
        sink.write(memoryview(body))
    else:
        answer.body = body
