"""The words of a text: folding, shapes, positions, literals."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.words import (
    MAX_LEXEME_BYTES,
    MAX_POSITION,
    MAX_POSITIONS_PER_LEXEME,
    count_words,
    fold,
    is_lexical,
    lexemes,
    shape,
    tokenise,
    tsvector,
)


def places(text: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for lexeme, position in lexemes(text):
        found.setdefault(lexeme, set()).add(position)
    return found


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café", "cafe"),
        ("STRASSE ß", "strasse ss"),
        ("Łódź", "lodz"),
        ("ＦＵＬＬ", "full"),
        ("ﬁle", "file"),
        ("Ωμέγα", "ωμεγα"),
        ("हिन्दी", "हिन्दी"),
        ("ガ", "ガ"),
    ],
)
def test_fold_makes_spellings_one(text, folded):
    """Case, width, ligatures and accents go; marks that make another letter stay."""
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("one", "other"),
    [("IOOO", "1000"), ("hello", "he11o"), ("585", "SBS"), ("modern", "modem"), ("zoom", "2oom"), ("vvall", "wall")],
)
def test_shape_makes_lookalikes_one(one, other):
    """What OCR takes for each other has one shape."""
    assert shape(fold(one)) == shape(fold(other))


@given(st.text(alphabet="abilo01258rnmvwzsx", max_size=12))
def test_shape_of_a_shape_is_itself(word):
    """Letters that were made one are not changed again."""
    assert shape(shape(word)) == shape(word)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snake_case here", {"snakecase": {1}, "snake": {1}, "case": {1}, "here": {2}}),
        ("HTMLParser", {"htmlparser": {1}, "html": {1}, "parser": {1}}),
        ("well-known", {"well": {1}, "known": {2}, "wellknown": {1, 2}}),
        ("$1,299.00", {"1299": {1}}),
        ("$49.99", {"49.99": {1}}),
        ("49,99 €", {"49.99": {1}}),
        ("1.2.3", {"1": {1}, "2": {2}, "3": {3}}),
        ("50ms", {"50ms": {1}, "50": {1}}),
        ("don’t", {"dont": {1}, "don": {1}}),
        ("#BuildInPublic", {"#buildinpublic": {1}, "buildinpublic": {1}, "build": {1}}),
        ("@maria.lopez", {"@maria.lopez": {1}, "@maria": {1}, "maria": {1}, "lopez": {1}}),
        ("bob@example.com", {"bob": {1}, "example": {2}, "com": {3}}),
        ("https://a.example/p", {"https": {1}, "a": {2}, "example": {3}, "p": {4}}),
        ("C++ and C#", {"c++": {1}, "c#": {3}, "c": {1, 3}}),
        ("東京 ok", {"東": {1}, "京": {2}, "ok": {3}}),
        ("👍🏽 yes", {"👍🏽": {1}, "yes": {2}}),
        ("IOOO", {"iooo": {1}}),
        ("1000", {"1000": {1}, "~iooo": {1}}),
    ],
)
def test_lexemes_stand_where_phrases_expect_them(text, expected):
    """Each kind of word is there, as a whole and by parts, at its position."""
    found = places(text)
    assert {lexeme: found.get(lexeme) for lexeme in expected} == expected


def test_lexemes_email_is_no_name():
    """The host of an email is no @name."""
    assert not any(lexeme.startswith("@") for lexeme, _ in lexemes("write to bob@example.com"))


def test_lexemes_long_words_have_tails():
    """Every end of a long word is there, so that words glued in front of it do not hide it."""
    assert ">settings" in places("openthesettings")
    assert not any(lexeme.startswith(">") for lexeme in places("settings"))


def test_lexemes_misread_decimal_has_the_shape_of_the_right_one():
    """`4O.99` looks like 40.99."""
    assert "~" + shape("40.99") in places("$4O.99")


def test_lexemes_parts_have_shapes_too():
    """What may be searched for alone is found by what it looks like: a tag's word, a name's parts."""
    assert places("@paul.miller my_label")["~paui"] == {1}
    assert places("my_label")["~iabei"] == {1}


@given(st.text(alphabet="ablo01_#@.-'C rnmvw", max_size=40))
def test_lexemes_hold_the_shape_of_every_one(text):
    """Whatever a text is found by as written it is also found by as it looks, at the same place."""
    found = places(text)
    for lexeme, where in found.items():
        if lexeme[0] not in "~>" and len(lexeme) >= 3:
            assert where <= found.get(shape(lexeme), set()) | found.get("~" + shape(lexeme), set())


@given(st.text(max_size=80))
def test_tokens_lie_in_the_text_in_order(text):
    """Tokens follow each other without overlap, each with a position of its own and no empty lexeme."""
    tokens = tokenise(text)
    assert [token.position for token in tokens] == list(range(1, len(tokens) + 1))
    assert all(a.end <= b.start for a, b in pairwise(tokens))
    assert all(0 <= token.start < token.end <= len(text) and all(token.lexemes) for token in tokens)


@given(st.text(max_size=60))
def test_no_letter_or_digit_is_lost(text):
    """Every letter and digit of the text lies in some token."""
    tokens = tokenise(text)
    for place, char in enumerate(text):
        if char.isalpha() or char.isdecimal():
            assert any(token.start <= place < token.end for token in tokens) or not fold(char).isalnum()


@given(st.lists(st.text(alphabet="abzäçéñøřžабгжαβγ019", min_size=1, max_size=10), max_size=8))
def test_case_does_not_matter_to_plain_words(words):
    """Words in capitals have the lexemes of those in small letters."""
    text = " ".join(words)
    assert lexemes(text.upper()) == lexemes(text)


@given(st.text(max_size=200))
def test_lexemes_keep_to_the_limits_of_postgresql(text):
    """No lexeme is too long and no position too high; the literal has each lexeme once."""
    found = lexemes(text * 3)
    assert all(len(lexeme.encode("utf-8", "replace")) <= MAX_LEXEME_BYTES for lexeme, _ in found)
    assert all(1 <= position <= MAX_POSITION for _, position in found)


def test_tsvector_of_endless_text_stays_within_limits():
    """A word repeated without end keeps at most 256 positions, and a giant word its beginning."""
    literal = tsvector("word " * 20_000 + "x" * 100_000)
    assert literal.count(",") < MAX_POSITIONS_PER_LEXEME
    assert len(literal) < 10_000


def test_tsvector_quotes_its_lexemes():
    """No character of a text can leave its quotes."""
    assert "''" not in tsvector("it's o'clock \\ ''")
    assert tsvector("") == ""


def test_count_words_counts_texts_not_places():
    """A word counts once for each text; numbers, tags and unspaced scripts are not words of the lexicon."""
    counts = count_words(["alpha alpha 123 #tag", "alpha 東京 x"])
    assert counts == {"alpha": 2, "tag": 1}
    assert not is_lexical("a1")
