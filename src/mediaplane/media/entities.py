"""Mentions, hashtags, URLs, emoji and numbers in a line of text.

The line may be misread: a slash of `https://` lost, a letter for a digit behind a currency sign.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

EntityKind = Literal["mention", "hashtag", "url", "emoji", "number"]

MAX_VALUE_LETTERS = 500  # an index entry must stay below a third of a page

_PICTURE = (
    r"[\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf"
    r"\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u231a\u231b\u23e9-\u23fa]"
)
_MODIFIER = "[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
EMOJI = re.compile(
    rf"(?:[\U0001f1e6-\U0001f1ff]{{2}}|[0-9\#*]\ufe0f\u20e3|{_PICTURE}{_MODIFIER}*(?:\u200d{_PICTURE}{_MODIFIER}*)*)"
)
# A bare name is a host only under these: `main.py`, `notes.md` and `run.sh` are files.
_TOP = (
    "com|org|net|io|dev|app|ai|co|edu|gov|info|me|tv|us|uk|de|fr|es|it|nl|ch|at|eu|ca|jp|cn|in|br|au|se|no|pl"
    "|cloud|tech|site|online|shop|store|blog|example|test"
)
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_REST = r"(?::\d{1,5})?(?:[/?#][^\s<>\"'`{}|\\^]*)?"
_URL = re.compile(
    rf"(?P<scheme>(?:https?|ftp|wss?|s3|rtmps?)\s?:\s?/{{1,3}})(?P<full>{_HOST}{_REST})"
    rf"|(?<![\w@.-])(?P<bare>(?:www\.{_HOST}|{_LABEL}(?:\.{_LABEL})*\.(?:{_TOP}))(?![\w@-]){_REST})",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# A name has a letter: #1042 is an order's number.
_NAME = re.compile(r"(?<![\w@#&/.+-])(?P<sign>[@#\uff20\uff03])(?P<name>(?=[\w-]*[^\W\d_])\w[\w-]*(?:\.\w[\w-]*)*)")
_CURRENCY = "$€£¥₹₩₽"
_NUMBER = re.compile(
    rf"(?P<money>[{_CURRENCY}])\s?(?P<price>[-\u2212]?(?=[OolIS]?[.,]?\d)[\dOolISB]+(?:[.,\u00a0'][\dOolISB]+)*)(?![\w])"
    rf"|(?<![\w.,:/@-])(?P<plain>[-+\u2212]?\d+(?:[.,\u00a0']\d+)*)(?P<unit>\s?%|\s?[{_CURRENCY}]|[^\W\d_]{{1,3}}\b|)(?!\w|[.,:/-]\d)"
)
_MISREAD = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "S": "5", "B": "8"})


@dataclass(frozen=True, slots=True)
class Entity:
    """Something found in a text: `value` is folded (what filters compare), `text` is as read."""

    kind: EntityKind
    value: str
    text: str


def find_entities(text: str) -> list[Entity]:
    """Return the entities of `text` in reading order, each kind and value once.

    Emails are neither mentions nor URLs; what stands inside a URL is not found again; dates, times and versions
    are no numbers.
    """
    found: dict[tuple[str, str], tuple[int, Entity]] = {}
    rest = text
    for pattern, read in ((_URL, _url), (_EMAIL, None), (_NAME, _name), (EMOJI, _emoji), (_NUMBER, _number)):
        for match in pattern.finditer(rest):
            for entity in read(match) if read else ():
                found.setdefault((entity.kind, entity.value), (match.start(), entity))
            if read is not _number:  # blanked out, so that places stay
                rest = rest[: match.start()] + " " * (match.end() - match.start()) + rest[match.end() :]
    return [entity for _, entity in sorted(found.values(), key=lambda each: each[0])]


def fold_value(kind: EntityKind, text: str) -> str:
    """Return what a filter's text is compared as, e.g. `https://Example.com/` → `example.com`."""
    if kind == "url":
        bare = re.sub(r"^(?:[a-z0-9]+\s?:\s?/{1,3})?(?:www\.)?", "", text.strip().casefold())
        return bare.rstrip("/.,;:!?)]")[:MAX_VALUE_LETTERS]
    if kind == "number":
        values = number_values(text.strip(f" %{_CURRENCY}"))
        return values[0] if values else text.strip()
    if kind == "emoji":
        return text.replace("\ufe0f", "")
    return unicodedata.normalize("NFKC", text).casefold().lstrip("@#")[:MAX_VALUE_LETTERS]


def number_values(text: str) -> tuple[str, ...]:
    """Return the values that digits with separators may mean, as plain decimals; nothing where they are no number.

    `1,299.00` → `1299`; `49,99` → `49.99`; `1.299` → `1.299` or `1299`; `1.2.3` → nothing; `007` stays `007`.
    """
    sign = "-" if text[:1] in "-\u2212" else ""
    digits = text.lstrip("-+\u2212").replace("\u00a0", ",").replace("'", ",")
    if not digits.isascii():
        digits = unicodedata.normalize("NFKC", digits)
    if re.fullmatch(r"[0-9]+", digits):
        return (sign + digits,)
    readings: list[str] = []
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+\.\d+", digits):
        readings.append(digits.replace(",", ""))
    if re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d+)?|\d+,\d{1,2}", digits) and not digits.startswith("0.0"):
        readings.append(digits.replace(".", "").replace(",", "."))
    return tuple(dict.fromkeys(sign + _plain(reading) for reading in readings))


def _plain(digits: str) -> str:
    """`0049.990` → `49.99`, without an exponent."""
    value = format(Decimal(digits), "f")
    return value.rstrip("0").rstrip(".") if "." in value else value


def _url(match: re.Match[str]) -> Iterator[Entity]:
    text = match.group().rstrip(".,;:!?)]")
    if value := fold_value("url", match.group("full") or match.group("bare")):
        yield Entity("url", value, text)


def _name(match: re.Match[str]) -> Iterator[Entity]:
    name = match.group("name").rstrip("-.")
    kind: EntityKind = "mention" if match.group("sign") in "@\uff20" else "hashtag"
    if kind == "hashtag":
        name = re.split(r"[.-]", name)[0]  # a hashtag ends at punctuation
    if any(char.isalpha() for char in name):
        yield Entity(kind, fold_value(kind, name), match.group("sign") + name)


def _emoji(match: re.Match[str]) -> Iterator[Entity]:
    yield Entity("emoji", fold_value("emoji", match.group()), match.group())


def _number(match: re.Match[str]) -> Iterator[Entity]:
    digits = match.group("price") or match.group("plain")
    if match.group("money"):
        digits = digits.translate(_MISREAD)
    for value in number_values(digits)[:1]:
        yield Entity("number", value[:MAX_VALUE_LETTERS], match.group().strip())
