"""Search on a real PostgreSQL: what is found, how it is ranked, paged, narrowed and corrected."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.resources import files

import pytest
from psycopg.conninfo import make_conninfo

from mediaplane.catalog import assets, lexicon, moments, segments
from mediaplane.catalog.segments import Join, NewSegment
from mediaplane.errors import AssetNotFound, InvalidQuery
from mediaplane.postgres import Connection, Pool, connect
from mediaplane.search.moments import Hit, search
from tests.services.postgres import create_database, drop_database

LINES = [
    "Open the settings menu",
    "openthe settings page",
    "Openthesettingsnow please",
    "Total: $1,299.00 for @maria.lopez #LaunchDay",
    "See https://docs.example.com/guide/start for more",
    "Order IOOO shipped",
    "The deployment finished without warnings",
    "my_config_value = 49.99",
    "well-known résumé of naïve cafés",
    "東京タワーへ行く",
]


async def add_asset(conn: Connection, asset_id: str, *, owner: str = "local") -> tuple[str, str, str]:
    await assets.add(conn, asset_id=asset_id, owner=owner, team="team", title="", status="ready", digest=None)
    return asset_id, owner, "team"


def line(text: str, start_ms: int = 0, end_ms: int = 1000, **more) -> NewSegment:
    return NewSegment(more.pop("source", "ocr"), start_ms, end_ms, text, **more)


def in_turn(texts: Sequence[str]) -> list[NewSegment]:
    """Lines that are never seen at the same time."""
    return [line(text, place * 1000, place * 1000 + 900) for place, text in enumerate(texts)]


async def add_lines(conn: Connection, texts: Sequence[str] = LINES) -> None:
    await segments.replace_chunk(conn, await add_asset(conn, "a1"), 0, in_turn(texts))


@pytest.fixture(scope="module")
def filled_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A database with LINES, for tests that only read."""
    name = create_database(postgres_server, template=migrated_template)
    dsn = make_conninfo(postgres_server, dbname=name)

    async def fill() -> None:
        conn = await connect(dsn)
        await add_lines(conn)
        await conn.close()

    asyncio.run(fill())
    yield dsn
    drop_database(postgres_server, name)


@pytest.fixture
async def filled(filled_dsn: str) -> AsyncIterator[Connection]:
    """A connection to that database."""
    connection = await connect(filled_dsn)
    yield connection
    await connection.close()


async def found(conn: Connection, text: str, **more) -> list[str]:
    return [hit.text for hit in (await search(conn, text, owner=more.pop("owner", "local"), **more)).hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("settings menu", {LINES[0]}),
        ("menu settings", {LINES[0]}),
        ('"the settings menu"', {LINES[0]}),
        ('"settings the"', set()),
        ("settings -menu", {LINES[1]}),
        ('settings -"settings menu"', {LINES[1]}),
        ("ship*", {LINES[5]}),
        ("shipped OR warnings", {LINES[5], LINES[6]}),
        ('"order 1000', {LINES[5]}),
    ],
    ids=["words", "any_order", "phrase", "wrong_order", "not_word", "not_phrase", "prefix", "or", "open_quote"],
)
async def test_search_understands_the_query_language(filled, query, expected):
    """Words, phrases, exclusions, beginnings and alternatives find what they say and nothing else."""
    assert set(await found(filled, query)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("order 1000", LINES[5]),
        ('"open the settings page"', LINES[1]),
        ("open the settings page", LINES[1]),
        ("openthe settings menu", LINES[0]),
        ('"openthesettings menu"', LINES[0]),
        ("Openthesettingsnow", LINES[2]),
        ('"the settings now please"', LINES[2]),
        ("my_config_value", LINES[7]),
        ("myConfigValue", LINES[7]),
        ("config value", LINES[7]),
        ("wellknown resume", LINES[8]),
        ('"well-known resume of naive cafes"', LINES[8]),
        ("東京", LINES[9]),
        ("東京タワー", LINES[9]),
    ],
)
async def test_search_forgives_what_ocr_and_typing_do(filled, query, expected):
    """Look-alikes, lost spaces, identifiers, accents and scripts without spaces do not hide a line."""
    assert (await found(filled, query))[0] == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("#launchday", LINES[3]),
        ("#launch*", LINES[3]),
        ("@maria.lopez", LINES[3]),
        ("@maria", LINES[3]),
        ("1299.00", LINES[3]),
        ("1,299.00", LINES[3]),
        ("$1299", LINES[3]),
        ("number:1299", LINES[3]),
        ("number:$1,299.00 total", LINES[3]),
        ("number:1000..2000", LINES[3]),
        ("number:..50", LINES[7]),
        ("url:example.com", LINES[4]),
        ("url:https://docs.example.com/", LINES[4]),
        ("url:guide/start", LINES[4]),
        ("docs.example.com", LINES[4]),
        ("https://docs.example.com/guide/start", LINES[4]),
    ],
)
async def test_search_filters_by_entities(filled, query, expected):
    """Tags, names, URLs by host or path, and numbers by value or range find their line alone."""
    assert await found(filled, query) == [expected]


