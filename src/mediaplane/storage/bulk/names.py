"""What an object's metadata and a file's name say about each other: type, time, part size; names of temporaries."""

import hashlib
import itertools
import mimetypes
import os
from decimal import Decimal
from functools import lru_cache

from mediaplane.errors import MediaplaneError
from mediaplane.storage.bulk.work import UNFINISHED_ENDING, Options
from mediaplane.storage.exchange import Answer
from mediaplane.storage.wire import read_time

MTIME = "x-amz-meta-mtime"  # seconds since 1970 with a fraction. Source: rclone.org/s3, "Modification times"
MD5 = "x-amz-meta-md5chksum"  # Base64, for servers whose ETag is no MD5. Source: rclone.org/s3, "Hashes"
PART_BYTES = "x-amz-meta-mediaplane-part-bytes"  # the size of all parts but the last: what a composite ETag is made of
_PROCESS, _NUMBERS = os.urandom(6).hex(), itertools.count()
_TYPES = mimetypes.MimeTypes()  # not the machine's own table: the same file has the same type everywhere
_MORE_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml", ".m4s": "video/iso.segment",
    ".ts": "video/mp2t", ".mkv": "video/x-matroska", ".webm": "video/webm", ".m4a": "audio/mp4", ".flac": "audio/flac",
    ".ogg": "audio/ogg", ".opus": "audio/opus", ".webp": "image/webp", ".avif": "image/avif", ".heic": "image/heic",
    ".vtt": "text/vtt", ".srt": "application/x-subrip", ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/jsonl", ".yaml": "application/yaml", ".yml": "application/yaml", ".md": "text/markdown",
}  # fmt: skip


def object_headers(options: Options, key: str, mtime_ns: int) -> dict[str, str]:
    """Return the headers that an object made from a file keeps: type, class, metadata."""
    headers = {"content-type": options.content_type or content_type_of(key), MTIME: mtime_text(mtime_ns)}
    if options.storage_class:
        headers["x-amz-storage-class"] = options.storage_class
    for name, value in options.metadata.items():
        headers[f"x-amz-meta-{name.lower()}"] = value
    return headers


def content_type_of(key: str) -> str:
    """Return the content type that a key's ending says."""
    name = key[key.rfind("/") + 1 :]
    dot = name.rfind(".")
    return _type_of_ending(name[dot:].lower()) if dot > 0 else "application/octet-stream"


@lru_cache(maxsize=1024)
def _type_of_ending(ending: str) -> str:
    return _MORE_TYPES.get(ending) or _TYPES.guess_type(f"a{ending}")[0] or "application/octet-stream"


def mtime_text(mtime_ns: int) -> str:
    """Return a file's time as metadata has it."""
    seconds, rest = divmod(abs(mtime_ns), 1_000_000_000)
    return f"{'-' if mtime_ns < 0 else ''}{seconds}.{rest:09}"


def mtime_of(text: str) -> int | None:
    """Return nanoseconds since 1970; None where the text is no time."""
    try:
        return int(Decimal(text) * 1_000_000_000)
    except (ArithmeticError, ValueError):
        return None


def set_time(file: int, answer: Answer) -> None:
    """Set a file's time to its object's: that of the file it was made from, else when it was stored."""
    mtime_ns = mtime_of(answer.header(MTIME))
    if mtime_ns is None:
        mtime_ns = int(read_time(answer.header("last-modified")).timestamp()) * 1_000_000_000
    os.utime(file, ns=(mtime_ns, mtime_ns))


def temporary_name(path: str) -> str:
    """Return a new name beside `path` for a file that is written in one go."""
    return _beside(path, f"{_PROCESS}{os.getpid():x}.{next(_NUMBERS):x}")


def lasting_name(path: str, *facts: object) -> str:
    """Return the name beside `path` under which a download of exactly this object is continued by a later run."""
    return _beside(path, hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:12])


def _beside(path: str, mark: str) -> str:
    folder, _, name = path.rpartition("/")
    beginning = os.fsencode(name)[:80].decode("utf-8", "ignore")
    return (
        f"{folder}/.{beginning}.{mark}{UNFINISHED_ENDING}" if "/" in path else f".{beginning}.{mark}{UNFINISHED_ENDING}"
    )


def sentence_of(error: Exception) -> str:
    """Return why a piece of work failed, as a sentence for people."""
    if isinstance(error, MediaplaneError):
        return error.message
    if isinstance(error, UnicodeError):
        return "its name is no Unicode text, which a key must be: rename the file"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{error}"
