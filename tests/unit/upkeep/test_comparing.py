"""A listing against rows: whatever is missing, more or changed on either side, nothing that differs is passed over."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.catalog.objects import Part, digest_of
from mediaplane.storage.found import Found
from mediaplane.upkeep import comparing
from mediaplane.upkeep.comparing import differing

NOW = datetime.now(UTC)


def found(key: str, etag: str = "e") -> Found:
    return Found(key, 1, etag, NOW)


async def compared(listed: list[Found], rows: list[Found], *, page: int, part: int) -> tuple[list[Found], list[Found]]:
    """Return everything that was seen, and what of it is to be looked at."""

    async def pages():
        for start in range(0, len(listed), page):
            yield listed[start : start + page]

    async def parts():
        for start in range(0, len(rows), part):
            some = rows[start : start + part]
            yield Part(some[-1].key, digest_of(some))

    seen: list[Found] = []
    unlike: list[Found] = []
    async for some, different in differing(pages(), parts()):
        assert some
        seen += some
        unlike += different
    return seen, unlike


keys = st.sets(st.text("ab/é\U0001f600", min_size=1, max_size=4), max_size=40)


@given(listed=keys, rows=keys, changed=keys, page=st.integers(1, 7), part=st.integers(1, 7), waiting=st.integers(1, 9))
async def test_nothing_that_differs_is_passed_over(listed, rows, changed, page, part, waiting):
    """Everything is seen once, in its order; what has no equal row is looked at, however pages and parts fall."""
    here = [found(key, "new" if key in changed else "e") for key in sorted(listed)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "MOST_WAITING", waiting)
        seen, unlike = await compared(here, [found(key) for key in sorted(rows)], page=page, part=part)
    assert seen == here
    assert {one.key for one in here if one.key not in rows or one.key in changed} <= {one.key for one in unlike}


async def test_what_is_the_same_is_not_looked_at():
    """Equal sides cost nothing; one change costs its own part only, and one object more shifts no other part."""
    rows = [found(f"{number:04}") for number in range(100)]
    assert (await compared(rows, rows, page=7, part=10))[1] == []
    changed = [*rows[:42], found("0042", "new"), *rows[43:]]
    assert (await compared(changed, rows, page=7, part=10))[1] == changed[40:50]
    more = [*rows[:42], found("0041x"), *rows[42:]]
    assert (await compared(more, rows, page=7, part=10))[1] == more[40:51]
    assert (await compared(rows[:95], rows, page=7, part=10))[1] == rows[90:95]
    assert (await compared(rows, [], page=7, part=10))[1] == rows
