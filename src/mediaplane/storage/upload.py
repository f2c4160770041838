"""The bridge from a body of the event loop to an upload that runs in a thread.

The body is read in the caller's own task and regrouped into parts; the thread takes them one by one. When the body
fails or the caller is cancelled, the thread's iterator raises, and the engine aborts the multipart upload.
"""

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from mediaplane.storage.store import Chunks

T = TypeVar("T")

_ABORT_SECONDS = 60  # for the thread to abort an upload after its body has failed


class BodyFailed(Exception):
    """Ends an upload in its thread; the caller raises what really happened."""


async def regroup(body: Chunks, part_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield the body in parts of exactly `part_bytes`, the last one shorter (R2 wants equal parts)."""
    pieces: list[bytes] = []
    waiting = 0
    async for chunk in body:
        pieces.append(bytes(chunk))
        waiting += len(chunk)
        while waiting >= part_bytes:
            whole = b"".join(pieces)
            yield whole[:part_bytes]
            pieces, waiting = [whole[part_bytes:]], waiting - part_bytes
    if waiting:
        yield b"".join(pieces)


class PartFeed(Iterator[bytes]):
    """Parts on their way from the event loop (`run`) to the thread that iterates; at most two wait there."""

    def __init__(self, first: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._parts: queue.SimpleQueue[bytes | BodyFailed | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(1)
        self._parts.put(first)
        self.sent_bytes = len(first)

    def __iter__(self) -> "PartFeed":
        return self

    def __next__(self) -> bytes:
        part = self._parts.get()
        self._loop.call_soon_threadsafe(self._room.release)
        if part is None:
            raise StopIteration
        if isinstance(part, BodyFailed):
            raise part
        return part

    async def run(self, parts: AsyncIterator[bytes], executor: Executor, upload: Callable[["PartFeed"], T]) -> T:
        """Return what `upload(self)` returns, having fed it all parts.

        Whatever the body raises, and a cancellation, is raised here after the upload has been aborted.
        """
        done = self._loop.run_in_executor(executor, upload, self)
        done.add_done_callback(lambda _: self._room.release())  # an upload that failed early takes no more parts
        try:
            async for part in parts:
                await self._room.acquire()
                if done.done():
                    break
                self._parts.put(part)
                self.sent_bytes += len(part)
            self._parts.put(None)
            return await asyncio.shield(done)
        except BaseException:
            self._parts.put(BodyFailed())
            await asyncio.wait([done], timeout=_ABORT_SECONDS)
            if done.done() and not done.cancelled():
                done.exception()  # taken, so that asyncio does not report it as forgotten
            raise
