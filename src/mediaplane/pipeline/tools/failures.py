"""Turns a child's end (exit status, last words) into our errors, and carries errors from child to parent."""

import re
import signal
from typing import Any

from mediaplane.errors import MediaplaneError, MediaTooLarge, MediaUnreadable, ToolFailed

KEPT_BYTES = 8192
_URL_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_PREFIX = re.compile(r"^\[[^\]]*\] *")
_TOO_LARGE = re.compile(
    r"Cannot allocate memory|Out of memory|MemoryError|bad_alloc|failed to map segment|File too large", re.IGNORECASE
)
_NETWORK = re.compile(
    r"Input/output error|HTTP error|Server returned|Connection (?:re|timed)|Network is|timed out|End of file|TLS|"
    r"Stream ends prematurely|Immediate exit|Temporary failure|No space left",
    re.IGNORECASE,
)
# ffmpeg goes on after a read error and exits 0: what it wrote then ends too early.
_CUT_OFF = re.compile(r"Error during demuxing: (?!Invalid data)|: partial file")
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_BAD_DATA = re.compile(
    r"Invalid data found|Decode error rate|Nothing was written|does not contain any|moov atom|Error while decoding"
)


class Tail:
    """The last words of a child."""

    def __init__(self) -> None:
        self._kept = b""
        self.cut_off = False
        self.no_space = False

    def feed(self, block: bytes) -> None:
        """Take what came; only the end is kept."""
        recent = self._kept + block
        text = recent.decode(errors="replace")
        self.cut_off = self.cut_off or bool(_CUT_OFF.search(text))
        self.no_space = self.no_space or bool(_NO_SPACE.search(text))
        self._kept = recent[-KEPT_BYTES:]

    @property
    def text(self) -> str:
        """What is kept, without the queries of signed URLs."""
        return without_queries(self._kept.decode(errors="replace"))

    @property
    def sentence(self) -> str:
        """The last lines as one sentence of at most 300 characters."""
        lines = [_PREFIX.sub("", line).strip() for line in self.text.splitlines()]
        return "; ".join(list(dict.fromkeys(filter(None, lines)))[-3:])[-300:]


def without_queries(text: str) -> str:
    """Return `text` with the query of each URL left out: it may be a signature."""
    return _URL_QUERY.sub(r"\1", text)


def failure(program: str, status: int, tail: Tail) -> MediaplaneError | None:
    """Return the error that an exit status (negative: a signal) and the last words stand for, None if all is well."""
    if tail.no_space:  # ffmpeg may go on, and exit 0 with files that are cut off
        return ToolFailed(f"there is no space left in the worker's directory: {tail.sentence}")
    if status == 0:
        return ToolFailed(f"reading the original broke off: {tail.sentence}") if tail.cut_off else None
    if status in (-signal.SIGXFSZ, -signal.SIGXCPU) or _TOO_LARGE.search(tail.text):
        return MediaTooLarge(f"decoding needs more time, memory or space than it may have: {tail.sentence}".strip(": "))
    if status < 0:
        return ToolFailed(f"{program} was ended by signal {signal.Signals(-status).name}. {tail.sentence}".strip())
    if _BAD_DATA.search(tail.text) and not _NETWORK.search(tail.text):
        return MediaUnreadable(f"the media cannot be decoded: {tail.sentence}")
    return ToolFailed(f"{program} ended with status {status}: {tail.sentence}")


def describe(error: MediaplaneError) -> dict[str, Any]:
    """Return an error as JSON values for `rebuild`."""
    message = without_queries(error.message)
    return {"code": error.code, "message": message, "retryable": error.retryable, "key": getattr(error, "key", "")}


def rebuild(data: dict[str, Any]) -> MediaplaneError:
    """Return the error that `describe` described, of the same class."""
    kind = next((found for found in _tree(MediaplaneError) if found.code == data["code"]), ToolFailed)
    error = kind.__new__(kind)
    MediaplaneError.__init__(error, data["message"], retryable=data["retryable"])
    if data["key"]:
        error.key = data["key"]  # type: ignore[attr-defined]
    return error


def _tree(kind: type[MediaplaneError]) -> list[type[MediaplaneError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]
