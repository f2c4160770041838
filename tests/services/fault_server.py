"""An S3 server on loopback that fails on cue: `MemoryS3` behind HTTP, and faults that happen instead or on the way.

    with fault_server("bucket") as server:
        server.fail("GetObject", Status(503, "SlowDown", retry_after=1), times=2)
        server.fail("PutObject", CorruptBody(), key="videos/.*")

Each fault takes requests that match until it has happened `times` times; the first one told that matches happens.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# ruff: noqa: ARG002 -- faults are all called alike
from random import Random
from typing import Any

from mediaplane.storage.endpoint import S3Endpoint
from tests.services.memory_s3 import Answer, MemoryS3, Request, error, parse_target

ACCESS_KEY, SECRET_KEY = "fault-access-key", "fault-secret-key"
ALWAYS = 1 << 30


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; subclasses say what they change."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        """Return the answer; `Broken` makes the handler cut it."""
        return s3.answer(request)


@dataclass(frozen=True)
class Broken(Fault):
    """The connection ends: at once, or after a share of the answer; `done` first does what was asked."""

    share: float = -1.0  # of the answer's body that is sent; below 0 nothing at all
    reset: bool = True  # RST; else an orderly end
    done: bool = True

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        return s3.answer(request) if self.done else Answer()


@dataclass(frozen=True)
class Status(Fault):
    """An error answer; nothing is done."""

    status: int
    code: str = ""
    retry_after: int | None = None

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return error(self.status, self.code or "InternalError", **headers)


@dataclass(frozen=True)
class Redirect(Fault):
    """Another region, as S3 says it."""

    status: int = 301
    region: str = "eu-central-1"
    location: str = ""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        code = "PermanentRedirect" if self.status == 301 else "TemporaryRedirect"
        answer = error(self.status, code, **{"x-amz-bucket-region": self.region})
        if self.location:
            answer.headers["Location"] = self.location
        return answer


@dataclass(frozen=True)
class ErrorIn200(Fault):
    """200 OK, white space that keeps the connection alive, then an error: CopyObject, CompleteMultipartUpload."""

    code: str = "InternalError"

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        refused = error(500, self.code)
        return replace(refused, status=200, body=b"\n \n" + refused.body)


@dataclass(frozen=True)
class CorruptBody(Fault):
    """One byte is another one: of what is read, or of what is stored."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        if request.method == "PUT" and request.body:
            digests = ("content-md5", "x-amz-checksum", "x-amz-content-sha256")
            headers = {name: value for name, value in request.headers.items() if not name.startswith(digests)}
            return s3.answer(replace(request, body=_flipped(request.body), headers=headers))
        answer = s3.answer(request)
        return replace(answer, body=_flipped(answer.body)) if answer.status < 300 else answer


@dataclass(frozen=True)
class ShortBody(Fault):
    """The body is shorter than the object, and Content-Length agrees with it: nothing on the wire looks wrong."""

    missing: int = 1

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        if request.method == "PUT":
            digests = ("content-md5", "x-amz-checksum", "x-amz-content-sha256")
            headers = {name: value for name, value in request.headers.items() if not name.startswith(digests)}
            return s3.answer(replace(request, body=request.body[: -self.missing], headers=headers))
        answer = s3.answer(request)
        return replace(answer, body=answer.body[: -self.missing])


@dataclass(frozen=True)
class LongBody(Fault):
    """More bytes than the object has, and Content-Length agrees."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        answer = s3.answer(request)
        return replace(answer, body=answer.body + b"?")


@dataclass(frozen=True)
class WrongEtag(Fault):
    """All goes well, but the ETag in the answer is another one."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        answer = s3.answer(request)
        return replace(answer, headers={**answer.headers, "ETag": '"0123456789abcdef0123456789abcdef"'})


@dataclass(frozen=True)
class WrongChecksum(Fault):
    """All goes well, but the checksum headers in the answer are of something else."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        answer = s3.answer(request)
        return replace(answer, headers={**answer.headers, "x-amz-checksum-crc32": "AAAAAA=="})


@dataclass(frozen=True)
class Slow(Fault):
    """The answer comes a little at a time."""

    pause_seconds: float = 0.02
    pieces: int = 20


@dataclass(frozen=True)
class SaysNotDone(Fault):
    """DeleteObjects: some keys are refused inside a 200."""

    pattern: str = ".*"
    code: str = "InternalError"

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        kept = {key: value for key, value in s3.objects[request.bucket].items() if re.fullmatch(self.pattern, key)}
        s3.answer(request)
        asked = request.body.decode()
        s3.objects[request.bucket].update(kept)
        rows = "".join(
            f"<Error><Key>{key}</Key><Code>{self.code}</Code><Message>on cue</Message></Error>"
            for key in kept
            if f"<Key>{key}</Key>" in asked
        )
        return Answer(headers={"Content-Type": "application/xml"}, body=f"<DeleteResult>{rows}</DeleteResult>".encode())


@dataclass(frozen=True)
class SamePage(Fault):
    """A listing gives its first page for every token."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        query = {name: value for name, value in request.query.items() if name != "continuation-token"}
        return s3.answer(replace(request, query=query))


