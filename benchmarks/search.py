"""Search over many segments against bare SQL on one connection: 95th percentiles, one JSON line a figure.

    python -m benchmarks.search [--segments 200000] [--queries 100]

The peer is what somebody would write who knows the index: the words as they are written, the same owner, team and
limit, the newest thousand that match, ranked. (To rank all that match takes seconds where a word is everywhere.) Both
take turns on each query, after one turn that warms the pages it needs.

The search does more: it also finds words as OCR may have misread them and, of two words, where few lines hold both,
lines seen at the same time; where nothing is found, words that were misspelt. What its first question alone costs as
bare SQL, misread words included, is told on stderr (`same`). The peer of misspelt words asks for one word, spelt well.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time

from benchmarks.figures import report
from benchmarks.many_segments import OWNER, TEAM, Chance, opened, server
from mediaplane.catalog.moments import MAX_CANDIDATES
from mediaplane.media.words import quote
from mediaplane.postgres import Connection
from mediaplane.search.matching import LIKELY, match_all
from mediaplane.search.moments import search
from mediaplane.search.query import parse_query

SEGMENTS = 1_000_000
QUERIES = 200
ROUNDS = 3  # of which the median counts
SEED = 11
LIMIT = 20

BARE = f"""
SELECT segment_id, asset_id, t_start_ms, t_end_ms, text, box FROM (
    SELECT * FROM segments WHERE owner = '{OWNER}' AND team = '{TEAM}' AND lexemes @@ %(words)s::tsquery
    AND (%(order)s::text IS NULL OR (lexemes @@ %(order)s::tsquery) IS TRUE)
    ORDER BY segment_id DESC LIMIT {MAX_CANDIDATES}
) AS newest ORDER BY ts_rank_cd(lexemes, %(words)s::tsquery) DESC, segment_id DESC LIMIT {LIMIT}
"""


def run_bench(_runs: int) -> None:
    """Print the figures of `make bench`."""
    measure(SEGMENTS, QUERIES)


def main() -> None:
    """Print the figures for as many segments as are asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--segments", type=int, default=SEGMENTS)
    options.add_argument("--queries", type=int, default=QUERIES)
    given = options.parse_args()
    measure(given.segments, given.queries)


def measure(segments: int, queries: int) -> None:
    """Print the figures; the database is kept for the next time."""
    with server(segments) as dsn:
        asyncio.run(_measure(dsn, segments, queries))


async def _measure(dsn: str, segments: int, queries: int) -> None:
    conn = await opened(dsn, segments)
    chance = Chance(SEED)
    singles = [chance.draw(1)[0] for _ in range(queries)]
    pairs = [chance.draw(2) for _ in range(queries)]
    texts = await conn.execute("SELECT text FROM segments ORDER BY md5(segment_id::text) LIMIT %s", [queries])
    phrases = [row[0].split()[2:5] for row in await texts.fetchall()]
    typos = [misspell(chance, word) for word in chance.random.sample(chance.words[100:5000], queries)]
    quoted = [f'"{" ".join(phrase)}"' for phrase in phrases]
    await compare(conn, "word", singles, [quote(word) for word in singles])
    await compare(conn, "two_words", [" ".join(pair) for pair in pairs], [" & ".join(map(quote, p)) for p in pairs])
    await compare(conn, "phrase", quoted, [" <-> ".join(map(quote, phrase)) for phrase in phrases])
    await compare(conn, "typo", typos, [quote(word) for word in singles], peer_name="bare SQL of one word")


def misspell(chance: Chance, word: str) -> str:
    """Return the word with two letters that stand side by side in each other's place."""
    place = chance.random.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


async def compare(
    conn: Connection, name: str, texts: list[str], bare: list[str], *, peer_name: str = "bare SQL"
) -> None:
    """Print the figure of these queries; `bare` are the peer's, as tsqueries."""
    ours: list[float] = []
    peer: list[float] = []
    same: list[float] = []
    for text, words in zip(texts, bare, strict=True):
        first = match_all(parse_query(text), LIKELY)
        turns = [
            (await _ours_ms(conn, text), await _bare_ms(conn, words), await _bare_ms(conn, first.index, first.order))
            for _ in range(ROUNDS + 1)
        ][1:]
        for spent, values in zip((ours, peer, same), zip(*turns, strict=True), strict=True):
            spent.append(statistics.median(values))
    seen = {"ours": _percentiles(ours), "peer": _percentiles(peer), "same": _percentiles(same)}
    print(json.dumps({"queries": name, **seen}), file=sys.stderr)
    report(
        f"search_{name}_p95", ours=seen["ours"]["p95"], peer=seen["peer"]["p95"], peer_name=peer_name,
        unit="ms", runs=len(texts) * ROUNDS,
    )  # fmt: skip


async def _ours_ms(conn: Connection, text: str) -> float:
    began = time.perf_counter()
    await search(conn, text, owner=OWNER, team=TEAM, limit=LIMIT)
    return (time.perf_counter() - began) * 1000


async def _bare_ms(conn: Connection, words: str | None, order: str | None = None) -> float:
    began = time.perf_counter()
    await (await conn.execute(BARE, {"words": words, "order": order}, prepare=False)).fetchall()
    return (time.perf_counter() - began) * 1000


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2)}


if __name__ == "__main__":
    main()
