"""PostgreSQL text queries for a parsed query: what matches as written, what matches as OCR may have read it.

A phrase is matched in two steps, because PostgreSQL reads the postings of a word once for every place it has in a text
query: the index looks for its words, each named once, and a filter checks their order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from mediaplane.media.words import MIN_SHAPE_LETTERS, MIN_TAIL_LETTERS, SHAPE, TAIL, quote, shape
from mediaplane.search.query import Query, Term, Word

MAX_GLUED_WORDS = 3  # of a longer query, that OCR has read as one
MAX_SEGMENTED_WORDS = 4  # up to this many words all ways of gluing are tried, beyond it one place at a time

Alternatives = Mapping[str, Sequence[str]]  # a query's word to the words it may have meant


@dataclass(frozen=True, slots=True)
class Match:
    """What a segment must match: `index` by the full-text index, `order` in addition where there are phrases."""

    index: str | None
    order: str | None = None

    def whole(self) -> str:
        """Return both in one."""
        return " & ".join(part for part in (self.index, self.order) if part)


@dataclass(frozen=True, slots=True)
class Reading:
    """How literally a query's words are taken."""

    shapes: bool = False  # also what looks alike: 1OOO for 1000
    glued: bool = False  # also with spaces lost: openthe for open the
    tails: bool = False  # also inside a longer word, and a word as several
    meant: Alternatives = field(default_factory=dict)  # also these words for those
    splits: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)  # one word as several


EXACT = Reading()
LIKELY = Reading(shapes=True, glued=True)


def match_all(query: Query, reading: Reading) -> Match:
    """Return what a segment must match to be a hit by itself."""
    clauses = [match_clause(clause, reading) for clause in query.clauses]
    index = _with_neighbours(query, reading) if reading.glued else [str(clause.index) for clause in clauses]
    order = [clause.order for clause in clauses if clause.order]
    refused = [f"!({_in_order(term, EXACT)})" for term in query.excluded]
    return Match(" & ".join((*index, *refused)) or None, " & ".join(order) or None)


def match_exclusions(query: Query) -> str:
    """Return what is added to a tsquery to refuse what the query excludes; empty where it excludes nothing."""
    return "".join(f" & !({_in_order(term, EXACT)})" for term in query.excluded)


def match_clause(clause: Sequence[Term], reading: Reading) -> Match:
    """Return what a segment must match to have one of the clause's terms."""
    index = _any(_unordered(term, reading) for term in clause)
    if all(_is_single(term) and term.words[0].lexeme not in reading.splits for term in clause):
        return Match(index)
    return Match(index, _any(_in_order(term, reading) for term in clause))


def match_most(query: Query, reading: Reading) -> Match:
    """Return what a segment must match to have all clauses but one; for four clauses or more."""
    clauses = [match_clause(clause, reading) for clause in query.clauses]
    index = _all_but_one([str(clause.index) for clause in clauses]) + match_exclusions(query)
    return Match(index, _all_but_one([clause.whole() for clause in clauses]))


def _all_but_one(parts: Sequence[str]) -> str:
    return _any(
        " & ".join(part for place, part in enumerate(parts) if place != missing) for missing in range(len(parts))
    )


def _is_single(term: Term) -> bool:
    return len(term.words) == 1 and not term.words[0].parts


def _spell(word: str, reading: Reading, *, prefix: bool = False) -> list[str]:
    """Quoted lexemes by which one word is found."""
    spelt: list[str] = []
    for meant in (word, *reading.meant.get(word, ())):
        if prefix:
            spelt.append(quote(meant))  # its shape may be none of a longer word's: `cor` is not that of `corn`, `com`
        spelt += _spell_alone(meant, shapes=reading.shapes, tails=reading.tails)
    ending = ":*" if prefix else ""
    return list(dict.fromkeys(each if each.endswith(":*") else each + ending for each in spelt))


@lru_cache(maxsize=1024)  # a phrase's words stand in many rows
def _spell_alone(word: str, *, shapes: bool, tails: bool) -> tuple[str, ...]:
    looks = shape(word)
    # What looks alike holds the word itself: naming it too would have the index read the same places again.
    spelt = [quote(looks), quote(SHAPE + looks)] if shapes and len(word) >= MIN_SHAPE_LETTERS else [quote(word)]
    if tails and len(word) >= MIN_TAIL_LETTERS:
        spelt.append(quote(TAIL + looks) + ":*")
    return tuple(spelt)


