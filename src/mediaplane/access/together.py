"""Work done for many requests at once: what comes while some is under way goes together with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_TOGETHER = 500


class Together(Generic[Item, Answer]):
    """Asks `work` for the answers of all items that have gathered, one call at a time.

    Alone an item waits for nothing. Under load the database is asked, and its disk waited for, once for many.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        self._work = work
        self._gathered: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._working is None

    async def ask(self, item: Item) -> Answer:
        """Return the item's answer, or raise what `work` raised for all that went with it."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathered.append((item, answered))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off())
        return await answered

    async def _work_off(self) -> None:
        try:
            while self._gathered:
                together, self._gathered = self._gathered[:MAX_TOGETHER], self._gathered[MAX_TOGETHER:]
                await self._answer([item for item, _ in together], [future for _, future in together])
        finally:
            self._working = None

    async def _answer(self, items: Sequence[Item], waiting: "Sequence[asyncio.Future[Answer]]") -> None:
        try:
            answers = await self._work(items)
        except BaseException as error:
            for future in waiting:
                if not future.done():  # who waited may have gone away
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for future, answer in zip(waiting, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
