"""Ranked moments: a query in, hits with times out, page by page.

Ways of matching, from the surest to the loosest; what is below the line is tried only while nothing was found:

    line     all words in one line, as written or as OCR may have read them     score 0.6-1
    screen   all clauses on lines seen at the same time                         0.35-0.55
    ----
    inside   words inside longer ones (spaces lost), or taken apart             0.4-0.55
    typo     words corrected from the owner's lexicon, in one line              0.3-0.5
    typo_screen, most (all words but one), apart (phrases as loose words)       below
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from mediaplane.catalog import lexicon, moments
from mediaplane.catalog.moments import Criteria, EntityCondition, Line, Narrowing, Ranking, Window
from mediaplane.errors import InvalidQuery, InvalidRange
from mediaplane.media.words import is_lexical, tokenise
from mediaplane.postgres import Connection
from mediaplane.search.cursors import Cursor, read_cursor, search_digest, write_cursor
from mediaplane.search.matching import EXACT, LIKELY, Match, Reading, match_all, match_exclusions, match_most
from mediaplane.search.query import Query, Term, parse_query
from mediaplane.search.screens import find_screens, sort_key
from mediaplane.search.snippets import Marker, Snippet

MAX_PAGE_HITS = 200
MIN_WORDS_FOR_MOST = 4
FEW_HITS = 3  # with more of them, words on different lines are looked for on the next page only
SPLIT_LETTERS = range(4, 31)
MAX_SPLITS = 3
MAX_SPLIT_WORDS = 4

# Groups of ways: a page that one way does not fill is filled by the next of its group.
_GROUPS = (("line", "screen"), ("inside",), ("typo", "typo_screen"), ("most",), ("apart",))


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment: an asset, a time range in it, and the text that matched."""

    asset_id: str
    t_start_ms: int
    t_end_ms: int
    text: str
    snippet: Snippet
    score: float  # 0 to 1
    frame_ms: int | None  # the kept keyframe in which the text is first seen
    segment_id: int
    box: tuple[int, int, int, int] | None  # x, y, width, height in pixels of the original
    source: str


@dataclass(frozen=True, slots=True)
class Page:
    """Hits, best first; `corrections` is what was read for misspelt words.

    `next` is the cursor of the following page, None where nothing follows. Where some hits were found, looser ways of
    matching are left to the next page, which may then be empty.
    """

    hits: list[Hit]
    next: str | None
    corrections: dict[str, str] = field(default_factory=dict)


async def search(
    conn: Connection,
    text: str,
    *,
    owner: str | None,
    team: str | None = None,
    asset_id: str | None = None,
    after_ms: int | None = None,
    before_ms: int | None = None,
    source: str | None = None,
    limit: int = 20,
    page: str | None = None,
) -> Page:
    """Return the moments of assets that match `text` (see `search/query.py` for the language).

    The assets are those of an owner and a team; either may be None, then it does not matter.

    One query to the database where the words are found as written; more for the looser ways. All pages together
    hold every hit once: candidates are ranked a thousand at a time, the newest first.

    Raises:
        InvalidQuery: the text cannot be understood, or `page` is no cursor of this search.
        InvalidRange: `limit` is not 1 to 200, or the time range ends before it begins.
    """
    if not 1 <= limit <= MAX_PAGE_HITS:
        raise InvalidRange(f"a page has 1 to {MAX_PAGE_HITS} hits, not {limit}")
    if after_ms is not None and before_ms is not None and before_ms < after_ms:
        raise InvalidRange("the time range ends before it begins")
    narrowing = Narrowing(owner, team, asset_id, after_ms, before_ms, source)
    seeker = _Seeker(conn, parse_query(text), narrowing)
    cursor = read_cursor(page, search_digest(text, narrowing)) if page else None
    found, rest = await seeker.resume(cursor, limit + 1) if cursor else await seeker.begin(limit + 1)
    hits = seeker.hits([line for line, _ in found[:limit]])
    following = found[limit - 1][1] if len(found) > limit else rest
    after = write_cursor(following, search_digest(text, narrowing)) if following else None
    return Page(hits, after, seeker.corrections(hits))


# Lines, each with the cursor that stands behind it; where a next page would begin though this one is not full.
_Found = tuple[list[tuple[Line, Cursor]], Cursor | None]


