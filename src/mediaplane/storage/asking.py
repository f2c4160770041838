"""Asking one bucket: requests are signed, repeated where that can help, and led to the right region.

The body is not hashed for the signature (UNSIGNED-PAYLOAD) over TLS, nor where a signed header carries its checksum
(Content-MD5, x-amz-checksum-*), nor where the caller asked for no checks at all. It is for every other request.

Source: Amazon S3 API Reference.
"""

import hashlib
import random
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from mediaplane.storage.answers import answered, unreachable
from mediaplane.storage.connection import IDLE_SECONDS, Address, Connection, ConnectionLost, Steps, find_proxy
from mediaplane.storage.credentials import Keys
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.exchange import Answer, FileSlice, Pool, Request, exchange
from mediaplane.storage.replies import error_code, http_time, is_error, text_of
from mediaplane.storage.sigv4 import PAYLOAD, HeaderSigner, quote_key, quote_query

_SIGNER_SECONDS = 5  # how long one time stamp, and what `endpoint.keys()` said, is signed with
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_RETRIED_CODES = {
    "RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted", "BadDigest",
    "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody", "ThrottlingException",
    "RequestLimitExceeded", "Throttling", "ConditionalRequestConflict",
}  # fmt: skip
_SLOWED = {"SlowDown", "ServiceUnavailable", "ThrottlingException", "RequestLimitExceeded", "Throttling"}
_STALE_KEYS = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"}
_LONGEST_PAUSE = 20.0


