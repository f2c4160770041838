"""The bridge from a body to the thread that uploads it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.storage.upload import BodyFailed, PartFeed, regroup


async def chunks(sizes, then=None):
    """A body of chunks of these sizes, with bytes that tell their place."""
    position = 0
    for size in sizes:
        yield bytes((position + offset) % 251 for offset in range(size))
        position += size
    if then:
        raise then


@given(st.lists(st.integers(0, 40)), st.integers(1, 17))
def test_regroup_makes_equal_parts(sizes, part_bytes):
    """All parts but the last have the same size, none is empty, and no byte is lost, doubled or moved."""

    async def run():
        return [part async for part in regroup(chunks(sizes), part_bytes)]

    parts = asyncio.run(run())
    assert b"".join(parts) == bytes(place % 251 for place in range(sum(sizes)))
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts)


@pytest.fixture
def executor():
    """One thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_feed_hands_over_all_parts(executor):
    """The thread sees every part in order, and its result comes back."""
    feed = PartFeed(b"first")
    assert await feed.run(chunks([3, 4]), executor, b"|".join) == b"first|\x00\x01\x02|\x03\x04\x05\x06"
    assert feed.sent_bytes == 12


async def test_feed_waits_for_the_thread(executor):
    """A slow upload holds the body back: no more than two parts wait."""
    given_out, let_go = [], threading.Event()

    async def body():
        for index in range(10):
            given_out.append(index)
            yield b"x"
        given_out.append("end")

    def slow(parts):
        let_go.wait(10)
        return len(list(parts))

    running = asyncio.create_task(PartFeed(b"first").run(body(), executor, slow))
    await asyncio.sleep(0.1)
    assert len(given_out) <= 2
    let_go.set()
    assert await running == 11


async def test_body_that_fails_ends_the_upload(executor):
    """The thread's iterator raises before the caller sees the body's own error."""
    seen = []

    def upload(parts):
        try:
            list(parts)
        except BodyFailed as error:
            seen.append(error)
            raise

    with pytest.raises(ZeroDivisionError):
        await PartFeed(b"first").run(chunks([1], then=ZeroDivisionError()), executor, upload)
    assert len(seen) == 1


async def test_upload_that_fails_early_is_told(executor):
    """An upload that ends before it took all parts does not hang."""

    def refuse(parts):
        next(parts)
        raise PermissionError("refused")

    with pytest.raises(PermissionError, match="refused"):
        await asyncio.wait_for(PartFeed(b"first").run(chunks([1] * 100), executor, refuse), 10)
