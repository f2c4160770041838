"""The query language and the text queries made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidQuery
from mediaplane.search.matching import EXACT, LIKELY, match_all
from mediaplane.search.moments import split_word
from mediaplane.search.query import EntityFilter, Query, parse_query


def shape_of(query: Query) -> list[list[str]]:
    return [[" ".join(word.lexeme for word in term.words) for term in clause] for clause in query.clauses]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("hello world", [["hello"], ["world"]]),
        ('say "hello world"', [["say"], ["hello world"]]),
        ('"hello world', [["hello world"]]),
        ("“hello world”", [["hello world"]]),
        ("a1 OR b1 c1", [["a1", "b1"], ["c1"]]),
        ("OR a1 OR", [["a1"]]),
        ("example.com", [["example com"]]),
        ("#Tag @Name", [["#tag"], ["@name"]]),
        ("--no-verify", [["no verify"]]),
        ("( hello )", [["hello"]]),
    ],
)
def test_parse_query_reads_terms(text, clauses):
    """Words, phrases and alternatives are told apart, whatever quotes and brackets say."""
    assert shape_of(parse_query(text)) == clauses


def test_parse_query_reads_exclusions_prefixes_and_filters():
    """Each sign goes where it belongs."""
    query = parse_query('word -bad -"very bad" pre* -url:example.com number:10..20')
    assert shape_of(query) == [["word"], ["pre"]]
    assert query.clauses[1][0].prefix
    assert [[word.lexeme for word in term.words] for term in query.excluded] == [["bad"], ["very", "bad"]]
    url, number = query.filters
    assert url == EntityFilter("url", "example.com", negative=True)
    assert (number.low, number.high, number.is_range) == (10, 20, True)


@pytest.mark.parametrize(
    "text", ["", "   ", '""', "-word", '-"a b" -url:example.com', "()", "x*", "number:abc", "url:/"]
)
def test_parse_query_refuses_what_asks_for_nothing(text):
    """A query without anything wanted is refused with a sentence."""
    with pytest.raises(InvalidQuery, match=r"\w+ \w+"):
        parse_query(text)


def test_parse_query_asks_once_for_what_is_written_twice():
    """The same word or phrase again changes nothing."""
    assert parse_query('settings "open it" Settings "open it"') == parse_query('settings "open it"')


def test_parse_query_refuses_what_is_too_long():
    """Length and number of words are bounded."""
    for text in ("x" * 1001, "ab " * 33):
        with pytest.raises(InvalidQuery, match="at most"):
            parse_query(text)


@given(st.text(max_size=60))
def test_parse_query_reads_or_refuses_anything(text):
    """No text breaks the parser or the text queries; what is accepted asks for something."""
    try:
        query = parse_query(text)
    except InvalidQuery:
        return
    assert query.clauses or any(not each.negative for each in query.filters)
    for reading in (EXACT, LIKELY):
        match = match_all(query, reading)
        assert (match.index or "").count("(") == (match.index or "").count(")")


@pytest.mark.parametrize(
    ("word", "ways"),
    [("openthe", [("open", "the")]), ("openthesettings", [("open", "the", "settings")]), ("open", []), ("opens", [])],
)
def test_split_word_takes_known_words_only(word, ways):
    """A glued word is split where all pieces are words of the owner, and never into itself."""
    assert split_word(word, {"open": 3, "the": 9, "settings": 2}) == ways
