"""How media is read: by path or by ranges over HTTP, by real media demuxers only.

A playlist or an edit decision list uploaded as `video.mp4` would make a demuxer open other files and hosts. So
demuxers are a list of those that read one file, and protocols are those of the source itself.
"""

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mediaplane.errors import AccessDenied, MediaUnreadable, ObjectNotFound, StorageError

HEAD_BYTES = 1 << 16
TIMEOUT_SECONDS = 30

DEMUXERS = "mov,matroska,webm,avi,flv,mpegts,mpeg,asf,mxf,ogg,wav,w64,mp3,flac,aac,aiff,caf,amr,ac3,eac3,gif"
# Still images are told apart by their first bytes and never go to ffmpeg: see `image.py`.
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")
_IMAGE_BRANDS = (b"heic", b"heix", b"mif1", b"avif")  # Source: ISO/IEC 23008-12, AV1 Image File Format
_HTTP = {
    # One megabyte a request on a kept connection: a chunk reads little more than its own bytes, and a seek of
    # less than 64 KiB reads on instead of asking anew (6 MB read for a clip where plain requests read 13.5).
    "request_size": "1000000",
    "multiple_requests": "1",
    "short_seek_size": "65536",
    "reconnect": "1",
    "reconnect_on_network_error": "1",
    "reconnect_on_http_error": "5xx",
    "reconnect_delay_max": "4",
    "reconnect_max_retries": "4",
    "rw_timeout": str(TIMEOUT_SECONDS * 1_000_000),
}


def is_remote(source: str) -> bool:
    """Return whether `source` is a URL; otherwise it is a path."""
    return source.startswith(("http://", "https://"))


def shown(source: str) -> str:
    """Return `source` as messages may show it: without the signature of a URL."""
    return source.split("?", 1)[0] if is_remote(source) else Path(source).name


def av_options(source: str, ca_file: str | None) -> dict[str, str]:
    """Return the options with which libavformat may open `source`."""
    options = {"protocol_whitelist": _protocols(source), "format_whitelist": DEMUXERS}
    if is_remote(source):
        options |= _HTTP
    if source.startswith("https://"):
        options["tls_verify"] = "1"
        if ca_file:
            options["ca_file"] = ca_file
    return options


def input_arguments(source: str, ca_file: str | None) -> list[str]:
    """Return ffmpeg's options for an input, `-i` and the source."""
    pairs = [[f"-{name}", value] for name, value in av_options(source, ca_file).items()]
    # The prefix keeps a path from being read as a protocol ("concat:…") or an option.
    return [*(word for pair in pairs for word in pair), "-i", source if is_remote(source) else f"file:{source}"]


def _protocols(source: str) -> str:
    if source.startswith("https://"):
        return "https,tls,tcp"
    return "http,tcp" if is_remote(source) else "file"


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of a source and its whole size."""

    data: bytes
    size_bytes: int

    @property
    def is_image(self) -> bool:
        """Whether it is a still image."""
        kind = self.data[8:12]
        if self.data[4:8] == b"ftyp":
            return kind in _IMAGE_BRANDS
        return self.data.startswith(_IMAGES) or (self.data.startswith(b"RIFF") and kind == b"WEBP")


def read_head(source: str, ca_file: str | None, *, start: int = 0, length: int = HEAD_BYTES) -> Head:
    """Return at most `length` bytes, the first if nothing else is said, in one request.

    Raises:
        ObjectNotFound, AccessDenied: the store or the file system says so.
        StorageError: the store cannot be reached or failed.
        MediaUnreadable: the path is no file.
    """
    if not is_remote(source):
        return _read_file(Path(source), start, length)
    request = urllib.request.Request(source, headers={"Range": f"bytes={start}-{start + length - 1}"})  # noqa: S310 -- checked above
    context = ssl.create_default_context(cafile=ca_file) if urlsplit(source).scheme == "https" else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as reply:  # noqa: S310
            whole = reply.headers.get("Content-Range", "").rpartition("/")[2] or reply.headers["Content-Length"]
            return Head(reply.read(length), int(whole))
    except urllib.error.HTTPError as error:
        return _refused(source, error)
    except OSError as error:
        raise StorageError(f"{shown(source)} cannot be read: {error}", retryable=True) from error


def _read_file(path: Path, start: int, length: int) -> Head:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return Head(file.read(length), path.stat().st_size)
    except FileNotFoundError as error:
        raise ObjectNotFound(path.name) from error
    except PermissionError as error:
        raise AccessDenied(path.name) from error
    except IsADirectoryError as error:
        raise MediaUnreadable(f"{path.name} is a directory") from error


def _refused(source: str, error: urllib.error.HTTPError) -> Head:
    with error:
        if error.code == 416:  # there is no first byte
            return Head(b"", 0)
        if error.code == 404:
            raise ObjectNotFound(shown(source)) from error
        if error.code in (401, 403):
            raise AccessDenied(shown(source)) from error
        raise StorageError(f"{shown(source)}: the store answered {error.code}", retryable=error.code >= 500) from error
