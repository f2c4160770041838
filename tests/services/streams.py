"""Reading server-sent events in tests: messages as they come, over a connection of one's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Message:
    """One message of a stream."""

    id: int
    name: str
    data: Any


class Stream:
    """Messages in the order in which they come; comments are counted."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments = 0
        self._lines = answer.aiter_lines()

    async def next(self, seconds: float = 20) -> Message:
        """Return the next message."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return Message(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                else:
                    fields = {}
        raise EOFError("the stream has ended")

    async def until(self, kind: str, seconds: float = 60) -> Message:
        """Return the next message whose event is of the type."""
        async with asyncio.timeout(seconds):
            while (message := await self.next()).data.get("type") != kind:
                pass
            return message


@asynccontextmanager
async def follow(url: str, *, last: int | None = None, headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
    """Open a stream."""
    sent = {**(headers or {}), **({"last-event-id": str(last)} if last is not None else {})}
    async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=sent) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)