@pytest.mark.parametrize("query", ["url:xample.com", "url:start.example", "number:1300..2000", "number:-5"])
async def test_search_filters_refuse_what_is_not_there(filled, query):
    """A filter is no substring search: a host matches at its labels, a number by its value."""
    assert await found(filled, query) == []


@pytest.mark.parametrize(
    ("query", "correct"),
    [
        ("deploymnet", "deployment"),
        ("deploymet", "deployment"),
        ("dpeloymnet", "deployment"),
        ("finishedd", "finished"),
        ("warnimgs", "warnings"),
        ("xeployment", "deployment"),
        ("meun", "menu"),
    ],
)
async def test_search_corrects_misspelt_words_and_says_so(filled, query, correct):
    """One letter wrong, missing, doubled or swapped is met, two of them in a long word; the answer names the word."""
    page = await search(filled, query, owner="local")
    assert [hit.text for hit in page.hits] == [text for text in LINES if correct in text.casefold().split()]
    assert page.corrections == {query: correct}
    hit = page.hits[0]
    assert [hit.snippet.text[start:end].casefold() for start, end in hit.snippet.marks] == [correct]


async def test_search_corrects_only_what_nobody_wrote(conn):
    """A word that stands in the owner's segments is taken as it is."""
    await add_lines(conn, ["the form is here", "letters from home"])
    page = await search(conn, "form", owner="local")
    assert [hit.text for hit in page.hits] == ["the form is here"]
    assert page.corrections == {}


async def test_search_ranks_exact_above_lookalike_above_typo(conn):
    """What is written as asked comes before what only looks like it, and that has more score than a guess."""
    await add_lines(conn, ["Order IOOO shipped", "Order 1000 shipped"])
    page = await search(conn, "1000", owner="local")
    assert [hit.text for hit in page.hits] == ["Order 1000 shipped", "Order IOOO shipped"]
    guess = (await search(conn, "shiped", owner="local")).hits[0]
    assert 1 >= page.hits[0].score > page.hits[1].score > guess.score > 0


async def test_search_narrows_by_asset_time_and_source(conn):
    """Each filter keeps only what it names; a time range keeps what it touches."""
    first, second = await add_asset(conn, "a1"), await add_asset(conn, "a2")
    await segments.replace_chunk(conn, first, 0, [line("alpha early"), line("alpha late", 5000, 6000)])
    await segments.replace_chunk(conn, second, 0, [line("alpha said", source="speech")])
    assert set(await found(conn, "alpha")) == {"alpha early", "alpha late", "alpha said"}
    assert set(await found(conn, "alpha", asset_id="a2")) == {"alpha said"}
    assert set(await found(conn, "alpha", asset_id="a1", after_ms=1500)) == {"alpha late"}
    assert set(await found(conn, "alpha", asset_id="a1", before_ms=4999)) == {"alpha early"}
    assert set(await found(conn, "alpha", source="speech")) == {"alpha said"}


