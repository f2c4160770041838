"""What may stand in highlights.json."""

import json

import pytest

from mediaplane.errors import InvalidHighlights
from mediaplane.media.highlights import Moment, check, etag_of, read_file

MOMENT = {"start_ms": 1000, "end_ms": 2000, "score": 0.5, "title": "A", "style": "vertical", "reasons": ["loud"]}


def test_highlights_are_read_as_they_were_written():
    """What is written is read again, and the same highlights are the same bytes and so the same version."""
    made = check("a", 60_000, [MOMENT, {"start_ms": 5, "end_ms": 9}], detector="default")
    content = made.to_bytes()
    assert read_file(content, asset_id="a", duration_ms=60_000) == made
    assert etag_of(content) == etag_of(
        check("a", 60_000, [MOMENT, {"start_ms": 5, "end_ms": 9}], detector="default").to_bytes()
    )
    assert json.loads(content)["moments"][0] == MOMENT


def test_moments_have_defaults():
    """Only the times are needed."""
    assert check("a", 10, [{"start_ms": 0, "end_ms": 10}]).moments == (Moment(0, 10, 0.0, "", "original", ()),)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"start_ms": -1}, "start_ms and end_ms"),
        ({"end_ms": 1000}, "start_ms and end_ms"),
        ({"end_ms": 60_001}, "within 0 to 60000"),
        ({"start_ms": 1.5}, "whole"),
        ({"start_ms": True}, "whole"),
        ({"score": 1.1}, "score"),
        ({"score": float("nan")}, "score"),
        ({"title": "x" * 201}, "title"),
        ({"title": 7}, "title"),
        ({"style": "Über"}, "style"),
        ({"style": "../x"}, "style"),
        ({"reasons": "loud"}, "reasons"),
        ({"reasons": ["x"] * 11}, "reasons"),
        ({"colour": "red"}, "unknown entries: colour"),
    ],
)
def test_moments_that_cannot_be_are_refused(change, problem):
    """The message says which moment is wrong, and how."""
    with pytest.raises(InvalidHighlights, match=f"moment 2: .*{problem}"):
        check("a", 60_000, [MOMENT, {**MOMENT, **change}])


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"moments": 3}', b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_none_are_refused(content):
    """Somebody's own file under the key is an error of theirs, not of ours."""
    with pytest.raises(InvalidHighlights):
        read_file(content, asset_id="a", duration_ms=1)


def test_too_many_moments_are_refused():
    """Names of clips have two digits for them."""
    with pytest.raises(InvalidHighlights, match="at most 99"):
        check("a", 60_000, [MOMENT] * 100)


def test_titles_hold_nothing_invisible():
    """What a terminal or the database could not hold is dropped."""
    assert check("a", 60_000, [{**MOMENT, "title": "a\x00\x1b\ud800b\u202e"}]).moments[0].title == "ab"
