"""The query language.

words              all of them, in any order
"two words"        in this order; a quote left open ends with the query
-word -"a phrase"  not these
pre*               words that begin so
a OR b             one of them; binds closer than the space
#tag @name         as written on screen
url:example.com    a host with its subdomains, or any part of a path
number:49.99       a price, percentage or count; number:10..20, number:10.. and number:..20 are ranges
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from mediaplane.errors import InvalidQuery
from mediaplane.media.entities import fold_value, number_values
from mediaplane.media.words import Token, tokenise

MAX_QUERY_LETTERS = 1000
MAX_QUERY_WORDS = 32
MIN_PREFIX_LETTERS = 2

_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_PIECE = re.compile(r'(?P<minus>-(?=[^\s-]))?(?:(?P<key>url|number):)?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<bare>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a query: the lexeme it is found by, and its parts where it is an identifier (`my_name`)."""

    lexeme: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow each other; most often one. `prefix`: the last of them is only the beginning of a word."""

    words: tuple[Word, ...]
    prefix: bool = False
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """What the entities of a segment must have, or must not."""

    kind: Literal["url", "number"]
    value: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    negative: bool = False

    @property
    def is_range(self) -> bool:
        """Tell whether `low` and `high` count, not `value`."""
        return self.low is not None or self.high is not None


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: one of the terms of each clause must be there, none of `excluded`, and all filters hold."""

    clauses: tuple[tuple[Term, ...], ...]
    excluded: tuple[Term, ...] = ()
    filters: tuple[EntityFilter, ...] = ()

    def words(self) -> list[str]:
        """Return the lexemes asked for, each once, in order; beginnings of words are not among them."""
        terms = [term for clause in self.clauses for term in clause]
        found = [word.lexeme for term in terms for word in (term.words[:-1] if term.prefix else term.words)]
        return list(dict.fromkeys(found))


def parse_query(text: str) -> Query:
    """Return the query that `text` is.

    Raises:
        InvalidQuery: nothing to search for, only exclusions, too long, a prefix of one letter, or no number after
            `number:`.
    """
    if len(text) > MAX_QUERY_LETTERS:
        raise InvalidQuery(f"a query has at most {MAX_QUERY_LETTERS} characters, not {len(text)}")
    clauses: list[tuple[Term, ...]] = []
    excluded: list[Term] = []
    filters: list[EntityFilter] = []
    alternative = False  # an OR stands before
    for piece in _PIECE.finditer(text.translate(_QUOTES)):
        if piece.group() in ("OR", "|"):
            alternative = bool(clauses)
            continue
        if piece["key"] and (piece["bare"] or piece["phrase"]):
            if alternative:
                raise InvalidQuery("OR stands between words or phrases only, not beside url: or number:")
            filters.append(_filter(piece))
        elif term := _term(piece):
            if piece["minus"]:
                excluded.append(term)
            elif alternative:
                clauses[-1] = (*clauses[-1], term)
            else:
                clauses.append((term,))
        alternative = False
    query = Query(tuple(clauses), tuple(excluded), tuple(filters))
    _check(query)
    return replace(query, clauses=tuple(dict.fromkeys(clauses)))  # a word that was written twice is asked for once


def _check(query: Query) -> None:
    if not query.clauses and all(each.negative for each in query.filters):
        if query.excluded or query.filters:
            raise InvalidQuery("the query only says what is not wanted: add a word, a phrase or a filter that is")
        raise InvalidQuery("the query has no word to search for")
    count = sum(len(term.words) for term in _terms(query))
    if count > MAX_QUERY_WORDS:
        raise InvalidQuery(f"a query has at most {MAX_QUERY_WORDS} words, not {count}")


def _terms(query: Query) -> Iterator[Term]:
    for clause in query.clauses:
        yield from clause
    yield from query.excluded


def _term(piece: re.Match[str]) -> Term | None:
    """The words of a piece, None where it has none (a lone bracket)."""
    if piece["phrase"] is not None:
        words = _words(tokenise(piece["phrase"]))
        return Term(words, quoted=len(words) > 1) if words else None
    text = piece["bare"] or ""
    prefix = text.endswith("*") and len(text) > 1
    words = _words(tokenise(text.rstrip("*") if prefix else text))
    if prefix and words and len(words[-1].lexeme.lstrip("#@")) < MIN_PREFIX_LETTERS:
        raise InvalidQuery(f"{text}: a beginning of a word needs at least {MIN_PREFIX_LETTERS} letters before the *")
    return Term(words, prefix=prefix) if words else None


def _words(tokens: list[Token]) -> tuple[Word, ...]:
    return tuple(Word(token.lexemes[0], token.parts) for token in tokens)


def _filter(piece: re.Match[str]) -> EntityFilter:
    text = piece["bare"] or piece["phrase"]
    negative = bool(piece["minus"])
    if piece["key"] == "url":
        if value := fold_value("url", text):
            return EntityFilter("url", value, negative=negative)
        raise InvalidQuery(f"url:{text}: write a host or a part of a path, e.g. url:example.com")
    low, between, high = text.partition("..")
    if between and (low or high):
        return EntityFilter("number", low=_bound(low), high=_bound(high), negative=negative)
    return EntityFilter("number", _number(text), negative=negative)


def _bound(text: str) -> Decimal | None:
    return Decimal(_number(text)) if text else None


def _number(text: str) -> str:
    if values := number_values(text.strip(" %$€£¥₹₩₽")):
        return values[0]
    raise InvalidQuery(f"number:{text}: write a number, e.g. number:49.99, or a range, e.g. number:10..20")