class Idle:
    """A pool for threads: connections that were used last are taken first; one that was closed meanwhile is dropped."""

    def __init__(self) -> None:
        self._idle: deque[Connection] = deque()

    def take(self, address: Address) -> Connection | None:
        """Return a connection to the address, or None."""
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.address != address:
                self._idle.appendleft(connection)
            elif connection.is_quiet():
                return connection
            else:
                connection.close()
        return None

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append(connection)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all; also done when nobody holds the pool any more."""
        while self._idle:
            self._idle.pop().close()


class Asking:
    """How one bucket is asked, and what was learnt from its refusals: region, host, clock, new keys."""

    def __init__(
        self,
        endpoint: S3Endpoint,
        *,
        retries: int = 5,
        on_slow_down: Callable[[], None] = lambda: None,
        hashes_bodies: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._retries = retries
        self._on_slow_down = on_slow_down
        self._hashes_bodies = hashes_bodies
        self._region = endpoint.region
        self._clock_offset = 0.0
        self._keys: Keys | None = None
        self._signer: tuple[float, HeaderSigner] | None = None
        self._secure = endpoint.url.startswith("https:")
        self._base_path = endpoint.base_path
        self._bucket_path = endpoint.base_path if endpoint.virtual_host else endpoint.base_path.rstrip("/")
        self._go_to(endpoint.origin)

    def _go_to(self, origin: str) -> None:
        parts = urlsplit(origin)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._origin, self._host = origin, origin.partition("://")[2]
        host = parts.hostname or ""
        self._address = Address(parts.scheme, host, port, self._endpoint.ca_file, find_proxy(parts.scheme, host))

    def ask(self, request: Request, pool: Pool) -> Steps[Answer]:
        """Return the answer to a request, if it is a good one (2xx), after as many tries as it takes.

        Raises:
            ObjectNotFound: nothing is stored at the key, or there is no such bucket.
            AccessDenied: refused.
            StorageError: anything else; not reached, or no good answer after all retries.
        """
        failures = turns = 0
        while True:
            turns += 1
            try:
                answer = yield from self._once(request, pool)
            except _Stale:
                continue
            except OSError as error:
                failures += 1
                if failures > self._retries or not _may_pass(error):
                    raise unreachable(self._endpoint.url, _describe(error)) from error
                yield _pause(failures)
                continue
            status = answer.status
            if 200 <= status < 300:
                if request.method not in ("PUT", "POST") or not is_error(answer.body):
                    return answer
                status = 500  # it failed after it had said that all is well
            code = error_code(answer.body)
            if turns <= 3 + failures and self._learns(answer, code):
                continue
            if status in _RETRIED or code in _RETRIED_CODES:
                failures += 1
                if answer.status in (429, 503) or code in _SLOWED:
                    self._on_slow_down()
                if failures <= self._retries:
                    yield max(_pause(failures), _asked_pause(answer))
                    continue
            raise answered(request.key or self._endpoint.bucket, status, code)

    def _once(self, request: Request, pool: Pool) -> Steps[Answer]:
        connection = pool.take(self._address)
        fresh = connection is None
        if connection is None:
            connection = Connection(self._address)
        try:
            if fresh:
                yield from connection.open()
            connection.deadline = time.monotonic() + IDLE_SECONDS
            connection.heard = False
            answer, kept = yield from exchange(connection, request, self._head_of(request, connection))
        except (ConnectionResetError, BrokenPipeError, ConnectionLost):
            connection.close()
            if not fresh and not connection.heard:  # it was closed while it was kept: no failure of the server's
                raise _Stale from None
            raise
        except BaseException:
            connection.close()
            raise
        if kept:
            connection.used += 1
            pool.give(connection)
        else:
            connection.close()
        return answer

    def _head_of(self, request: Request, connection: Connection) -> bytes:
        body = request.body
        count = body.count if isinstance(body, FileSlice) else len(body)
        path = self._base_path + quote_key(request.key) if request.key else self._bucket_path
        query = quote_query(request.query) if request.query else ""
        headers = {"host": self._host, **request.headers}
        payload = PAYLOAD
        if self._hashes_bodies and not self._secure and not request.unsigned:
            assert isinstance(body, bytes), "a slice of a file is guarded by a checksum"
            payload = hashlib.sha256(body).hexdigest()
        lines = self._current_signer().sign(request.method, path, query, headers, payload)
        target = f"{path}?{query}" if query else path
        if not connection.direct:
            assert self._address.proxy
            target, lines = self._origin + target, self._address.proxy.permission + lines
        length = f"content-length: {count}\r\n" if count or request.method in ("PUT", "POST") else ""
        return f"{request.method} {target} HTTP/1.1\r\n{length}{lines}\r\n".encode()

    def _current_signer(self) -> HeaderSigner:
        now = time.time()
        signer = self._signer
        if signer is None or not 0 <= now - signer[0] < _SIGNER_SECONDS:
            self._keys = keys = self._endpoint.keys()
            moment = datetime.fromtimestamp(now + self._clock_offset, UTC)
            made = HeaderSigner(keys.access_key_id, keys.secret_access_key, keys.session_token, self._region, moment)
            self._signer = signer = (now, made)
        return signer[1]

    def _learns(self, answer: Answer, code: str) -> bool:
        """Take from a refusal what makes the next try a better one; False where there is nothing to learn."""
        if code == "RequestTimeTooSkewed":
            return self._learns_time(answer)
        unsaid = not code and answer.status in (400, 403)  # the answer to a HEAD has no code
        if code in _STALE_KEYS or unsaid:
            before, self._keys, self._signer = self._keys, self._endpoint.keys(), None
            if self._keys != before or (self._keys.expires is not None and not unsaid):
                return True
        region = answer.header("x-amz-bucket-region") or text_of(answer.body, "Region")
        if answer.status in (301, 302, 307, 308) or (answer.status == 400 and region):
            return self._learns_place(region, answer.header("location"))
        return False

    def _learns_time(self, answer: Answer) -> bool:
        theirs = http_time(answer.header("date"))
        if theirs is None:
            return False
        self._clock_offset, self._signer = theirs.timestamp() - time.time(), None
        return True

    def _learns_place(self, region: str, location: str) -> bool:
        """Sign for the region and go to the host that a redirect names; never from TLS to plain text."""
        parts = urlsplit(location)
        moved = False
        if parts.scheme in ("http", "https") and parts.netloc and (parts.scheme == "https" or not self._secure):
            origin = f"{parts.scheme}://{parts.netloc}"
            moved = origin != self._origin
            self._go_to(origin)
        elif region and "amazonaws.com" in self._host and self._region in self._host:
            self._go_to(self._origin.replace(self._region, region))
            moved = True
        if region and region != self._region:
            self._region, self._signer, moved = region, None, True
        return moved


class _Stale(Exception):
    """A kept connection was closed before it was asked."""


def _may_pass(error: OSError) -> bool:
    return unreachable("", _describe(error)).retryable


def _describe(error: OSError) -> str:
    return f"{error} {type(error).__name__}" if isinstance(error, TimeoutError) else f"{error}"


def _pause(failures: int) -> float:
    """Return the seconds before the next try: doubled each time, and scattered so that many do not come at once."""
    longest = min(_LONGEST_PAUSE, 0.1 * 2.0**failures)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 no secret


def _asked_pause(answer: Answer) -> float:
    asked = answer.header("retry-after")
    return min(60.0, float(asked)) if asked.isdigit() else 0.0
