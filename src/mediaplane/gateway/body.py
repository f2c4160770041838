"""Sending a long body: piece by piece, no faster than the client takes it, and no longer than it listens."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi import Response
from starlette.types import Receive, Scope, Send

from mediaplane.storage.store import Chunks

PIECE_BYTES = 256 * 1024


class BodyResponse(Response):
    """Sends what a generator yields, and closes it whatever happens.

    Starlette's own cancels the generator again and again once the client has gone, also while a thread that it
    waits for is still reading the file; this one looks between two pieces.
    """

    def __init__(self, pieces: AsyncGenerator[bytes], *, status_code: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status_code, headers=headers)
        self._pieces = pieces

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Take the headers as they are: the body's length stands in them."""
        pairs = (headers or {}).items()
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI
        """Answer one request."""
        gone = asyncio.create_task(_wait_until_gone(receive))
        try:
            async with aclosing(self._pieces) as pieces:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for piece in pieces:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def in_pieces(chunks: Chunks) -> AsyncGenerator[bytes]:
    """Pass chunks on in pieces of bounded size, so that memory stays flat whatever the store reads at once."""
    try:
        async for chunk in chunks:
            for start in range(0, len(chunk), PIECE_BYTES):
                yield chunk[start : start + PIECE_BYTES]
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()  # now, not when the garbage is collected: it holds a file or a connection
