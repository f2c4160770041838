"""Times as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidTimecode
from mediaplane.media.timecodes import format_timecode, parse_timecode


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("3.5", 3500),
        ("83.25", 83250),
        ("1:23", 83000),
        ("62:03", 3723000),
        ("1:02:03.5", 3723500),
        ("1h2m3s", 3723000),
        ("1500ms", 1500),
        ("90s", 90000),
        ("0", 0),
    ],
)
def test_timecode_is_read_as_people_write_it(text, milliseconds):
    """Each of the usual forms is understood."""
    assert parse_timecode(text) == milliseconds


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "1.2345", "1:"])
def test_timecode_that_is_none_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(InvalidTimecode):
        parse_timecode(text)


@given(st.integers(0, 10**9))
def test_timecode_written_is_read_back(milliseconds):
    """What is printed can be typed in again."""
    assert parse_timecode(format_timecode(milliseconds)) == milliseconds
