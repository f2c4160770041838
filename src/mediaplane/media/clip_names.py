"""What clips are called, `clip_{NN}_{NN}_{title}_{style}`, and the styles they are cut in.

The first number is that of the highlight in `highlights.json`, counted from 01; 00 is a clip cut by hand. The second
counts the clips of that highlight, so that a cut made anew never lies where another lay: no two clips share a name,
and no cache has an old one under it. Title and style are what people gave them, made safe for keys and URLs.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

PLAIN_STYLE = "original"
MAX_SLUG_CHARS = 60
MAX_SLUG_BYTES = 180  # with the rest of a key well within its 1024, whatever the script
_NAMELESS = "clip"
_STYLE = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:=([1-9][0-9]?):([1-9][0-9]?))?")
STYLE_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
MAX_STYLE_CHARS = 32


@dataclass(frozen=True, slots=True)
class Style:
    """A way to cut: with an aspect, the middle of the picture in that shape; without one, the picture as it is."""

    name: str
    aspect: Fraction | None = None

    def __str__(self) -> str:
        """Return it as it is written in settings."""
        return f"{self.name}={self.aspect.numerator}:{self.aspect.denominator}" if self.aspect else self.name


def read_style(text: str) -> Style:
    """Return the style that `original` or `vertical=9:16` describes.

    Raises:
        ValueError: it is written in another way.
    """
    found = _STYLE.fullmatch(text)
    if found is None or len(found[1]) > MAX_STYLE_CHARS:
        raise ValueError(f"must be styles such as original or vertical=9:16, in small letters, not {text!r}")
    if found[2] is None:
        return Style(found[1])
    return Style(found[1], Fraction(int(found[2]), int(found[3])))


def slug(title: str) -> str:
    """Return a title as part of a key: letters and digits of any script in lower case, `-` for everything between.

    Nothing in it means anything to a path, a URL or a shell; what has no letter at all (emoji alone) is `clip`.
    """
    composed = unicodedata.normalize("NFKC", title.replace("'", "").replace("\u2019", "")).lower()
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else "-" for char in composed)
    words = [_without_marks_in_front(word) for word in unicodedata.normalize("NFKC", kept).split("-")]
    return _shortened("-".join(word for word in words if word)) or _NAMELESS


def name_fields(*, highlight: int, version: int, title: str, style: str) -> dict[str, str]:
    """Return what the templates of clips and thumbnails may name, besides ids."""
    return {"highlight": f"{highlight:02d}", "version": f"{version:02d}", "title": slug(title), "style": slug(style)}


def _without_marks_in_front(word: str) -> str:
    """Return a word without the combining marks that would stand on the `-` before it."""
    first = next((at for at, char in enumerate(word) if unicodedata.category(char)[0] != "M"), len(word))
    return word[first:]


def _shortened(text: str) -> str:
    """Return so much of the beginning as a name may have, cut between words where there is one not far away."""
    short = text[:MAX_SLUG_CHARS].encode()[:MAX_SLUG_BYTES].decode(errors="ignore")
    if short != text and (at := short.rfind("-")) > len(short) // 2:
        short = short[:at]
    return short.strip("-")
