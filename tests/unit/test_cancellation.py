"""Ending tasks whose cancellation may get lost."""

import asyncio

import pytest

from mediaplane import cancellation
from mediaplane.cancellation import end_tasks


async def test_task_that_loses_the_first_cancellation_ends(monkeypatch):
    """What `asyncio.wait_for` of Python 3.11 swallows is asked for again."""
    monkeypatch.setattr(cancellation, "AGAIN_SECONDS", 0.01)
    came = asyncio.Event()

    async def ask_for_ever() -> None:
        while True:
            came.clear()
            await asyncio.wait_for(came.wait(), 60)

    task = asyncio.create_task(ask_for_ever())
    for _ in range(3):
        await asyncio.sleep(0)  # until it waits
    came.set()
    await asyncio.sleep(0)  # what it waits for has come, and it was not told yet
    async with asyncio.timeout(5):
        await end_tasks(task)
    assert task.done()


async def test_errors_of_ended_tasks_stay_with_them():
    """A task that fails, or has failed, while it is ended is nobody's trouble."""

    async def fail() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError from None

    failed, failing = asyncio.create_task(_raise()), asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end_tasks(failed, failing)
    for task in (failed, failing):
        with pytest.raises(ConnectionError):
            task.result()


async def test_nothing_to_end():
    """No task, no wait."""
    await end_tasks()


async def _raise() -> None:
    raise ConnectionError
