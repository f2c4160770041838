"""Range requests and conditional requests, against a plain reading of the standard."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidRange
from mediaplane.gateway.ranges import (
    ByteRange,
    http_date,
    is_unchanged,
    quote_etag,
    range_applies,
    read_range,
)
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.store import ObjectInfo

WHEN = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
INFO = ObjectInfo(ObjectKey("k"), 10, "abc", WHEN)

sizes = st.integers(0, 40)
numbers = st.integers(0, 60)


@given(sizes, numbers, numbers)
def test_range_first_and_last(size, first, last):
    """`first-last` gives the bytes that a slice gives, is ignored when reversed, refused when nothing is there."""
    body = bytes(range(size))
    header = f"bytes={first}-{last}"
    if last < first:
        assert read_range(header, size) is None
    elif not body[first : last + 1]:
        with pytest.raises(InvalidRange):
            read_range(header, size)
    else:
        assert cut(body, read_range(header, size)) == body[first : last + 1]


@given(sizes, numbers)
def test_range_from_first(size, first):
    """`first-` gives all from there."""
    body = bytes(range(size))
    if first >= size:
        with pytest.raises(InvalidRange):
            read_range(f"bytes={first}-", size)
    else:
        assert cut(body, read_range(f"bytes={first}-", size)) == body[first:]


@given(sizes, numbers)
def test_range_of_suffix(size, length):
    """`-length` gives the last bytes, all where there are fewer."""
    body = bytes(range(size))
    if length == 0 or size == 0:
        with pytest.raises(InvalidRange):
            read_range(f"bytes=-{length}", size)
    else:
        assert cut(body, read_range(f"bytes=-{length}", size)) == body[-length:]


@pytest.mark.parametrize(
    "header",
    [
        None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=5-2", "bytes=0-1,3-4", "items=0-1",
        "bytes=--1", "bytes=0x1-2", "bytes=１-２", "bytes=0-1;", "bytes=" + "9" * 5000 + "-", "bytes=+1-2",
    ],
)  # fmt: skip
def test_range_not_understood(header):
    """What is no single byte range counts as absent: the whole is the answer."""
    assert read_range(header, 10) is None


@given(st.text(max_size=40), sizes)
def test_range_of_any_text(text, size):
    """No header makes it fall over, and every answer lies within the object."""
    try:
        part = read_range(text, size)
    except InvalidRange:
        return
    assert part is None or (0 <= part.start < size and 1 <= part.length <= size - part.start)


def test_range_content_range():
    """Content-Range names first and last byte and the size."""
    assert ByteRange(2, 3).content_range(10) == "bytes 2-4/10"


@pytest.mark.parametrize("tags", ['"abc"', 'W/"abc"', '"x", "abc"', '"x",W/"abc"', "*"])
def test_unchanged_with_its_tag(tags):
    """The client has it already: a weak tag is enough."""
    assert is_unchanged({"if-none-match": tags}, INFO)


def test_unchanged_with_other_tag():
    """Another tag outweighs an equal date."""
    assert not is_unchanged({"if-none-match": '"x"', "if-modified-since": http_date(WHEN)}, INFO)


@pytest.mark.parametrize(("seconds", "expected"), [(-1, False), (0, True), (1, True)])
def test_unchanged_since_a_date(seconds, expected):
    """A date says unchanged if the object is no younger, in whole seconds as HTTP has them."""
    assert is_unchanged({"if-modified-since": http_date(WHEN + timedelta(seconds=seconds))}, INFO) is expected


@pytest.mark.parametrize("text", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_unchanged_since_nonsense(text):
    """A date that cannot be read counts as absent."""
    assert not is_unchanged({"if-modified-since": text}, INFO)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, True), ('"abc"', True), ('W/"abc"', False), ('"x"', False), (http_date(WHEN), True),
        (http_date(WHEN + timedelta(seconds=1)), False), ("nonsense", False),
    ],
)  # fmt: skip
def test_range_applies(condition, expected):
    """A part is given only of the very object that the client has the rest of: tags are compared strongly."""
    headers = {} if condition is None else {"if-range": condition}
    assert range_applies(headers, INFO) is expected


def test_etag_quoted_once():
    """Stores give etags with or without quotes; HTTP wants them."""
    assert quote_etag("abc") == quote_etag('"abc"') == '"abc"'


def cut(body: bytes, part: ByteRange | None) -> bytes:
    assert part is not None
    return body[part.start : part.start + part.length]
