"""Work done for many requests at once: everybody gets the own answer, nobody waits without need."""

import asyncio
from collections.abc import Sequence

import pytest

from mediaplane.access.together import MAX_TOGETHER, Together


class Work:
    """Doubles numbers, and remembers what went together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return [item * 2 for item in items]


async def test_together_gathers():
    """What comes while some is under way goes with the next call; each gets the own answer."""
    work = Work()
    together = Together(work)
    first = asyncio.create_task(together.ask(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers = await asyncio.gather(first, *(together.ask(number) for number in range(2, 50)))
    assert answers == [number * 2 for number in range(1, 50)]
    assert work.calls == [[1], list(range(2, 50))]
    assert together.is_idle


async def test_together_alone():
    """One after the other each is its own call, and nothing is left under way."""
    work = Work()
    together = Together(work)
    assert [await together.ask(number) for number in range(3)] == [0, 2, 4]
    assert work.calls == [[0], [1], [2]]
    assert together.is_idle


async def test_together_is_bounded():
    """However many gather, a call has a limit."""
    work = Work()
    together = Together(work)
    await asyncio.gather(*(together.ask(number) for number in range(MAX_TOGETHER * 2 + 1)))
    assert max(map(len, work.calls)) == MAX_TOGETHER
    assert sum(map(len, work.calls)) == MAX_TOGETHER * 2 + 1


async def test_together_that_fails():
    """All that went together are told; the next try is a new one."""
    work = Work()
    work.error = OSError("away")
    together = Together(work)
    told = await asyncio.gather(*(together.ask(number) for number in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [OSError] * 3
    work.error = None
    assert await together.ask(4) == 8


async def test_together_with_one_who_goes_away():
    """Who does not wait any longer neither stops the others nor is missed."""
    together = Together(Work())
    waiting = [asyncio.create_task(together.ask(number)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert await asyncio.gather(waiting[0], *waiting[2:]) == [0, 4, 6]
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
