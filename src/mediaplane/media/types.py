"""What bytes really are, by the first of them, whatever their name or sender says.

An own table: it has to be strict (what it does not know is not taken) and to know media, not everything. Libraries
answer another question: `puremagic` returns likely candidates with a confidence and knows two-letter signatures that
any text can have; `filetype` knows few containers and no markup.

Source: WHATWG MIME Sniffing Standard; RFC 9559 (Matroska), ISO/IEC 14496-12 (`ftyp`), ISO/IEC 13818-1 (packets).
"""

import mimetypes
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from mediaplane.errors import UploadTypeRefused

HEAD_BYTES = 4096  # what `real_type` wants to see; less is enough where the file is shorter
UNKNOWN = "application/octet-stream"

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "video/x-ms-asf"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", "application/mxf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"wvpk", "audio/x-wavpack"),
    (b"#!AMR", "audio/amr"),
    (b"caff\0\x01", "audio/x-caf"),
    (b".snd\0\0", "audio/basic"),
    (b"\x0b\x77", "audio/ac3"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ", "application/x-msdownload"),
)
# RIFF and IFF: four letters, a size, four letters that say what is inside
_FORMS = {
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"RF64", b"WAVE"): "audio/wav",
    (b"BW64", b"WAVE"): "audio/wav",
    (b"RIFF", b"AVI "): "video/x-msvideo",
    (b"RIFF", b"WEBP"): "image/webp",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic",
    b"heis": "image/heic", b"hevc": "image/heic", b"hevx": "image/heic", b"mif1": "image/heif", b"msf1": "image/heif",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"M4P ": "audio/mp4", b"F4A ": "audio/mp4", b"qt  ": "video/quicktime",
    b"crx ": "image/x-canon-cr3",
}  # fmt: skip
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_OGG_CODECS = (
    (b"\x80theora", "video/ogg"), (b"\x01vorbis", "audio/ogg"), (b"OpusHead", "audio/ogg"), (b"Speex   ", "audio/ogg"),
    (b"\x7fFLAC", "audio/ogg"),
)  # fmt: skip
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*(?:<!--|<(?:!doctype|html|head|script|iframe|h1|div|font|table|a|style|title|b|"
    rb"body|br|p|meta|link|img|form|object|embed)[\s>/]|(?P<xml><\?xml|<svg[\s>]))",
    re.IGNORECASE,
)
_EXTENSIONS = {
    "video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "mkv", "video/ogg": "ogv",
    "video/x-msvideo": "avi", "video/mpeg": "mpg", "video/mp2t": "ts", "video/3gpp": "3gp", "video/3gpp2": "3g2",
    "video/x-flv": "flv", "video/x-ms-asf": "wmv", "video/x-ms-wmv": "wmv", "video/x-m4v": "m4v", "audio/mpeg": "mp3",
    "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/aac": "aac", "audio/ogg": "ogg", "audio/opus": "opus",
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/vnd.wave": "wav", "audio/flac": "flac", "audio/x-flac": "flac",
    "audio/aiff": "aiff", "audio/x-aiff": "aiff", "audio/webm": "weba", "audio/amr": "amr", "audio/x-caf": "caf",
    "audio/ac3": "ac3", "audio/basic": "au", "audio/x-wavpack": "wv", "image/jpeg": "jpg", "image/png": "png",
    "image/gif": "gif", "image/webp": "webp", "image/avif": "avif", "image/heic": "heic", "image/heif": "heif",
    "image/tiff": "tif", "image/bmp": "bmp", "image/jxl": "jxl", "image/jp2": "jp2", "image/x-canon-cr3": "cr3",
    "application/mxf": "mxf", "application/pdf": "pdf", "application/zip": "zip",
}  # fmt: skip
_MORE_NAMES = {
    ".mkv": "video/x-matroska", ".m4v": "video/x-m4v", ".mts": "video/mp2t", ".m2ts": "video/mp2t", ".ts": "video/mp2t",
    ".flv": "video/x-flv", ".wmv": "video/x-ms-wmv", ".asf": "video/x-ms-asf", ".ogv": "video/ogg", ".oga": "audio/ogg",
    ".ogg": "audio/ogg", ".flac": "audio/flac", ".m4a": "audio/mp4", ".m4b": "audio/mp4", ".caf": "audio/x-caf",
    ".amr": "audio/amr", ".heif": "image/heif", ".jxl": "image/jxl", ".mxf": "application/mxf", ".weba": "audio/webm",
}  # fmt: skip
_SUFFIXES = {f".{extension}": media_type for media_type, extension in reversed(_EXTENSIONS.items())} | _MORE_NAMES
# without what the machine's own mime.types says: the same file has the same type everywhere
_NAMES = mimetypes.MimeTypes()


def read_type(text: str, name: str = "") -> str:
    """Return the media type without its parameters; where none is said, that of the file's name.

    Raises:
        UploadTypeRefused: it is no media type.
    """
    media_type = text.partition(";")[0].strip().lower()
    if media_type in ("", UNKNOWN):
        return guess_type(name)
    if not _TYPE.fullmatch(media_type):
        raise UploadTypeRefused("content_type is no media type such as video/mp4")
    return media_type


def guess_type(name: str) -> str:
    """Return the type that files of such a name have; `application/octet-stream`: who knows."""
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    return _SUFFIXES.get(suffix) or _NAMES.types_map[1].get(suffix) or UNKNOWN


def extension_of(media_type: str) -> str:
    """Return the extension for a key: made from the type, so that a client's file name never becomes part of one."""
    return _EXTENSIONS.get(media_type, "bin")


def is_allowed(media_type: str, patterns: Sequence[str]) -> bool:
    """Return whether the type is one of `patterns`, such as `video/*`."""
    return any(fnmatchcase(media_type, pattern.lower()) for pattern in patterns)


def agrees(said: str, found: str) -> bool:
    """Return whether bytes of type `found` may pass as `said`: one picture for another, one recording for another.

    Sound and video share containers, and which of both is inside stands further behind than the first bytes.
    """
    return _family(said) == _family(found)


def real_type(head: bytes) -> str:
    """Return what the file is that begins with `head`; `application/octet-stream` where nobody knows."""
    for start, media_type in _STARTS:
        if head.startswith(start):
            return media_type
    if form := _FORMS.get((head[:4], head[8:12])):
        return form
    for find in (_iso_media, _matroska, _ogg, _packets, _bitmap, _frames, _markup):
        if found := find(head):
            return found
    return UNKNOWN


def _family(media_type: str) -> str:
    family = media_type.partition("/")[0]
    return "recording" if family in ("audio", "video") or media_type == "application/mxf" else family


def _iso_media(head: bytes) -> str | None:
    size, kind = int.from_bytes(head[:4]), head[4:8]
    if kind == b"ftyp" and size >= 8:
        brand = head[8:12]
        if len(brand) < 4:
            return None  # cut off before it says what it is
        return _BRANDS.get(brand) or ("video/3gpp" if brand.startswith((b"3gp", b"3g2")) else "video/mp4")
    if kind in _OLD_QUICKTIME and (size >= 8 or size in (0, 1)):
        return "video/quicktime"
    return None


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return "video/webm" if b"\x42\x82\x84webm" in head[:128] else "video/x-matroska"


def _ogg(head: bytes) -> str | None:
    if not head.startswith(b"OggS\0"):
        return None
    return next((media_type for codec, media_type in _OGG_CODECS if codec in head), "video/ogg")


def _packets(head: bytes) -> str | None:
    """MPEG transport stream: a sync byte every 188 bytes, or 192 where each packet has a time before it."""
    for first, step in ((0, 188), (4, 192)):
        marks = head[first::step][:4]
        if len(marks) >= 2 and set(marks) == {0x47}:
            return "video/mp2t"
    return None


def _bitmap(head: bytes) -> str | None:
    return "image/bmp" if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS else None


def _frames(head: bytes) -> str | None:
    """MPEG audio without a container: AAC (ADTS) and MP3 begin with a frame's header."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    version, layer, rate, frequency = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    is_frame = head[1] & 0xE0 == 0xE0 and version != 1 and layer != 0 and 0 < rate < 15 and frequency != 3
    return "audio/mpeg" if is_frame else None


def _markup(head: bytes) -> str | None:
    match = _MARKUP.match(head)
    return None if match is None else ("text/xml" if match["xml"] else "text/html")
