"""Entities: what is found in a line, and what is not mistaken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.entities import find_entities, fold_value, number_values


def found(text: str) -> list[tuple[str, str]]:
    return [(entity.kind, entity.value) for entity in find_entities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask @Maria.Lopez, now", [("mention", "maria.lopez")]),
        ("mail bob@example.com", []),
        ("#LaunchDay! #launchday", [("hashtag", "launchday")]),
        ("issue #1042", [("number", "1042")]),
        ("https://Docs.Example.com/a/b?x=1.", [("url", "docs.example.com/a/b?x=1")]),
        ("https:/example.com/x", [("url", "example.com/x")]),
        ("see www.example.com", [("url", "example.com")]),
        ("at example.com/pricing and main.py", [("url", "example.com/pricing")]),
        ("http://localhost:8000/v1", [("url", "localhost:8000/v1")]),
        ("Total $1,299.00", [("number", "1299")]),
        ("$4O.99 each", [("number", "40.99")]),
        ("49,99 € or 20%", [("number", "49.99"), ("number", "20")]),
        ("-3.5 degrees", [("number", "-3.5")]),
        ("12:30 on 2024-01-02, version 1.2.3", []),
        ("nice 👍🏽 ❤️", [("emoji", "👍🏽"), ("emoji", "❤")]),
        ("👨‍👩‍👧 🇩🇪", [("emoji", "👨‍👩‍👧"), ("emoji", "🇩🇪")]),
        ("plain words only", []),
    ],
)
def test_entities_of_a_line(text, expected):
    """Each kind is found with its folded value, in reading order, once."""
    assert found(text) == expected


def test_entities_keep_the_text_as_read():
    """The text is what stood there, the value what filters compare."""
    assert [entity.text for entity in find_entities("pay $1,299.00 to @Maria")] == ["$1,299.00", "@Maria"]


@pytest.mark.parametrize(
    ("digits", "values"),
    [
        ("1,299.00", ("1299",)),
        ("1.299,50", ("1299.5",)),
        ("1.299", ("1.299", "1299")),
        ("49.90", ("49.9",)),
        ("0.05", ("0.05",)),
        ("007", ("007",)),
        ("1.2.3", ()),
        ("1,2,3", ()),
        ("", ()),
        ("x", ()),
    ],
)
def test_number_values(digits, values):
    """Separators of thousands and decimals are told apart; what may be both has both values."""
    assert number_values(digits) == values


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_number_values_read_what_was_written(whole, cents):
    """A price written with commas and cents is read back."""
    (value, *_) = number_values(f"{whole:,}.{cents:02}")
    assert float(value) == pytest.approx(whole + cents / 100)


@given(st.text(max_size=100))
def test_entities_of_anything_are_well_formed(text):
    """No text fails; values and texts are never empty, and each value is there once."""
    entities = find_entities(text)
    assert all(entity.value and entity.text for entity in entities)
    assert len({(entity.kind, entity.value) for entity in entities}) == len(entities)


@given(st.from_regex(r"[a-z]{1,8}\.(com|org|dev)(/[a-z]{1,5}){0,3}", fullmatch=True))
def test_entities_url_filter_compares_as_stored(address):
    """A URL and the same address typed into a filter have one value."""
    assert found(f"go to https://www.{address} now") == [("url", fold_value("url", address))]