def _any(parts: Iterable[str]) -> str:
    return f"({' | '.join(dict.fromkeys(parts))})"


def _unordered(term: Term, reading: Reading) -> str:
    """The term's words in any order: what the index can tell. A word may be had by any gluing it is part of."""
    choices = [
        _choices(word, reading, prefix=term.prefix and place == len(term.words) - 1)
        for place, word in enumerate(term.words)
    ]
    whole: list[str] = []  # all words as one: named once, not beside each word
    if reading.glued:
        for start, end, glued in _gluings(term.words):
            spelt = _spell(glued, reading, prefix=term.prefix and end == len(term.words))
            if end - start == len(term.words):
                whole = spelt
                continue
            for place in range(start, end):
                choices[place] += spelt
    apart = f"({' & '.join(_any(each) for each in choices)})"
    return _any([apart, *whole]) if whole else apart


def _choices(word: Word, reading: Reading, *, prefix: bool) -> list[str]:
    found = _spell(word.lexeme, reading, prefix=prefix)
    if reading.glued and word.parts:
        found.append(f"({' & '.join(quote(part) for part in word.parts)})")
    found += [f"({' & '.join(map(quote, pieces))})" for pieces in reading.splits.get(word.lexeme, ())]
    return found


def _in_order(term: Term, reading: Reading) -> str:
    """The term's words one after the other, flat: PostgreSQL misplaces words behind alternatives of unlike lengths."""
    rows = [list(term.words)]
    if reading.glued:
        rows += [[*term.words[:start], Word(glued), *term.words[end:]] for start, end, glued in _gluings(term.words)]
        if len(term.words) <= MAX_SEGMENTED_WORDS:
            rows += list(_segmentations(term.words))
        rows += [_spread(term.words)]
    for word, ways in reading.splits.items():
        if any(old.lexeme == word for old in term.words):
            rows += [
                [each for old in term.words for each in (map(Word, pieces) if old.lexeme == word else (old,))]
                for pieces in ways
            ]
    return _any(_row(row, reading, prefix=term.prefix) for row in rows)


def _row(words: Sequence[Word], reading: Reading, *, prefix: bool) -> str:
    last = len(words) - 1
    places = [_any(_spell(word.lexeme, reading, prefix=prefix and place == last)) for place, word in enumerate(words)]
    return f"({' <-> '.join(places)})"


def _spread(words: Sequence[Word]) -> list[Word]:
    """Identifiers as their parts: `my_name` as `my name`."""
    return [Word(part) for word in words for part in (word.parts or (word.lexeme,))]


def _gluings(words: Sequence[Word]) -> Iterator[tuple[int, int, str]]:
    """Runs of two and three words, and all of them, as one word: start, end, the word."""
    runs = {
        (start, end)
        for start in range(len(words))
        for end in range(start + 2, min(start + MAX_GLUED_WORDS, len(words)) + 1)
    }
    if len(words) > 1:
        runs.add((0, len(words)))
    for start, end in sorted(runs):
        if all(word.lexeme.isalnum() for word in words[start:end]):
            yield start, end, "".join(word.lexeme for word in words[start:end])


def _segmentations(words: Sequence[Word]) -> Iterator[list[Word]]:
    """All ways of two or more gluings at once: `openthe settingsmenu`."""
    if not all(word.lexeme.isalnum() for word in words):
        return
    for cuts in range(1 << (len(words) - 1)):
        row = [words[0].lexeme]
        for place, word in enumerate(words[1:]):
            if cuts >> place & 1:
                row.append(word.lexeme)
            else:
                row[-1] += word.lexeme
        if 1 < len(row) < len(words) - 1:  # the others are there already
            yield [Word(each) for each in row]


def _with_neighbours(query: Query, reading: Reading) -> list[str]:
    """The clauses for the index; single words that follow each other may be glued: `open the` in `openthe`."""
    index: list[str] = []
    run: list[Word] = []
    for clause in (*query.clauses, ()):  # the empty one ends the last run
        if len(clause) == 1 and _is_single(clause[0]) and not clause[0].prefix:
            run += clause[0].words
            continue
        if run:
            index.append(_unordered(Term(tuple(run)), reading))
            run = []
        if clause:
            index.append(_any(_unordered(term, reading) for term in clause))
    return index