async def test_search_never_crosses_owners(conn):
    """Another owner's words are neither found, nor guessed at, nor combined."""
    await segments.replace_chunk(conn, await add_asset(conn, "a1", owner="ann"), 0, in_turn(["secret deployment 42"]))
    await segments.replace_chunk(conn, await add_asset(conn, "b1", owner="bob"), 0, in_turn(["nothing here"]))
    for query in ("deployment", "deploymnet", "number:42", "secret here", "dep*"):
        assert await found(conn, query, owner="bob") == []
    assert await found(conn, "deploymnet", owner="ann") == ["secret deployment 42"]


async def all_pages(conn: Connection, text: str, *, limit: int, **more) -> list[Hit]:
    hits: list[Hit] = []
    page = await search(conn, text, owner="local", limit=limit, **more)
    hits += page.hits
    while page.next:
        page = await search(conn, text, owner="local", limit=limit, page=page.next, **more)
        assert page.hits or not page.next
        hits += page.hits
    return hits


async def test_search_pages_hold_every_hit_once(conn, monkeypatch):
    """All pages together are all hits, best first within a window of candidates, also over several windows."""
    monkeypatch.setattr("mediaplane.catalog.moments.MAX_CANDIDATES", 10)
    texts = [f"word {'1O' if n % 3 else 'extra'} number{n}" for n in range(47)]
    await add_lines(conn, texts)
    hits = await all_pages(conn, "word", limit=4)
    assert sorted(hit.text for hit in hits) == sorted(texts)
    places = [hit.score for hit in hits[:10]]
    assert places == sorted(places, reverse=True)


async def test_search_pages_go_on_over_lines_and_screens(conn):
    """Hits in one line come first, then those over several lines, none twice; corrections hold on later pages."""
    asset = await add_asset(conn, "a1")
    apart = [line("alpha deployment", n * 2000, n * 2000 + 900) for n in range(3)]
    apart += [line(f"omega {n}", n * 2000 + 100, n * 2000 + 800) for n in range(3)]
    together = [line(f"alpha deployment omega {n}", 10_000 + n * 1000, 10_500 + n * 1000) for n in range(3)]
    await segments.replace_chunk(conn, asset, 0, [*apart, *together])
    for query in ("alpha omega deployment", "alpha omega deploymnet"):
        hits = await all_pages(conn, query, limit=2)
        assert len(hits) == 6
        assert len({(hit.t_start_ms, hit.text) for hit in hits}) == 6
        assert all(" … " not in hit.text for hit in hits[:3])
        assert all(" … " in hit.text for hit in hits[3:])


async def test_search_cursor_of_another_search_is_refused(conn):
    """A cursor belongs to its query, owner and filters; a damaged one is refused as well."""
    await add_lines(conn, [f"word {n}" for n in range(5)])
    page = await search(conn, "word", owner="local", limit=2)
    assert page.next
    for text, more in (("words", {}), ("word", {"asset_id": "a1"}), ("word", {"owner": "eve"})):
        with pytest.raises(InvalidQuery, match="another search"):
            await search(conn, text, **{"owner": "local", "limit": 2, "page": page.next} | more)
    for damaged in ("x", "é", page.next[:-6], "bnVsbA", ""):
        if damaged:
            with pytest.raises(InvalidQuery, match="damaged"):
                await search(conn, "word", owner="local", page=damaged)


async def test_search_joins_lines_seen_at_the_same_time(conn):
    """Words on different lines are a moment while both can be read, and none where they cannot."""
    asset = await add_asset(conn, "a1")
    seen = [
        line("Invoice overdue", 1000, 5000, box=(10, 100, 200, 20)),
        line("Amount 250", 3000, 9000, box=(10, 125, 200, 20)),
        line("Invoice paid", 20_000, 21_000, box=(10, 100, 200, 20)),
    ]
    await segments.replace_chunk(conn, asset, 0, seen)
    page = await search(conn, "invoice amount", owner="local")
    assert [(hit.text, hit.t_start_ms, hit.t_end_ms) for hit in page.hits] == [
        ("Invoice overdue … Amount 250", 3000, 5000)
    ]
    assert page.hits[0].box == (10, 100, 200, 45)
    assert await found(conn, '"overdue amount"') == ["Invoice overdue … Amount 250"]


