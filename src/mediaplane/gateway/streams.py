"""The answer that does not end: server-sent events, until the client goes, falls behind or time is up."""

import asyncio
import random
from collections.abc import Callable

from fastapi import Response
from starlette.types import Receive, Scope, Send

from mediaplane.gateway.events import EventFeed, Subscription

HEARTBEAT_SECONDS = 15.0  # proxies cut what is silent for longer
LIFE_SECONDS = 900.0  # then the client comes back and shows its credentials anew
RETRY_MS = 2000
HEARTBEAT = b": still here\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",  # nginx would hold events back
}


class EventStream(Response):
    """Sends `opening`, then what the subscription brings."""

    def __init__(self, feed: EventFeed, subscription: Subscription, opening: bytes) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._feed = feed
        self._subscription = subscription
        self._opening = f"retry: {RETRY_MS}\n\n".encode() + opening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI
        """Answer one request."""
        gone = asyncio.create_task(_wait_until_gone(receive, self._subscription.close))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(send)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._feed.unsubscribe(self._subscription)
            gone.cancel()

    async def _send_all(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LIFE_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 so that not all come back at once
        text = self._opening
        while True:
            await send({"type": "http.response.body", "body": text, "more_body": True})
            if self._subscription.closed or loop.time() > until:
                return
            text = await self._subscription.take(HEARTBEAT_SECONDS) or HEARTBEAT
            if self._subscription.closed:
                return


async def _wait_until_gone(receive: Receive, then: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    then()
