"""What a download is called: made from the asset's title, fit for every file system and for one HTTP header."""

import re
import unicodedata
from urllib.parse import quote

from mediaplane.media.types import extension_of

MAX_STEM_BYTES = 180  # with an object's own name and extension under the 255 bytes that file systems take
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')  # Source: Microsoft, "Naming Files, Paths, and Namespaces"
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # the same page
_ALONE = ("original", "proxy", "poster", "transcript")  # what stands for the whole asset


def download_name(title: str, *, role: str, key: str, content_type: str) -> str:
    """Return the file name for an object of an asset: the title with the object's own extension.

    Of all roles but those that stand for the whole asset, the object's own name stands behind the title.
    """
    last = key.rpartition("/")[2]
    own_stem, dot, own_extension = last.rpartition(".")
    extension = own_extension if dot and own_extension.isalnum() else extension_of(content_type)
    stem = clean_stem(_without_extension(title))
    if role not in _ALONE:
        stem = f"{stem} {own_stem if dot else last}"
    return f"{stem}.{extension}"


def clean_stem(title: str) -> str:
    """Return a title as the first part of a file name: never empty, no path, nothing that a system has reserved."""
    shown = "".join(char for char in unicodedata.normalize("NFC", title) if char.isprintable())
    stem = re.sub(r"\s+", " ", _FORBIDDEN.sub("_", shown))
    stem = stem.strip(" .").encode("utf-8", "replace")[:MAX_STEM_BYTES].decode(errors="ignore").strip(" .")
    return f"_{stem}" if _RESERVED.fullmatch(stem) else stem or "download"


def content_disposition(filename: str) -> str:
    """Return the header that has browsers save an answer under this name.

    Source: RFC 6266, section 4.3 and appendix D: a plain name for old clients, the real one behind it.
    """
    plain = re.sub(r'[^\x20-\x7e]|["%\\]', "_", filename)
    real = quote(filename, safe="!#$&+-.^_`|~")  # RFC 8187, section 3.2.1: `attr-char`
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{real}"


def _without_extension(title: str) -> str:
    """Return a title that was a file's name without its extension, which may be another one than the object's."""
    stem, dot, extension = title.rpartition(".")
    return stem if dot and stem and 0 < len(extension) <= 5 and extension.isalnum() else title
