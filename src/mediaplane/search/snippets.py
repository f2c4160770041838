"""What is shown of a hit: the part of its text around the first match, and where the matches are."""

from collections.abc import Iterable
from dataclasses import dataclass

from mediaplane.media.words import Token, shape, tokenise
from mediaplane.search.query import Query

MAX_SNIPPET_LETTERS = 200
LEAD_LETTERS = 60  # shown before the first match
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text to show, and the matches in it as (start, end) in characters."""

    text: str
    marks: tuple[tuple[int, int], ...]


class Marker:
    """Marks in texts what a query's words have matched."""

    def __init__(self, query: Query, meant: Iterable[str] = ()) -> None:
        terms = [term for clause in query.clauses for term in clause]
        self._words = {word.lexeme for term in terms for word in term.words} | set(meant)
        self._words |= {part for term in terms for word in term.words for part in word.parts}
        shapes = {shape(word) for word in self._words}
        self._long = tuple(looks for looks in shapes if len(looks) >= 4)
        self._beginnings = tuple(term.words[-1].lexeme for term in terms if term.prefix)
        glued = ["".join(word.lexeme for word in term.words) for term in terms if len(term.words) > 1]
        row = [term.words[0].lexeme for term in terms if len(term.words) == 1]
        glued += ["".join(row[start:end]) for start in range(len(row)) for end in (start + 2, start + 3, len(row))]
        self._shapes = shapes | set(map(shape, glued))

    def snippet(self, text: str) -> Snippet:
        """Return the part of `text` around its first match."""
        marks = [(token.start, token.end) for token in tokenise(text) if self._is_match(token)]
        if len(text) <= MAX_SNIPPET_LETTERS:
            return Snippet(text, tuple(marks))
        start = max(0, marks[0][0] - LEAD_LETTERS) if marks else 0
        start = text.rfind(" ", 0, start + 1) + 1 if start else 0
        end = min(len(text), start + MAX_SNIPPET_LETTERS)
        before, after = ELLIPSIS if start else "", ELLIPSIS if end < len(text) else ""
        shift = len(before) - start
        shown = tuple((first + shift, last + shift) for first, last in marks if start <= first and last <= end)
        return Snippet(before + text[start:end] + after, shown)

    def _is_match(self, token: Token) -> bool:
        if not self._words.isdisjoint(token.lexemes):
            return True
        if self._beginnings and any(lexeme.startswith(self._beginnings) for lexeme in token.lexemes):
            return True
        looks = [shape(lexeme) for lexeme in token.lexemes]
        if not self._shapes.isdisjoint(looks):
            return True
        return len(looks[0]) >= 10 and any(long in looks[0] for long in self._long)