class _Seeker:
    """One search under way; lines come with the cursor that stands behind them."""

    def __init__(self, conn: Connection, query: Query, narrowing: Narrowing) -> None:
        self._conn = conn
        self._query = query
        entities = [EntityCondition(f.kind, f.value or None, f.low, f.high, f.negative) for f in query.filters]
        self._criteria = Criteria(narrowing, entities=entities)
        self._meant: Mapping[str, list[str]] = {}
        self._is_all_known = False  # then guesses are wild: not worth looking for on several lines

    async def begin(self, count: int) -> _Found:
        """Return up to `count` lines of the first group of ways that finds any."""
        for ways in _GROUPS:
            found, rest = await self._collect(ways, None, count)
            if found:
                return found, rest
        return [], None

    async def resume(self, cursor: Cursor, count: int) -> _Found:
        """Return up to `count` lines behind the cursor."""
        self._meant = cursor.meant
        for ways in _GROUPS:
            if cursor.way in ways:
                return await self._collect(ways[ways.index(cursor.way) :], cursor, count)
        raise InvalidQuery("the page cursor is damaged: begin again without it")

    def hits(self, lines: Sequence[Line]) -> list[Hit]:
        """Return the lines as hits."""
        marker = Marker(self._query, [word for words in self._meant.values() for word in words])
        return [
            Hit(
                line.asset_id,
                line.t_start_ms,
                line.t_end_ms,
                line.text,
                marker.snippet(line.text),
                line.score,
                line.frame_ms,
                line.segment_id,
                line.box,
                line.source,
            )
            for line in lines
        ]

    def corrections(self, hits: Sequence[Hit]) -> dict[str, str]:
        """Return for each misspelt word the one that was found for it first."""
        if not hits or not self._meant:
            return {}
        shown = dict.fromkeys(lexeme for hit in hits for token in tokenise(hit.text) for lexeme in token.lexemes)
        found = {word: next((each for each in shown if each in meant), None) for word, meant in self._meant.items()}
        return {word: found[word] or meant[0] for word, meant in self._meant.items() if meant}

    async def _collect(self, ways: Sequence[str], cursor: Cursor | None, count: int) -> _Found:
        found: list[tuple[Line, Cursor]] = []
        for way in ways:
            start = cursor if cursor and cursor.way == way else Cursor(way, meant=self._meant)
            if len(found) > FEW_HITS and len(self._query.clauses) > 1:
                return found, start if len(found) < count else None
            found += await self._find(way, start, count - len(found))
            if len(found) == count:
                break
        return found, None

    async def _find(self, way: str, cursor: Cursor, count: int) -> list[tuple[Line, Cursor]]:
        if way.startswith("typo"):
            self._meant = self._meant or await self._guess()
            cursor = replace(cursor, meant=self._meant)
        if plan := await self._line_plan(way):
            match, ranking = plan
            return await self._ranked(
                replace(self._criteria, index=match.index, order=match.order), ranking, cursor, count
            )
        screens = await self._screens(way)
        if cursor.behind:
            last = sort_key(cursor.behind)
            screens = [line for line in screens if sort_key(line) > last]
        return [(line, replace(cursor, behind=moments.place_of(line))) for line in screens[:count]]

    async def _line_plan(self, way: str) -> tuple[Match, Ranking] | None:
        """What one line must match in this way, and how it is scored; None where the way does not apply."""
        query, count = self._query, len(self._query.words())
        if way == "line":
            exact = match_all(query, EXACT).whole() if query.clauses else None
            return match_all(query, LIKELY), Ranking(exact, best=0.8, rest=0.6, spread=0.2, words=count)
        if way == "inside" and query.clauses:
            reading = replace(LIKELY, tails=True, splits=await self._splits())
            return match_all(query, reading), Ranking(None, best=0.4, rest=0.4, spread=0.15, words=count)
        if way == "typo" and self._meant:
            first = Reading(glued=True, meant={word: meant[:1] for word, meant in self._meant.items()})
            exact = match_all(query, first).whole()
            reading = replace(LIKELY, meant=self._meant)
            return match_all(query, reading), Ranking(exact, best=0.4, rest=0.3, spread=0.1, words=count)
        if way == "most" and len(query.clauses) >= MIN_WORDS_FOR_MOST:
            return match_most(query, LIKELY), Ranking(None, best=0.2, rest=0.2, spread=0.1, words=count)
        return None

    async def _screens(self, way: str) -> list[Line]:
        excluded = match_exclusions(self._query)
        if way == "screen":
            return await find_screens(self._conn, self._query, self._criteria, LIKELY, excluded=excluded)
        if way == "typo_screen" and self._meant and not self._is_all_known:
            reading = replace(LIKELY, meant=self._meant)
            return await find_screens(self._conn, self._query, self._criteria, reading, excluded=excluded, ceiling=0.35)
        if way == "apart":
            loose = _take_apart(self._query)
            if loose != self._query:
                return await find_screens(self._conn, loose, self._criteria, LIKELY, excluded=excluded, ceiling=0.3)
        return []

    async def _ranked(
        self, criteria: Criteria, ranking: Ranking, cursor: Cursor, count: int
    ) -> list[tuple[Line, Cursor]]:
        """Lines window after window: the newest candidates, ranked; then those older than they.

        Touching lines of the same text are one; the window's lines are read on until the last such run has ended.
        """
        found: list[tuple[Line, Cursor]] = []
        window, behind = cursor.window, cursor.behind
        while True:
            wanted = count - len(found) + 1
            ranked = await moments.rank(self._conn, criteria, ranking, window=window, behind=behind, limit=wanted)
            if window.lower is None:  # from now on its ends are fixed, whatever is added or deleted
                window = Window(ranked.window.upper, ranked.window.lower if ranked.is_full else 0)
            for line in ranked.lines:
                behind = moments.place_of(line)
                here = replace(cursor, window=window, behind=behind)
                if found and _continues(found[-1][0], line):
                    found[-1] = (_joined(found[-1][0], line), here)
                elif len(found) == count:
                    return found
                else:
                    found.append((line, here))
            if len(ranked.lines) < wanted:
                if not window.lower or len(found) == count:
                    return found
                window, behind = Window(window.lower - 1), None

    async def _guess(self) -> dict[str, list[str]]:
        """Return what misspelt words may have meant: only unknown words are corrected, all if every one is known."""
        words = {word: word.lstrip("#@") for word in self._query.words() if is_lexical(word.lstrip("#@"))}
        narrowing = self._criteria.narrowing
        whose = narrowing.owner, narrowing.team
        known = await lexicon.known(self._conn, *whose, list(words.values()))
        doubtful = {word: bare for word, bare in words.items() if bare not in known}
        self._is_all_known = not doubtful
        doubtful = doubtful or words
        suggestions = await lexicon.suggest(self._conn, *whose, list(doubtful.values()))
        return {
            word: [word[: len(word) - len(bare)] + each.word for each in suggestions[bare]]
            for word, bare in doubtful.items()
            if suggestions.get(bare)
        }

    async def _splits(self) -> dict[str, list[tuple[str, ...]]]:
        """Return for words that may be several (`openthe`) the known words they are made of."""
        words = [word for word in self._query.words() if len(word) in SPLIT_LETTERS and is_lexical(word)]
        pieces = {word[start:end] for word in words for start, end in combinations(range(len(word) + 1), 2)}
        pieces = {piece for piece in pieces if len(piece) > 1}
        narrowing = self._criteria.narrowing
        known = await lexicon.known(self._conn, narrowing.owner, narrowing.team, pieces) if pieces else {}
        split = {word: split_word(word, known) for word in words}
        return {word: ways for word, ways in split.items() if ways}


