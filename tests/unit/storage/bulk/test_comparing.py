"""What counts as whole."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.storage.bulk.comparing import Compare, file_has_content, is_whole, quick_check
from mediaplane.storage.bulk.names import PART_BYTES
from mediaplane.storage.bulk.streams import NANOSECONDS, Batch, Entry
from mediaplane.storage.bulk.work import Found

SECOND = NANOSECONDS
AT = 1_700_000_000 * SECOND


def stored(seconds: float = 0, *, size: int = 5, etag: str = '"e"', kept_ns: int | None = None) -> Entry:
    time = datetime.fromtimestamp(AT // SECOND + seconds, UTC)
    return Entry("a", size, AT + int(seconds * SECOND), 0, Found("a", size, etag, time), kept_ns=kept_ns)


def file(seconds: float = 0, *, size: int = 5, changed: float | None = None) -> Entry:
    ctime = seconds if changed is None else changed
    return Entry("a", size, AT + int(seconds * SECOND), AT + int(ctime * SECOND))


def never(_ours: Entry, _theirs: Entry) -> bool:
    raise AssertionError("content is not looked at here")


@pytest.mark.parametrize(
    ("source", "target", "whole"),
    [
        (file(-10), stored(0), True),
        (file(10), stored(0), False),
        (file(-10, size=6), stored(0), False),
        (file(10, size=0), stored(0, size=0), True),
        (stored(0), file(-100, changed=10), True),
        (stored(0), file(-100, changed=-10), False),
        (stored(0), file(10), True),
        (stored(0), stored(10, etag='"f"'), True),
        (stored(10), stored(0, etag='"f"'), False),
        (stored(10), stored(0), True),
        (file(10), stored(0, kept_ns=AT + 10 * SECOND), True),
        (file(-10), stored(0, kept_ns=AT - 20 * SECOND), False),
        (stored(0, kept_ns=AT - 100 * SECOND), file(-100, changed=-50), True),
    ],
)
def test_times_tell(source: Entry, target: Entry, whole: bool):
    """Equal sizes and a target that was written later; a kept mtime tells exactly where it is known."""
    assert is_whole(source, target, Compare.TIME, never) is whole


objects = st.tuples(st.sampled_from(['"e"', '"f"', ""]), st.integers(0, 3))
pages = st.lists(st.tuples(objects, objects), min_size=1, max_size=6)


@given(pages)
def test_page_of_objects_is_in_step_when_each_of_them_is(page: list[tuple[tuple[str, int], tuple[str, int]]]):
    """The quick look at columns says what looking at one after the other does."""
    sides = [[stored(seconds, etag=etag) for etag, seconds in side] for side in zip(*page, strict=True)]
    source, target = [
        Batch(["a"] * len(side), [5] * len(side), [], [each.found for each in side], {}) for side in sides
    ]
    quick = quick_check(Compare.TIME, from_files=False, to_files=False)
    assert quick is not None
    each = [is_whole(ours, theirs, Compare.TIME, never) for ours, theirs in zip(*sides, strict=True)]
    assert quick(source, target) is all(each)


@pytest.mark.parametrize("same", [True, False])
def test_content_tells_within_one_second(same: bool):
    """LastModified has whole seconds: a file that was changed in the same one may be older or newer."""
    assert is_whole(file(0.5), stored(0), Compare.TIME, lambda _o, _t: same) is same
    assert is_whole(stored(0), file(-9, changed=0.9), Compare.TIME, lambda _o, _t: same) is same


@pytest.mark.parametrize(
    ("compare", "whole"),
    [(Compare.SIZE, True), (Compare.ABSENT, True), (Compare.NEVER, False)],
)
def test_other_ways_do_not_ask_times(compare: Compare, whole: bool):
    """A newer file of the same size."""
    assert is_whole(file(10), stored(0), compare, never) is whole


def test_content_is_asked_for_by_exact():
    """Also where times would tell; unlike sizes are enough."""
    assert is_whole(file(10), stored(0), Compare.CONTENT, lambda _o, _t: True)
    assert not is_whole(file(-10), stored(0), Compare.CONTENT, lambda _o, _t: False)
    assert not is_whole(file(-10, size=1), stored(0), Compare.CONTENT, never)


def test_problem_at_the_target_is_not_whole():
    """A directory stands there."""
    assert not is_whole(stored(0), Entry("a", problem="a directory stands there"), Compare.ABSENT, never)


def found_of(body: bytes, etag: str) -> Found:
    return Found("a", len(body), f'"{etag}"', datetime.now(UTC))


def composite(body: bytes, part_bytes: int) -> str:
    parts = [body[start : start + part_bytes] for start in range(0, len(body), part_bytes)]
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f"{whole}-{len(parts)}"


def test_etag_tells_content(tmp_path: Path):
    """A plain one is the MD5; a changed byte is seen."""
    path = tmp_path / "a"
    path.write_bytes(b"hello")
    md5 = hashlib.md5(b"hello").hexdigest()
    assert file_has_content(str(path), found_of(b"hello", md5), dict)
    path.write_bytes(b"hellO")
    assert not file_has_content(str(path), found_of(b"hello", md5), dict)


@pytest.mark.parametrize("part_mib", [5, 8, 15])
def test_etag_of_parts_tells_content(tmp_path: Path, part_mib: int):
    """For the part sizes that clients use, or the one in metadata; else it is unlike, and sent again."""
    body = bytes(range(256)) * (4096 * 17)  # 17 MiB
    path = tmp_path / "a"
    path.write_bytes(body)
    assert file_has_content(str(path), found_of(body, composite(body, part_mib << 20)), dict)
    odd = found_of(body, composite(body, 6_000_000))
    assert not file_has_content(str(path), odd, dict)
    assert file_has_content(str(path), odd, lambda: {PART_BYTES: "6000000"})


def test_other_etag_tells_nothing(tmp_path: Path):
    """Encrypted objects have others: unlike, so it is sent again."""
    (tmp_path / "a").write_bytes(b"x")
    assert not file_has_content(str(tmp_path / "a"), found_of(b"x", "some-thing"), dict)
