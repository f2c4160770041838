"""Work done for many requests at once: what comes while some is under way goes together with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from mediaplane.jobs.withdrawal import Connect
from mediaplane.postgres import Connection

Item = TypeVar("Item")
Answer = TypeVar("Answer")
# Does something for many in one transaction: an answer for each, or the error that is raised for it alone. Where it
# raises one itself the transaction is undone, and done again for fewer, at last for each alone.
Work = Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Answer | Exception]]]

MAX_TOGETHER = 500


class Share(Protocol):
    """Has work done in a transaction that others who see the same rows may share, so nobody acts in it by name."""

    async def __call__(self, work: Work[Item, Answer], item: Item) -> Answer: ...


def alone(connect: Connect) -> Share:
    """Return what has each piece of work done in a transaction of its own."""

    async def ask(work: Work[Item, Answer], item: Item) -> Answer:
        async with connect() as conn, conn.transaction():
            (answer,) = await work(conn, [item])
        return taken(answer)

    return ask


def taken(answer: Answer | Exception) -> Answer:
    """Return an answer of `Work`, or raise it if it is an error."""
    if isinstance(answer, Exception):
        raise answer
    return answer


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