def _continues(line: Line, other: Line) -> bool:
    """Tell whether `other`, which comes later, is the same text still to be read."""
    same = (line.asset_id, line.source, line.text) == (other.asset_id, other.source, other.text)
    return same and other.t_start_ms <= line.t_end_ms


def _joined(line: Line, other: Line) -> Line:
    return replace(line, t_end_ms=max(line.t_end_ms, other.t_end_ms))


def _take_apart(query: Query) -> Query:
    """Phrases as loose words."""
    clauses: list[tuple[Term, ...]] = []
    for clause in query.clauses:
        words = clause[0].words if len(clause) == 1 and not clause[0].prefix else ()
        clauses += [(Term((word,)),) for word in words] if len(words) > 1 else [clause]
    return replace(query, clauses=tuple(clauses))


def split_word(word: str, known: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return the ways in which `word` is two to four known words: fewest first, then those with the commonest words."""
    ways: list[list[tuple[str, ...]]] = [[] for _ in range(len(word) + 1)]
    ways[0] = [()]
    for end in range(1, len(word) + 1):
        reached = [
            (*way, word[start:end])
            for start in range(end)
            if word[start:end] in known and start + len(word) - end  # not the word itself
            for way in ways[start]
            if len(way) < MAX_SPLIT_WORDS
        ]
        reached.sort(key=lambda way: (len(way), -min(known[piece] for piece in way)))
        ways[end] = reached[:MAX_SPLITS]
    return ways[-1]
