"""Ending tasks whose cancellation may get lost."""

import asyncio

import pytest

from mediaplane import cancellation
from mediaplane.cancellation import end_tasks
from mediaplane.cli import services


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


def test_process_ends_although_what_goes_on_beside_its_work_loses_a_cancellation(monkeypatch):
    """`serve` and `worker` ask what is left until it has ended."""
    monkeypatch.setattr(cancellation, "AGAIN_SECONDS", 0.01)
    asked, kept = 0, []

    async def go_on() -> None:
        nonlocal asked
        for _ in range(2):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                asked += 1

    async def work() -> None:
        kept.append(asyncio.create_task(go_on()))
        await asyncio.sleep(0)

    services._run(work())
    assert asked == 2
