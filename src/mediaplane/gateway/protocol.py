"""HTTP/1.1 as uvicorn reads it, with bounds: how long a head may be and take, how long a client may not read.

Sources: RFC 9110, section 15.5; RFC 6585, section 5. uvicorn bounds none of these with httptools.
"""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_URL_BYTES = 8192
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
HEAD_SECONDS = 15.0
# A client that takes nothing of a full buffer for so long is gone, or wants to keep us busy.
STALL_SECONDS = 60.0
LINGER_SECONDS = 1.0


class EdgeProtocol(HttpToolsProtocol):
    """One connection."""

    _in_head = True
    _head_bytes = 0
    _refusal: tuple[int, str, str] | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new client so long for its first head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, and refuse a head that is still not whole when it is too long."""
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if (
            self._in_head
            and self._head_bytes > MAX_HEAD_BYTES
            and not self._refused
            and not self.transport.is_closing()
        ):
            self._refuse(431, "head_too_large", "The request's head is too long.")

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def on_headers_complete(self) -> None:
        """Refuse a head that is too long; httptools turns the error into its own, and that into our answer."""
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if len(self.url) > MAX_URL_BYTES:
            self._refusal = 414, "url_too_long", f"A URL may have at most {MAX_URL_BYTES} bytes."
            raise ValueError("url")
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = 431, "head_too_large", "The request's head is too long."
            raise ValueError("head")
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Give a client that does not read so long."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 ours says it
        """Answer what is no request, or one that is refused."""
        self._refuse(*(self._refusal or (400, "bad_request", "This is no HTTP request that can be read.")))

    def _too_slow(self) -> None:
        self._head_timer = None
        if (
            self._refused
            or self.transport.is_closing()
            or (self.cycle is not None and not self.cycle.response_complete)
        ):
            return
        if self._head_bytes:
            self._refuse(408, "request_timeout", "The request's head did not come in time.")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        title = HTTPStatus(status).phrase
        kind = f"urn:mediaplane:problem:{code}"
        body = json.dumps({"type": kind, "title": title, "status": status, "detail": detail, "code": code}).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self._refused = True
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        # Closed with bytes unread, a connection is reset, and the client may lose the answer (RFC 9112, section 9.6).
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = self._linger_timer = None
