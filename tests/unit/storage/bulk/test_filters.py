"""Which names take part."""

import pytest

from mediaplane.storage.bulk.filters import compile_pattern, read_filter


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.mp4", "a/b/c.mp4", True),
        ("*.mp4", "c.mp4.part", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", True),
        ("a?c", "ac", False),
        ("clip [1080p].mp4", "clip [1080p].mp4", True),
        ("clip [1080p].mp4", "clip 1.mp4", False),
        ("*", "", True),
        ("a*", "a\nb", True),
        ("**/x", "a/b/x", True),
        ("a.b", "axb", False),
    ],
)
def test_pattern_matches_whole_names(pattern: str, name: str, fits: bool):
    """`*` also matches `/` and line breaks, `[` is itself."""
    assert bool(compile_pattern(pattern)(name)) is fits


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([], ["a.mp4", "a.jpg", "tmp/a.mp4", "tmp/keep/a.mp4"]),
        ([("include", "*.mp4")], ["a.mp4", "tmp/a.mp4", "tmp/keep/a.mp4"]),
        ([("exclude", "tmp/*")], ["a.mp4", "a.jpg"]),
        ([("exclude", "tmp/*"), ("include", "tmp/keep/*")], ["a.mp4", "a.jpg", "tmp/keep/a.mp4"]),
        ([("include", "tmp/keep/*"), ("exclude", "tmp/*")], []),
        ([("exclude", "*"), ("include", "*.jpg")], ["a.jpg"]),
        ([("include", "*.mp4"), ("exclude", "tmp/*")], ["a.mp4"]),
    ],
)
def test_last_rule_that_matches_decides(rules: list[tuple[str, str]], taken: list[str]):
    """What no rule matches takes part unless the first rule includes."""
    chosen = read_filter(rules)
    assert [name for name in ("a.mp4", "a.jpg", "tmp/a.mp4", "tmp/keep/a.mp4") if chosen.takes(name)] == taken


def test_lists_without_order_have_both_their_way():
    """Called from Python with two lists, what is excluded stays out."""
    chosen = read_filter(include=["*.mp4"], exclude=["tmp/*"])
    assert chosen.takes("a.mp4")
    assert not chosen.takes("tmp/a.mp4")
    assert not chosen.takes("a.jpg")