async def test_search_begins_with_the_word_that_is_counted_and_rare(conn, monkeypatch):
    """A number is not in the lexicon, so it may be everywhere: its lines are not read before the rare word's."""
    await segments.replace_chunk(conn, await add_asset(conn, "a1"), 0, [line("total 2024"), line("invoice")])
    newest, asked = moments.newest, []

    async def noted(*args, expected: int, limit: int) -> list[moments.Line]:
        asked.append((args[1].index, expected))
        return await newest(*args, expected=expected, limit=limit)

    monkeypatch.setattr(moments, "newest", noted)
    assert [hit.text for hit in (await search(conn, "2024 invoice", owner="local")).hits]
    assert [("invoice" in index, expected) for index, expected in asked] == [(True, 1)]


async def test_search_shows_a_line_once(conn):
    """The same text in segments that touch in time is one hit over the whole time; seen again later it is another."""
    first = await add_asset(conn, "a1")
    seen = [line("alpha", 0, 1000), line("alpha", 500, 1500), line("alpha", 1500, 2000), line("alpha", 9000, 9500)]
    await segments.replace_chunk(conn, first, 0, seen)
    await segments.replace_chunk(conn, await add_asset(conn, "a2"), 0, [line("alpha", 0, 1000)])
    hits = (await search(conn, "alpha", owner="local")).hits
    assert sorted((hit.asset_id, hit.t_start_ms, hit.t_end_ms) for hit in hits) == [
        ("a1", 0, 2000),
        ("a1", 9000, 9500),
        ("a2", 0, 1000),
    ]


async def test_search_falls_back_to_most_words(filled):
    """Where one of many words was misread beyond repair, the others still find the line, with a low score."""
    page = await search(filled, "deployment finished without qzx", owner="local")
    assert [hit.text for hit in page.hits] == [LINES[6]]
    assert page.hits[0].score < 0.35


async def test_search_takes_any_text(conn):
    """No text breaks the index or a query, and a line is found by itself where it has a word at all."""
    chance = random.Random(11)
    signs = "ab1 \\'\"&|!()<>:*-_.,#@/%$€~é漢字ß\u0301\u200d👍🏽\t\ud800\x00"
    texts = ["".join(chance.choices(signs, k=chance.randint(1, 25))) for _ in range(300)]
    await segments.replace_chunk(conn, await add_asset(conn, "a1"), 0, in_turn(texts))
    stored = [row.text for row in await segments.of_asset(conn, "a1")]
    for text in stored[:150]:
        phrase = '"' + text.replace('"', " ") + '"'
        with contextlib.suppress(InvalidQuery):
            await search(conn, text, owner="local")
            assert text in await found(conn, phrase, limit=200)


async def test_segments_replace_chunk_is_whole_and_repeatable(conn):
    """A chunk written again replaces its segments, entities and words; the other chunk stays."""
    asset = await add_asset(conn, "a1")
    async with conn.transaction():
        await segments.replace_chunk(conn, asset, 0, [line("alpha #one 5"), line("alpha two")])
    async with conn.transaction():
        await segments.replace_chunk(conn, asset, 1, [line("gamma\x00 three \ud800", box=(1, 2, 3, 4), confidence=0.5)])
    for _ in range(2):
        async with conn.transaction():
            await segments.replace_chunk(conn, asset, 0, [line("beta two", frame_ms=5)])
    rows = await segments.of_asset(conn, "a1")
    assert [row.text for row in rows] == ["gamma three ?", "beta two"]
    assert (rows[0].box, rows[0].confidence, rows[1].frame_ms) == ((1, 2, 3, 4), 0.5, 5)
    assert await lexicon.known(conn, "local", None, ["alpha", "beta", "two", "gamma"]) == {
        "beta": 1,
        "two": 1,
        "gamma": 1,
    }
    assert await (await conn.execute("SELECT count(*) FROM entities")).fetchone() == (0,)


