"""Names and styles of clips."""

import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.clip_names import MAX_SLUG_BYTES, MAX_SLUG_CHARS, Style, read_style, slug
from mediaplane.media.keys import check_key


@given(st.text(max_size=400))
def test_slug_is_a_safe_part_of_a_key(title):
    """Whatever a title is, its slug is short, one part of a path, and means nothing to a path, URL or shell."""
    made = slug(title)
    assert made
    assert len(made) <= MAX_SLUG_CHARS
    assert len(made.encode()) <= MAX_SLUG_BYTES
    check_key(f"clips/{made}.mp4")
    assert not set(made) & set("/\\_.~ %?#&'\"<>|*:;\0")
    assert made.strip("-") == made
    assert all(char == "-" or unicodedata.category(char)[0] in "LMN" for char in made)


@given(st.text(max_size=100))
def test_slug_of_a_slug_is_itself(title):
    """Making it safe twice changes nothing."""
    assert slug(slug(title)) == slug(title)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Hello, World!", "hello-world"),
        ("../../etc/passwd", "etc-passwd"),
        ("🔥🔥🔥", "clip"),
        ("", "clip"),
        ("Don’t stop_believing", "dont-stop-believing"),
        ("日本語のタイトル", "日本語のタイトル"),
        ("a\u202eb\u200bc\x00d", "a-b-c-d"),
        ("ﬁne ½", "fine-1-2"),
        ("café", "café"),
    ],
)
def test_slug_keeps_what_can_be_read(title, expected):
    """Letters and digits of every script stay, everything between them becomes one dash."""
    assert slug(title) == unicodedata.normalize("NFKC", expected)


def test_slug_ends_with_a_word():
    """A long title is cut between words."""
    assert slug("word " * 40) == "-".join(["word"] * 12)


@pytest.mark.parametrize(
    ("text", "style"),
    [("original", Style("original")), ("vertical=9:16", Style("vertical", Fraction(9, 16))), ("a-b", Style("a-b"))],
)
def test_styles_are_read_and_written(text, style):
    """A style stands in settings as name and shape."""
    assert read_style(text) == style
    assert str(style) == text


@pytest.mark.parametrize(
    "text", ["", "Vertical", "a_b", "x=", "x=0:1", "x=9:0", "x=100:1", "x=9:16:2", "../x", "-x", "a" * 40]
)
def test_styles_that_cannot_be_are_refused(text):
    """A name that would not be the same in a key, or a shape that is none, is an error that says so."""
    with pytest.raises(ValueError, match="must be styles such as"):
        read_style(text)
