"""A database of many segments of made-up words, for the benchmark of search; kept in `.services/` between runs.

The words' frequencies are those of natural text (Zipf), so the commonest stands in every third segment. Rows are what
`catalog/segments.py` would write, but copied in at once, with the indexes made afterwards: a minute for a million.
"""

import hashlib
import random
import shutil
import string
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path

from mediaplane.catalog import lexicon, segments
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.media import words
from mediaplane.postgres import Connection, connect, migrate

KEPT = Path(__file__).parent.parent / ".services" / "segments"
OWNER, TEAM = "local", "local"
SEED = 7
VOCABULARY = 40_000
WORDS_PER_SEGMENT = 7
SEGMENTS_PER_CHUNK = 500
CHUNKS_PER_ASSET = 10

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = indexname JOIN pg_index ON indexrelid = oid
WHERE schemaname = 'mediaplane' AND tablename = 'segments' AND NOT indisprimary
"""
ADD_ASSETS = """
INSERT INTO assets (asset_id, owner, team, title, status)
SELECT 'bench-' || n, %s, %s, '', 'ready' FROM generate_series(0, %s - 1) AS n
"""


class Chance:
    """Draws words as often as a text has them; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.words = _vocabulary(random.Random(SEED))
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(VOCABULARY)))

    def draw(self, count: int) -> list[str]:
        """Return this many words."""
        return self.random.choices(self.words, cum_weights=self._weights, k=count)


def _vocabulary(chance: random.Random) -> list[str]:
    """Return words, the commonest first."""
    letters = list(accumulate([8, 2, 3, 4, 12, 2, 2, 6, 7, 1, 1, 4, 3, 7, 8, 2, 1, 6, 6, 9, 3, 1, 2, 1, 2, 1]))
    found: set[str] = set()
    while len(found) < VOCABULARY:
        found.add("".join(chance.choices(string.ascii_lowercase, cum_weights=letters, k=chance.randint(3, 12))))
    made = sorted(found)
    chance.shuffle(made)
    return made


@contextmanager
def server(count: int) -> Iterator[str]:
    """Run the server whose database has this many segments, or is to have them; one of another shape is removed."""
    drawn = Chance(SEED).draw(10_000)
    shape = f"{count} {WORDS_PER_SEGMENT} {SEGMENTS_PER_CHUNK} {CHUNKS_PER_ASSET} {_tsvector(drawn)}"
    directory = KEPT / hashlib.sha256(shape.encode()).hexdigest()[:12]
    if not directory.exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        directory.mkdir(parents=True)
    with EmbeddedPostgres(directory) as postgres:
        yield postgres.dsn


async def opened(dsn: str, count: int) -> Connection:
    """Return a connection to the database, filled."""
    await migrate(dsn)
    conn = await connect(dsn)
    row = await (await conn.execute("SELECT count(*) FROM segments")).fetchone()
    if not row or row[0] != count:
        async with conn.transaction():
            await _fill(conn, count)
        await conn.execute("VACUUM ANALYZE")
    return conn


async def _fill(conn: Connection, count: int) -> None:
    await conn.execute(ADD_ASSETS, [OWNER, TEAM, -(-count // SEGMENTS_PER_CHUNK // CHUNKS_PER_ASSET)])
    indexes = await (await conn.execute(INDEXES)).fetchall()
    for name, _ in indexes:
        await conn.execute(f"DROP INDEX {name}")
    seen = await _copy(conn, count)
    await conn.execute("SELECT setval(pg_get_serial_sequence('segments', 'segment_id'), %s)", [count])
    for _, definition in indexes:
        await conn.execute(definition)
    await lexicon.adjust(conn, OWNER, TEAM, seen)


async def _copy(conn: Connection, count: int) -> Counter[str]:
    """Copy the segments in; return how many each word stands in."""
    chance, seen = Chance(SEED), Counter[str]()
    async with conn.cursor() as cursor, cursor.copy(segments.SQL["copy_segments"]) as copy:
        for number in range(count):
            drawn = chance.draw(WORDS_PER_SEGMENT)
            seen.update(set(drawn))
            chunk, place = divmod(number, SEGMENTS_PER_CHUNK)
            start_ms = chunk % CHUNKS_PER_ASSET * 60_000 + place * 120
            asset = (f"bench-{chunk // CHUNKS_PER_ASSET}", OWNER, TEAM, chunk % CHUNKS_PER_ASSET)
            text = (" ".join(drawn), _tsvector(drawn), [0, place % 40 * 25, 500, 20])
            await copy.write_row((number + 1, *asset, "ocr", start_ms, start_ms + 4000, *text, None, None, None))
    return seen


def _tsvector(drawn: list[str]) -> str:
    """Return what `media.words.tsvector` makes of the words' text; they are simple, so each is looked at once."""
    return " ".join(f"{lexeme}:{place}" for place, word in enumerate(drawn, 1) for lexeme in _quoted_lexemes(word))


@cache
def _quoted_lexemes(word: str) -> tuple[str, ...]:
    return tuple(words.quote(lexeme) for lexeme, _ in words.lexemes(word))