async def test_segments_replace_chunk_of_a_deleted_asset_is_refused(conn):
    """A chunk that comes after the deletion leaves nothing behind."""
    with pytest.raises(AssetNotFound):
        await segments.replace_chunk(conn, ("gone", "local", "team"), 0, [line("alpha")])
    assert await (await conn.execute("SELECT count(*) FROM lexicon")).fetchone() == (0,)


async def test_segments_joins_lengthen_and_absorb(conn):
    """A join gives the kept segment its new end, deletes the others and keeps the counts of words true."""
    asset = await add_asset(conn, "a1")
    await segments.replace_chunk(conn, asset, 0, [line("alpha beta", 0, 1000)])
    await segments.replace_chunk(conn, asset, 1, [line("alpha beta", 1000, 2000), line("alpha", 1500, 1600)])
    kept, absorbed, _ = await segments.of_asset(conn, "a1")
    async with conn.transaction():
        await segments.apply_joins(conn, [Join(kept.segment_id, 2000, [absorbed.segment_id])])
    rows = await segments.of_asset(conn, "a1")
    assert [(row.text, row.t_start_ms, row.t_end_ms) for row in rows] == [
        ("alpha beta", 0, 2000),
        ("alpha", 1500, 1600),
    ]
    assert await lexicon.known(conn, "local", None, ["alpha", "beta"]) == {"alpha": 2, "beta": 1}


async def test_search_finds_nothing_of_a_deleted_asset(conn):
    """Deleting the row takes its words out of results and guesses at once; the daily task empties the lexicon."""
    await add_lines(conn)
    await segments.replace_chunk(conn, await add_asset(conn, "a2"), 0, [line("deployment again")])
    await conn.execute("DELETE FROM assets WHERE asset_id = 'a1'")
    assert await found(conn, "settings") == []
    assert await found(conn, "setings") == []
    assert await found(conn, "url:example.com") == []
    assert await lexicon.prune_lexicon(conn) > 0
    assert await lexicon.known(conn, "local", None, ["settings", "deployment"]) == {"deployment": 1}
    left = await (await conn.execute("SELECT count(DISTINCT word) FROM lexicon_deletions")).fetchone()
    assert left == (2,)


async def test_migration_gives_segments_read_before_the_shapes_of_parts(conn):
    """After it, a row of the release before has the lexemes that it would get now."""
    await add_lines(conn, [*LINES, "#hello said bob_miller", "it's @paul's l'll o'clock 50kHz", "hello #hello"])
    wanted = await (await conn.execute("SELECT segment_id, lexemes::text FROM segments ORDER BY 1")).fetchall()
    await conn.execute(
        "UPDATE segments SET lexemes = ts_delete(lexemes, ARRAY['~heiio', '~miiier', '~paui', '~ciock'])"
    )
    assert await (await conn.execute("SELECT segment_id, lexemes::text FROM segments ORDER BY 1")).fetchall() != wanted
    await conn.execute((files("mediaplane.postgres.migrations") / "0015_shapes_of_parts.pre.sql").read_text())
    assert await (await conn.execute("SELECT segment_id, lexemes::text FROM segments ORDER BY 1")).fetchall() == wanted


async def test_segments_of_one_owner_committed_at_once_do_not_deadlock(pool: Pool):
    """Chunks with the same words in opposite order, committed together many times, all arrive and are counted."""
    words = ["zulu", "yankee", "alpha", "bravo", "mike", "november", "kilo"]
    async with pool.connection() as conn:
        chunks = [(await add_asset(conn, f"a{n}"), [*words] if n % 2 else [*reversed(words)]) for n in range(4)]

    async def commit(asset: tuple[str, str, str], texts: list[str]) -> None:
        for turn in range(8):
            async with pool.connection() as conn, conn.transaction():
                await segments.replace_chunk(conn, asset, 0, [line(f"{text} turn{turn}") for text in texts])
                await asyncio.sleep(0.005)

    await asyncio.gather(*(commit(asset, texts) for asset, texts in chunks))
    async with pool.connection() as conn:
        assert await lexicon.known(conn, "local", None, words) == dict.fromkeys(words, 4)
