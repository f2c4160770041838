"""Somebody's server that takes webhooks: keeps what it gets, answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class HookServer:
    """What it was sent, and what it answers next; the last answer stays."""

    url: str = ""
    answers: list[bytes] = field(default_factory=lambda: [b"204 No Content"])
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.taken.append((lines[0], headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            if answer:
                writer.write(b"HTTP/1.1 " + answer + b"\r\n\r\n")
                await writer.drain()
            else:
                await asyncio.sleep(60)
            writer.close()
            await writer.wait_closed()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def hook_server() -> AsyncIterator[HookServer]:
    """Take webhooks on a free loopback port until the end of the block."""
    hooks = HookServer()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(hooks.handle(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    hooks.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks?team=a"
    try:
        yield hooks
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