@dataclass(frozen=True)
class NoToken(Fault):
    """A listing says there is more but not where: whoever stops there believes in half a bucket."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        answer = s3.answer(request)
        return replace(answer, body=re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", b"", answer.body))


@dataclass(frozen=True)
class HalfDocument(Fault):
    """An XML answer that ends in the middle, with a Content-Length that agrees."""

    def happen(self, s3: MemoryS3, request: Request) -> Answer:
        answer = s3.answer(request)
        return replace(answer, body=answer.body[: len(answer.body) // 2])


@dataclass
class Cue:
    """A fault, where it happens, and how often still."""

    operation: str
    fault: Fault
    key: str
    left: int
    chance: float
    skip: int


@dataclass
class FaultServer:
    """The server: what it stores, what shall go wrong, and what it was asked."""

    s3: MemoryS3
    bucket: str
    url: str = ""
    valid_key: str = ""  # requests signed with another access key get ExpiredToken; empty: any
    requests: list[Request] = field(default_factory=list)  # without bodies
    dice: Random = field(default_factory=Random)
    _cues: list[Cue] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(
        self, operation: str, fault: Fault, *, times: int = 1, key: str = ".*", chance: float = 1.0, skip: int = 0
    ) -> None:
        """Let `fault` happen to the next `times` requests of an operation (a pattern) after `skip` others."""
        self._cues.append(Cue(operation, fault, key, times, chance, skip))

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._cues.clear()

    def count(self, operation: str) -> int:
        """Return how many requests of an operation (a pattern) have come."""
        return sum(bool(re.fullmatch(operation, request.operation)) for request in self.requests)

    def endpoint(self, bucket: str = "", access_key: str = ACCESS_KEY) -> S3Endpoint:
        """Return how to reach a bucket."""
        return S3Endpoint(self.url, bucket or self.bucket, access_key, SECRET_KEY)

    def environment(self) -> dict[str, str]:
        """Return the variables with which the command line reaches it."""
        return {
            "S3_ENDPOINT": self.url,
            "S3_BUCKET": self.bucket,
            "S3_ACCESS_KEY_ID": ACCESS_KEY,
            "S3_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def next_fault(self, request: Request) -> Fault:
        """Return what happens to this request."""
        with self._lock:
            self.requests.append(replace(request, body=b""))
            if self.valid_key and not _signed_with(request, self.valid_key):
                return Status(400, "ExpiredToken")
            for cue in self._cues:
                fits = re.fullmatch(cue.operation, request.operation) and re.fullmatch(cue.key, request.key, re.DOTALL)
                if not fits or not cue.left or self.dice.random() >= cue.chance:
                    continue
                if cue.skip:
                    cue.skip -= 1
                    continue
                cue.left -= 1
                return cue.fault
        return Fault()


@contextmanager
def fault_server(bucket: str = "bucket", *more_buckets: str, seed: int = 0) -> Iterator[FaultServer]:
    """Serve until the block ends."""
    state = FaultServer(MemoryS3(bucket, *more_buckets), bucket, dice=Random(seed))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together
        disable_nagle_algorithm = True

        def parse_request(self) -> bool:
            good = super().parse_request()
            if good:
                self.do_anything()  # every method alike
                self.wfile.flush()
            return False

        def do_anything(self) -> None:
            with suppress(ConnectionError):
                _serve(self, state)

        def log_message(self, *args: Any) -> None:
            """Say nothing: requests are kept in `state`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: clients and faults break connections."""

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(handler: BaseHTTPRequestHandler, state: FaultServer) -> None:
    headers = {name.lower(): value for name, value in handler.headers.items()}
    if headers.get("expect", "").lower() == "100-continue":
        handler.send_response_only(100)
        handler.end_headers()
        handler.wfile.flush()
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    bucket, key, query = parse_target(handler.path)
    request = Request(handler.command, bucket, key, query, headers, body)
    fault = state.next_fault(request)
    answer = fault.happen(state.s3, request)
    if isinstance(fault, Broken):
        _break(handler, answer, fault)
        return
    _send_head(handler, answer)
    if request.method == "HEAD" or answer.status == 204:
        return
    if isinstance(fault, Slow):
        _send_slowly(handler, answer.body, fault)
    else:
        handler.wfile.write(answer.body)


def _send_head(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response_only(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    if answer.status != 204:
        handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()


def _break(handler: BaseHTTPRequestHandler, answer: Answer, fault: Broken) -> None:
    if fault.share >= 0:
        _send_head(handler, answer)
        handler.wfile.write(answer.body[: int(len(answer.body) * fault.share)])
        handler.wfile.flush()
    handler.close_connection = True
    if fault.reset:
        time.sleep(0.01)  # else what was sent is thrown away with the connection
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # closed by hand: http.server's own end would be an orderly one
    handler.connection.close() if fault.reset else handler.connection.shutdown(socket.SHUT_RDWR)


def _send_slowly(handler: BaseHTTPRequestHandler, body: bytes, fault: Slow) -> None:
    size = max(1, -(-len(body) // fault.pieces))
    for start in range(0, len(body), size):
        handler.wfile.write(body[start : start + size])
        handler.wfile.flush()
        time.sleep(fault.pause_seconds)


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0x20]) + body[middle + 1 :] if body else body


def _signed_with(request: Request, access_key: str) -> bool:
    signed = f"{request.headers.get('authorization', '')} {request.query.get('X-Amz-Credential', '')}"
    return access_key in signed
