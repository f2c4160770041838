"""What is fetched before its turn, as each may wait for a server: pages of listings, beginnings of plans."""

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mediaplane.storage.bulk.work import Work

T = TypeVar("T")

_PLANS_AT_ONCE = 32
_PAGES_AHEAD = 2
_LOOK_SECONDS = 0.2  # how often a thread looks whether anybody still wants its pages


def ahead(plans: Sequence[Iterator[Work]]) -> Iterator[Work]:
    """Yield the work of all plans, one plan after the other; the first pieces of the next 32 are made meanwhile.

    A plan that copies one object asks for it first: ten thousand lines of a script would wait ten thousand times.
    What a plan raises is raised in its turn.
    """
    if len(plans) == 1:
        yield from plans[0]
        return
    waiting = iter(plans)
    with ThreadPoolExecutor(_PLANS_AT_ONCE, "plan") as threads:
        begun: deque[tuple[Iterator[Work], Future[list[Work]]]] = deque()
        try:
            while True:
                for plan in islice(waiting, _PLANS_AT_ONCE - len(begun)):
                    begun.append((plan, threads.submit(_first_of, plan)))
                if not begun:
                    return
                plan, first = begun.popleft()
                yield from first.result()
                yield from plan
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _first_of(plan: Iterator[Work]) -> list[Work]:
    return list(islice(plan, 1))


def pages_ahead(pages: Iterator[T]) -> Iterator[T]:
    """Yield what `pages` yields, fetched by a thread, so that a listing goes on while its other side is read.

    What `pages` raises is raised in its turn; the thread ends when nobody takes its pages any more.
    """
    fetched: queue.Queue[T | BaseException | None] = queue.Queue(_PAGES_AHEAD)
    left = threading.Event()

    def put(item: T | BaseException | None) -> bool:
        while not left.is_set():
            try:
                fetched.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        try:
            if all(put(page) for page in pages):
                put(None)
        except BaseException as error:  # noqa: BLE001 -- raised again by whoever takes the pages
            put(error)

    threading.Thread(target=fetch, name="listing", daemon=True).start()
    try:
        while (item := fetched.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
