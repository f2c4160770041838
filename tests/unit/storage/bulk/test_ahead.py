"""What is fetched before its turn."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaplane.errors import StorageError
from mediaplane.storage.bulk.ahead import ahead, pages_ahead
from mediaplane.storage.bulk.work import Delete


def test_pages_come_in_order():
    """All of them, and none twice."""
    assert list(pages_ahead(iter(range(1000)))) == list(range(1000))


def test_error_of_a_page_comes_in_its_turn():
    """After what came before it."""

    def pages() -> Iterator[int]:
        yield 1
        raise StorageError("broken")

    taken = pages_ahead(pages())
    assert next(taken) == 1
    with pytest.raises(StorageError, match="broken"):
        next(taken)


def test_thread_ends_when_nobody_takes_its_pages():
    """A sync that failed leaves no listing running behind it."""
    made = []

    def pages() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    before = threading.active_count()
    taken = pages_ahead(pages())
    assert next(taken) == 0
    taken.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before
    assert len(made) < 10


def test_plans_come_in_order_with_their_errors():
    """Beginnings are made by threads, what each raises comes in its turn."""
    plans = [iter([Delete(None, f"{number}-{part}") for part in range(3)]) for number in range(100)]
    assert [work.key for work in ahead(plans)] == [f"{number}-{part}" for number in range(100) for part in range(3)]

    def broken() -> Iterator[Delete]:
        raise StorageError(str(Path("nowhere")))
        yield Delete(None, "never")

    with pytest.raises(StorageError, match="nowhere"):
        list(ahead([iter([Delete(None, "a")]), broken()]))
