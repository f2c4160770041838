"""Search over many segments against the bare SQL query: one JSON line per figure (milliseconds).

    python -m benchmarks.search [--segments 200000] [--dsn postgresql://…]

Without --dsn an embedded PostgreSQL is started in a temporary directory. Words are made up, with frequencies as in
natural text (Zipf), so the commonest stands in most segments.
"""

import argparse
import asyncio
import json
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from benchmarks import figures
from mediaplane.catalog import assets, segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.media.words import quote
from mediaplane.postgres import Connection, connect, migrate
from mediaplane.search.moments import search

SEED = 7
VOCABULARY = 40_000
WORDS_PER_SEGMENT = 7
SEGMENTS_PER_CHUNK = 500
CHUNKS_PER_ASSET = 10
QUERIES = 200

BARE = """
SELECT segment_id, asset_id, t_start_ms, t_end_ms, text FROM segments, (SELECT %s::tsquery AS query) q
WHERE owner = 'local' AND lexemes @@ query
ORDER BY ts_rank_cd(lexemes, query) DESC, segment_id DESC LIMIT 20
"""

SIZES = """
SELECT relname, pg_total_relation_size(oid) / 1000000 FROM pg_class
WHERE relname IN ('segments', 'segments_lexemes', 'lexicon', 'lexicon_deletions')
"""


PEERS = {
    "one_word": ("search_word_p95", "bare SQL"),
    "two_words": ("search_two_words_p95", "bare SQL"),
    "phrase": ("search_phrase_p95", "bare SQL"),
    "typo": ("search_typo_p95", "bare SQL of one word"),
}


def run_bench(_runs: int) -> None:
    """Print the figures of `make bench`: 95th percentiles on a million segments."""
    with server(None) as dsn:
        asyncio.run(run(dsn, 1_000_000))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--segments", type=int, default=200_000)
    options.add_argument("--dsn")
    given = options.parse_args()
    with server(given.dsn) as dsn:
        asyncio.run(run(dsn, given.segments))


@contextmanager
def server(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres(Path(directory)) as postgres:
        yield postgres.dsn


async def run(dsn: str, count: int) -> None:
    await migrate(dsn)
    conn = await connect(dsn)
    chance = random.Random(SEED)
    words = vocabulary(chance)
    weights = list(accumulate(1 / (rank + 2) for rank in range(VOCABULARY)))

    def text(length: int = WORDS_PER_SEGMENT) -> str:
        return " ".join(chance.choices(words, cum_weights=weights, k=length))

    await fill(conn, count, text)
    await conn.execute("VACUUM ANALYZE")
    sizes = await conn.execute(SIZES)
    report("size_mb", **dict(await sizes.fetchall()))
    rows = await conn.execute("SELECT word FROM lexicon WHERE length(word) > 2 ORDER BY seen DESC, word")
    words[:] = [row[0] for row in await rows.fetchall()]
    del weights[len(words) :]
    # Queries come from the same distribution, as those of people do.
    singles = [text(1) for _ in range(QUERIES)]
    pairs = [text(2) for _ in range(QUERIES)]
    rows = await conn.execute("SELECT text FROM segments ORDER BY md5(segment_id::text) LIMIT %s", [QUERIES])
    phrases = [" ".join(row[0].split()[2:5]) for row in await rows.fetchall()]
    typos = [misspell(chance, chance.choice(words[100:5000])) for _ in range(QUERIES)]
    await compare(conn, "one_word", singles, [quote(each) for each in singles])
    await compare(conn, "two_words", pairs, [" & ".join(map(quote, each.split())) for each in pairs])
    quoted = [f'"{each}"' for each in phrases]
    await compare(conn, "phrase", quoted, [" <-> ".join(map(quote, each.split())) for each in phrases])
    await compare(conn, "everywhere", [words[0]] * 20, [quote(words[0])] * 20)
    await compare(conn, "typo", typos, [quote(each) for each in singles])


def vocabulary(chance: random.Random) -> list[str]:
    letters = list(accumulate([8, 2, 3, 4, 12, 2, 2, 6, 7, 1, 1, 4, 3, 7, 8, 2, 1, 6, 6, 9, 3, 1, 2, 1, 2, 1]))
    found: set[str] = set()
    while len(found) < VOCABULARY:
        found.add("".join(chance.choices(string.ascii_lowercase, cum_weights=letters, k=chance.randint(3, 12))))
    words = sorted(found)
    chance.shuffle(words)
    return words


def misspell(chance: random.Random, word: str) -> str:
    place = chance.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


async def fill(conn: Connection, count: int, text: Callable[[], str]) -> None:
    row = await (await conn.execute("SELECT count(*) FROM segments")).fetchone()
    if row and row[0] >= count:  # an earlier run's, in the database of --dsn
        return
    started = time.perf_counter()
    for chunk in range(count // SEGMENTS_PER_CHUNK):
        asset = (f"bench-{chunk // CHUNKS_PER_ASSET}", "local", "local")
        if chunk % CHUNKS_PER_ASSET == 0:
            await assets.add(
                conn, asset_id=asset[0], owner="local", team="local", title="", status="ready", digest=None
            )
        start_ms = chunk % CHUNKS_PER_ASSET * 60_000
        rows = [
            NewSegment("ocr", start_ms + n * 120, start_ms + n * 120 + 4000, text(), (0, n % 40 * 25, 500, 20))
            for n in range(SEGMENTS_PER_CHUNK)
        ]
        async with conn.transaction():
            await segments.replace_chunk(conn, asset, chunk % CHUNKS_PER_ASSET, rows)
    spent = time.perf_counter() - started
    report("index_segments_per_second", ours=round(count / spent))


async def compare(conn: Connection, name: str, queries: list[str], bare: list[str]) -> None:
    async def ask(text: str) -> None:
        await search(conn, text, owner="local")

    async def ask_bare(query: str) -> None:
        await (await conn.execute(BARE, [query], prepare=False)).fetchall()

    ours, peers = await spent_ms(ask, queries), await spent_ms(ask_bare, bare)
    report(
        name,
        ours_p50=percentile(ours, 50),
        ours_p95=percentile(ours, 95),
        bare_p50=percentile(peers, 50),
        bare_p95=percentile(peers, 95),
    )
    if name in PEERS:
        figure, peer_name = PEERS[name]
        figures.report(
            figure, ours=percentile(ours, 95), peer=percentile(peers, 95), peer_name=peer_name, unit="ms",
            runs=len(queries),
        )  # fmt: skip


async def spent_ms(ask: Callable[[str], Awaitable[None]], queries: list[str]) -> list[float]:
    spent = []
    for query in queries:
        started = time.perf_counter()
        await ask(query)
        spent.append((time.perf_counter() - started) * 1000)
    return spent


def percentile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100)[percent - 1], 2)


def report(figure: str, **values: float) -> None:
    print(json.dumps({"figure": figure, **values}, default=float), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
