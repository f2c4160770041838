"""The lexicon: the distinct words of an owner's segments, and the words a misspelt one may have meant.

A word is stored with its *deletions*: itself with one or two letters left out. A misspelt word and the word that was
meant share a deletion, so candidates are found by index, whatever the size of the lexicon (the SymSpell idea), and
only those few are measured.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from psycopg.rows import scalar_row, tuple_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("lexicon")

MIN_WORD_LETTERS = 3  # a stored word shorter than this is nobody's correction
PREFIX_LETTERS = 7  # deletions are taken from a word's beginning only: 29 rows a word at most
MAX_SUGGESTIONS = 5
MAX_OWNERS = 100  # of a team whose words are looked at


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word that may have been meant: how many letters away, and in how many segments it stands."""

    word: str
    distance: int
    seen: int


def allowed_distance(word: str) -> int:
    """Return how many letters of a query's word may be wrong: 1 of 4 to 6, 2 of 7 or more."""
    return 0 if len(word) < 4 else 1 if len(word) < 7 else 2


def deletions(word: str, distance: int) -> set[str]:
    """Return the beginning of `word` with up to `distance` letters left out, itself included."""
    start = word[:PREFIX_LETTERS]
    return {
        "".join(kept)
        for left_out in range(min(distance, len(start)) + 1)
        for kept in combinations(start, len(start) - left_out)
    }


async def adjust(conn: Connection, owner: str, team: str, changes: Mapping[str, int]) -> None:
    """Add to the counts of words, in the caller's transaction; new words get their deletions.

    Rows are locked in the order of words: callers that do this last in their transaction cannot deadlock.
    """
    changed = sorted((word, count) for word, count in changes.items() if count)
    if not changed:
        return
    values = {"owner": owner, "team": team, "words": [word for word, _ in changed], "counts": [n for _, n in changed]}
    async with conn.cursor(row_factory=scalar_row) as cursor:
        new = await (await cursor.execute(SQL["adjust"], values)).fetchall()
        async with cursor.copy(SQL["copy_deletions"]) as copy:
            for word in new:
                for deletion in _stored_deletions(word):
                    await copy.write_row((owner, deletion, word))


async def known(conn: Connection, owner: str | None, team: str | None, words: Collection[str]) -> dict[str, int]:
    """Return those of `words` that the segments of an owner and a team have, with the number of segments."""
    owners = await _owners(conn, owner, team)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL["known"], {"owners": owners, "words": list(words)})
        return dict(await cursor.fetchall())


async def suggest(
    conn: Connection, owner: str | None, team: str | None, words: Sequence[str]
) -> dict[str, list[Suggestion]]:
    """Return for each of `words` up to five others it may have meant: nearest first, then most frequent."""
    wanted = {deletion for word in words for deletion in deletions(word, allowed_distance(word))}
    owners = await _owners(conn, owner, team)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        values = {"owners": owners, "deletions": sorted(wanted), "longest": max(map(len, words), default=0) + 2}
        candidates = await (await cursor.execute(SQL["sharing_deletions"], values)).fetchall()
    return {word: _nearest(word, candidates) for word in words if allowed_distance(word)}


async def prune_lexicon(conn: Connection) -> int:
    """Count all words anew, drop those no segment has any more, and return how many went. For a daily task.

    Deleting an asset does not touch the lexicon; until this runs its words are only offered as corrections that
    find nothing. A word that changes meanwhile is left for the next time.
    """
    async with conn.cursor(row_factory=scalar_row) as cursor:
        owners = await (await cursor.execute(SQL["owners"])).fetchall()
        dropped = 0
        for owner in owners:
            dropped += await recount_owner(conn, owner)
        return dropped


async def recount_owner(conn: Connection, owner: str) -> int:
    """Count an owner's words anew, drop those no segment has any more, and return how many went."""
    await conn.execute(SQL["recount"], {"owner": owner})
    return (await conn.execute(SQL["drop_unseen"], {"owner": owner})).rowcount


async def _owners(conn: Connection, owner: str | None, team: str | None) -> list[str]:
    """Return whose words to look at: words are kept by owner, so those of a team are its owners'."""
    if owner is not None:
        return [owner]
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(SQL["owners_of_team"], {"team": team, "limit": MAX_OWNERS})
        return await cursor.fetchall()


def _stored_deletions(word: str) -> Iterable[str]:
    if len(word) < MIN_WORD_LETTERS:
        return ()
    return sorted(deletions(word, 2 if len(word) >= PREFIX_LETTERS else 1))


def _nearest(word: str, candidates: Iterable[tuple[str, int]]) -> list[Suggestion]:
    from rapidfuzz.distance import OSA  # 50 ms to import, and most queries are spelt rightly

    limit = allowed_distance(word)
    near = [
        Suggestion(candidate, distance, seen)
        for candidate, seen in candidates
        if candidate != word and (distance := OSA.distance(word, candidate, score_cutoff=limit)) <= limit
    ]
    near.sort(key=lambda each: (each.distance, -each.seen, each.word))
    return near[:MAX_SUGGESTIONS]
