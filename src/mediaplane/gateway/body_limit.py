"""How large a request's body may be, and how long it may take to come. Uploads of bytes have limits of their own."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway.problems import problem

MAX_BYTES = 4 * 1024 * 1024  # 10,000 parts with their etags and checksums fit
MAX_SECONDS = 60.0  # a client that drips its body byte by byte is told to come back
BYTES_OF_OBJECTS = ("/v1/objects/",)
_LENGTH = b"content-length"


class BodyLimit:
    """Answers 413 to what is larger, whether it says so or not, and 408 to what does not come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(BYTES_OF_OBJECTS):
            await self._app(scope, receive, send)
            return
        declared = _declared(scope)
        if declared == 0 and not _is_chunked(scope):
            await self._app(scope, receive, send)  # most requests: nothing to watch
            return
        if declared > MAX_BYTES:
            await _too_large()(scope, receive, send)
            return
        await self._watched(scope, receive, send)

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, done, begun = 0, False, False
        until = asyncio.get_running_loop().time() + MAX_SECONDS

        async def bounded() -> Message:
            nonlocal seen, done
            if done:
                return await receive()  # waits for the client to go
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise _Refused from None
            seen += len(message.get("body", b""))
            done = not message.get("more_body", False)
            if seen > MAX_BYTES:
                raise _Refused
            return message

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, bounded, watch)
        except _Refused:
            if begun:
                raise
            refusal = _too_large() if seen > MAX_BYTES else _too_slow()
            await refusal(scope, receive, send)


class _Refused(BaseException):
    """The body is too large, or does not come. No Exception: frameworks turn those into answers of their own."""


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == _LENGTH and value.isdigit():
            return int(value) if len(value) < 19 else MAX_BYTES + 1
    return 0


def _is_chunked(scope: Scope) -> bool:
    return any(name == b"transfer-encoding" for name, _ in scope["headers"])


def _too_large() -> ASGIApp:
    detail = f"The body may have at most {MAX_BYTES} bytes; media goes to the store itself."
    return problem(413, "body_too_large", detail, headers={"connection": "close"})


def _too_slow() -> ASGIApp:
    return problem(408, "request_timeout", "The body did not come in time.", headers={"connection": "close"})
