"""One log line a request, without the query: it holds tokens and signatures."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway.problems import unexpected

log = structlog.get_logger(__name__)


class AccessLog:
    """Logs each request, and answers for a fault of our own after logging it with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, size_bytes = 0, 0

        async def watch(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            log.exception("request failed", path=scope["path"], method=scope["method"])
            if status:
                raise  # the answer has begun: only breaking the connection tells the client
            await unexpected()(scope, receive, watch)
        finally:
            elapsed_ms = round((time.perf_counter() - began) * 1000, 1)
            place = {"method": scope["method"], "path": scope["path"]}
            log.info("request", **place, status=status, bytes=size_bytes, elapsed_ms=elapsed_ms)
