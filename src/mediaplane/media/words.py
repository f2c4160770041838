"""Words of a text and their positions: the same for index and query.

What is read off a screen is misread in known ways, so every word has up to three classes of lexemes:

- the **word** itself, folded: `settings`, `49.99`, `#launch`, `@maria`;
- its **shape** (`~`), where letters and digits that look alike are one: `1OOO` and `1000` are both `iooo`; a word that
  is its own shape is stored once, so what looks like it is found by `iooo` and `~iooo`;
- the **tails** (`>`) of a long word, so that words read as one are still found: `>thesettings` in `openthesettings`.

Words that belong together keep positions that let phrases work: `well-known` and `example.com` are several words in
a row (`wellknown` stands at the first and the last), `snake_case` and `camelCase` are one word with its parts at the
same position. Han, kana, Thai and the like are written without spaces, so each character is a word.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from mediaplane.media.entities import EMOJI, number_values

SHAPE = "~"
TAIL = ">"

MAX_LEXEME_BYTES = 2046  # Source: PostgreSQL manual, "Text Search Limitations" (less than 2 KB)
MAX_POSITION = 16_383  # Source: the same page
MAX_POSITIONS_PER_LEXEME = 256  # Source: the same page
MAX_WORD_LETTERS = 120  # a longer run is no word (base64, a misread line); its beginning is enough to find it
MIN_SHAPE_LETTERS = 3
MIN_GLUED_LETTERS = 10  # shorter glued words are met by the query's own gluing
MIN_TAIL_LETTERS = 4
MAX_GLUED_LETTERS = 60
LEXICON_LETTERS = range(2, 33)

_MARKS = "".join(
    chr(code)
    for start, end in (
        (0x300, 0x1E00),
        (0x20D0, 0x2100),
        (0x302A, 0x3030),
        (0x3099, 0x309B),
        (0xA660, 0xAC00),
        (0xFE20, 0xFE30),
    )
    for code in range(start, end)
    if unicodedata.category(chr(code))[0] == "M"
)
_UNSPACED = (  # Thai, Lao, Burmese, Khmer; Han and kana with their extensions and half-width forms
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_INSIDE = rf"[^\W{_UNSPACED}]|[{_MARKS}\u00ad\u200c\u200d]"
_TOKEN = re.compile(
    rf"""
    (?P<emoji>{EMOJI.pattern})
    | (?P<name>(?<![\w.&/+-])[#@\uff03\uff20](?:{_INSIDE})+(?:[.-](?:{_INSIDE})+)*)
    | (?P<number>(?<![\w.])\d+(?:[.,]\d+)+[^\W\d_]*(?!\w))
    | (?P<symbol>(?<!\w)[A-Za-z](?:\+\+|\#)(?!\w))
    | (?P<word>[^\W{_UNSPACED}](?:{_INSIDE})*(?:['’](?:{_INSIDE})+)*)
    | (?P<sign>[{_UNSPACED}](?:[{_MARKS}])*)
    """,
    re.VERBOSE,
)
_HYPHENS = frozenset("-\u2010\u2011\u2013")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MISREAD_DECIMAL = re.compile(r"(?=.*\d)(?=.*[a-zA-Z])[\dOolISB]{1,9}\.[\dOolISB]{1,2}")
_UNIT = re.compile(r"(\d+(?:\.\d+)?)([^\W\d_]+)|([^\W\d_]{3,})(\d+)")
# Letters whose strokes stay when the accent is taken away; NFKD leaves them alone.
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
_SHAPES = str.maketrans({"0": "o", "1": "i", "l": "i", "5": "s", "8": "b", "2": "z"})


class Token(NamedTuple):
    """One word of a text: where it stands and by which lexemes it is found.

    `lexemes[0]` is the word as a whole, the others are its parts and other spellings; `parts` are those parts that
    follow each other in it (`my_name` → `my`, `name`), empty where it has none.
    """

    start: int
    end: int
    position: int  # 1, 2, … in words
    lexemes: tuple[str, ...]
    parts: tuple[str, ...] = ()


def fold(text: str) -> str:
    """Return `text` in one case and width, without accents on Latin, Greek and Cyrillic letters."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if plain.isascii():
        return plain
    kept: list[str] = []
    for char in unicodedata.normalize("NFKD", plain):
        # Marks carry meaning in other scripts (Hindi vowels, Japanese voicing).
        if unicodedata.combining(char) and (not kept or kept[-1] < "\u0530" or "\u1d00" <= kept[-1] < "\u2000"):
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_STROKES)


def shape(word: str) -> str:
    """Return a folded word with what OCR confuses made one: 0/o, 1/l/i, 5/s, 8/b, 2/z, rn/m, vv/w."""
    return word.translate(_SHAPES).replace("rn", "m").replace("vv", "w")


def tokenise(text: str) -> list[Token]:
    """Return the words of `text` in order, with their places in it."""
    tokens = [
        Token(start, end, position, lexemes, parts)
        for position, (start, end, lexemes, parts) in enumerate(_raw(text), start=1)
    ]
    return _join_misread_decimals(text, _join_hyphenated(text, tokens))


def lexemes(text: str) -> list[tuple[str, int]]:
    """Return all lexemes of `text` with their positions, each pair once, sorted."""
    found: set[tuple[str, int]] = set()
    for token in tokenise(text):
        if token.position > MAX_POSITION:
            break
        found.update((lexeme, token.position) for lexeme in _indexed(token))
    return sorted(found)


def tsvector(text: str) -> str:
    """Return `text` as a PostgreSQL tsvector literal; an empty one where it has no words."""
    places: dict[str, list[int]] = {}
    for lexeme, position in lexemes(text):
        positions = places.setdefault(lexeme, [])
        if len(positions) < MAX_POSITIONS_PER_LEXEME - 1:
            positions.append(position)
    return " ".join(f"{quote(lexeme)}:{','.join(map(str, positions))}" for lexeme, positions in places.items())


def quote(lexeme: str) -> str:
    """Return `lexeme` as it is written in tsvector and tsquery literals."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return how many of `texts` hold each word that a misspelt query word may have meant: letters only, 2 to 32."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({lexeme for token in tokenise(text) for lexeme in token.lexemes if is_lexical(lexeme)})
    return counts


def is_lexical(lexeme: str) -> bool:
    """Tell whether `lexeme` belongs in the lexicon: a word of letters, in a script that has words."""
    return len(lexeme) in LEXICON_LETTERS and lexeme.isalpha() and not re.match(f"[{_UNSPACED}]", lexeme)


def _indexed(token: Token) -> Iterator[str]:
    for lexeme in token.lexemes:
        yield lexeme
        if len(lexeme) >= MIN_SHAPE_LETTERS and lexeme[0] != SHAPE and (looks := shape(lexeme)) != lexeme:
            yield SHAPE + looks
    whole = token.lexemes[0]
    if MIN_GLUED_LETTERS <= len(whole) <= MAX_GLUED_LETTERS and whole.isalpha():
        looks = shape(whole)
        yield from (TAIL + looks[start:] for start in range(len(looks) - MIN_TAIL_LETTERS + 1))


def _raw(text: str) -> Iterator[tuple[int, int, tuple[str, ...], tuple[str, ...]]]:
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        kind, piece = match.lastgroup, match.group()
        if kind == "number":
            yield from _number(piece, start)
        elif kind == "name":
            yield start, end, _name(piece), ()
        elif kind == "symbol":
            yield start, end, (fold(piece), fold(piece[0])), ()
        elif kind == "emoji":
            yield start, end, (piece.replace("\ufe0f", ""),), ()
        elif (word := _word(piece))[0]:
            yield start, end, *word


def _number(piece: str, start: int) -> Iterator[tuple[int, int, tuple[str, ...], tuple[str, ...]]]:
    """`1,299.00` and `49.99usd` are one word, `1.2.3` and `10,20,30` are three."""
    digits = re.match(r"[\d.,]+", piece)
    assert digits is not None  # the pattern of a number begins with one
    unit = fold(piece[digits.end() :])
    if values := number_values(digits.group()):
        spelt = (values[0] + unit, *values) if unit else values
        yield start, start + len(piece), _unique(spelt), ()
        return
    for part in re.finditer(r"\w+", piece):
        yield start + part.start(), start + part.end(), *_word(part.group())


def _name(piece: str) -> tuple[str, ...]:
    """`#BuildInPublic`: the tag, the word, its parts; `@maria.lopez` is found as `@maria`, `maria`, `lopez` too."""
    sign = "#" if piece[0] in "#\uff03" else "@"
    found: list[str] = []
    for part in re.split(r"[.-]", piece[1:]):
        found += _word(part)[0]
    whole = sign + "".join(char for char in fold(piece[1:]) if char.isalnum() or char in "_.-")
    first = sign + fold(re.split(r"[.-]", piece[1:])[0])
    return _unique(_cut(lexeme) for lexeme in (whole, first, *found))


def _word(piece: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lexemes and parts of one run of letters, digits, underscores and apostrophes."""
    if piece.isascii() and piece.isalpha() and (piece[1:].islower() or piece.isupper()):  # most words
        return (_cut(piece.lower()),), ()
    plain = unicodedata.normalize("NFKC", piece).replace("’", "'").replace("\u00ad", "")
    pieces = [part for chunk in re.split("[_']", plain) for part in _CAMEL.split(chunk)]
    parts = [part for part in (_letters(each) for each in pieces) if part]
    whole = _cut("".join(parts))
    if not whole:
        return (), ()
    # A case change inside a word is often a misreading; single letters are no use as parts.
    useful = [_cut(part) for part in parts if len(part) > 1]
    unit = _UNIT.fullmatch(whole)
    extra = [group for group in (unit.group(1), unit.group(3)) if group] if unit else []
    many = len(parts) > 1
    return _unique((whole, *(useful if many else ()), *extra)), tuple(map(_cut, parts)) if many else ()


def _letters(piece: str) -> str:
    folded = fold(piece)
    return (
        folded if folded.isalnum() else "".join(c for c in folded if c.isalnum() or unicodedata.category(c)[0] == "M")
    )


def _cut(lexeme: str) -> str:
    return lexeme[:MAX_WORD_LETTERS]  # at most 4 bytes a letter: far below MAX_LEXEME_BYTES


def _unique(lexemes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lexeme for lexeme in lexemes if lexeme))


def _join_misread_decimals(text: str, tokens: list[Token]) -> list[Token]:
    """Give the first word of `4O.99` the shape of 40.99."""
    if "." not in text:
        return tokens
    joined = list(tokens)
    for place, (left, right) in enumerate(pairwise(tokens)):
        digits = text[left.start : right.end]
        if text[left.end : right.start] == "." and _MISREAD_DECIMAL.fullmatch(digits):
            spelt = _unique((*left.lexemes, SHAPE + shape(fold(digits))))
            joined[place] = Token(left.start, left.end, left.position, spelt, left.parts)
    return joined


def _join_hyphenated(text: str, tokens: list[Token]) -> list[Token]:
    """Give the first and the last word of `well-known` the lexeme `wellknown`."""
    if _HYPHENS.isdisjoint(text):
        return tokens
    joined = list(tokens)
    first = 0
    while first < len(tokens):
        last = first
        while last + 1 < len(tokens) and text[tokens[last].end : tokens[last + 1].start] in _HYPHENS:
            last += 1
        run = tokens[first : last + 1]
        if 2 <= len(run) <= 4 and all(token.lexemes[0].isalpha() for token in run):
            whole = _cut("".join(token.lexemes[0] for token in run))
            for place in (first, last):
                old = tokens[place]
                joined[place] = Token(old.start, old.end, old.position, _unique((*old.lexemes, whole)), old.parts)
        first = last + 1
    return joined
