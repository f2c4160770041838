"""One log line and one figure a request, without the query: it holds tokens and signatures. Requests get their ids."""

import re
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway import request_ids
from mediaplane.gateway.metrics import Metrics
from mediaplane.gateway.problems import unexpected
from mediaplane.logs import Logger

NO_ROUTE = "none"  # one name for all paths that are nobody's: they are chosen by whoever scans for holes
SECRET_PARTS = frozenset(("token", "signature", "link", "secret", "permission"))  # of a path, as routes name them
# Also where no route matches.
_SECRET_PATH = re.compile(r"^(/v1/companion/|/v1/events/s3/|/v1/review-links/|/v1/cdn/[^/]*/)[^/]+")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

log = Logger(__name__)


class AccessLog:
    """Logs and counts each request, and answers for a fault of our own after logging it with its traceback."""

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics or Metrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_ids.begin(_given_id(scope))
        scope.setdefault("state", {})["request_id"] = request_id
        watched = _Watched(send, request_id)
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, watched)
        except Exception:
            log.exception("request failed", method=scope["method"], path=shown_path(scope))
            if watched.status:
                raise  # the answer has begun: only breaking the connection tells the client
            await unexpected()(scope, receive, watched)
        finally:
            self._metrics.in_flight.dec()
            self._note(scope, watched)

    def _note(self, scope: Scope, watched: "_Watched") -> None:
        seconds = time.perf_counter() - watched.began
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(
            method=method,
            route=route_of(scope),
            status=watched.status,
            seconds=watched.first_byte or 0.0 if watched.is_stream else seconds,  # how long one listened is no latency
            first_byte=watched.first_byte,
            size_bytes=watched.size_bytes,
        )
        log.info(
            "request",
            method=method,
            path=shown_path(scope),
            status=watched.status,
            bytes=watched.size_bytes,
            elapsed_ms=round(seconds * 1000, 1),
        )


class _Watched:
    """Sends on, remembering what; gives the request's id to the answer."""

    __slots__ = ("_request_id", "_send", "began", "first_byte", "is_stream", "size_bytes", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self.began = time.perf_counter()
        self.status = 0
        self.is_stream = False
        self.size_bytes = 0
        self.first_byte: float | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_stream = any(value.startswith(b"text/event-stream") for _, value in message.get("headers", ()))
            message["headers"] = [*message.get("headers", ()), (request_ids.HEADER.encode(), self._request_id)]
        elif body := message.get("body"):
            if self.first_byte is None:
                self.first_byte = time.perf_counter() - self.began
            self.size_bytes += len(body)
        await self._send(message)


def route_of(scope: Scope) -> str:
    """Return the route's own path, with names in place of values."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def shown_path(scope: Scope) -> str:
    """Return the path for a log: parts that are secrets stay out of it."""
    path: str = _SECRET_PATH.sub(r"\1…", scope["path"])
    parts: Mapping[str, Any] = scope.get("path_params") or {}
    for name in SECRET_PARTS & parts.keys():
        path = path.replace(str(parts[name]), "…")
    return path


def _given_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return str(value.decode("latin-1"))
    return ""
