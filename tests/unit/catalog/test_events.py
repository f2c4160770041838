"""The cursor of events: ids appear out of order, none is read twice, none left out."""

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.catalog.events import MOST_MISSING, PATIENCE_SECONDS, EventCursor


@given(st.permutations(range(1, 30)), st.lists(st.integers(1, 5), min_size=30))
def test_whatever_order_they_are_committed_in(order, steps):
    """Read after any number of commits, every event is taken exactly once, and `settled` is never past one not seen."""
    cursor, committed, taken = EventCursor(), set(), []
    waiting = list(order)
    for step in steps:
        committed |= set(waiting[:step])
        del waiting[:step]
        visible = sorted(one for one in committed if one > cursor.last or one in cursor.missing)
        cursor.take(visible, now=0.0)
        taken += visible
        assert set(range(1, cursor.settled + 1)) <= set(taken)
    assert sorted(taken) == sorted(committed)
    assert len(taken) == len(set(taken))


def test_what_was_rolled_back_is_given_up():
    """An id that never appears is waited for a while, not for ever."""
    cursor = EventCursor(10)
    cursor.take([12], now=0.0)
    assert (cursor.missing, cursor.settled) == ([11], 10)
    cursor.take([], now=PATIENCE_SECONDS + 1)
    assert (cursor.missing, cursor.settled) == ([], 12)


def test_memory_is_bounded():
    """A jump of the sequence does not become a million waits."""
    cursor = EventCursor()
    cursor.take([10_000_000], now=0.0)
    assert len(cursor.missing) <= MOST_MISSING
