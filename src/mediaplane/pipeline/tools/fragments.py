"""Reads back the HLS that ffmpeg wrote: lengths and sizes of segments, peak bandwidth, codecs, first time."""

import re
import shutil
from pathlib import Path

from mediaplane.errors import ToolFailed
from mediaplane.pipeline.tools.results import EncodedRendition, EncodedSegment

_ENTRY = re.compile(r"#EXTINF:([0-9.]+),[^\n]*\n([^#\n]+)")
_MAP = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')
LITTLE_SPACE_BYTES = 1 << 20
AAC_LC = "mp4a.40.2"  # Source: RFC 6381, and ISO/IEC 14496-3 object type 2


def read_rendition(
    directory: Path,
    *,
    length_us: int | None = None,
    width: int | None = None,
    height: int | None = None,
    frame_rate: float | None = None,
    language: str = "",
    title: str = "",
) -> EncodedRendition:
    """Return the rendition in `directory`, which has its name, and remove ffmpeg's playlist.

    The last segment is made to end where the chunk ends (`length_us`): ffmpeg does not know how long its last frame
    stays, because the next one belongs to another chunk.

    Raises:
        ToolFailed: ffmpeg wrote no segment, or not all of one; it exits 0 also where the disk is full.
    """
    playlist = directory / "chunk.m3u8"
    text = playlist.read_text() if playlist.exists() else ""
    entries = [(round(float(seconds) * 1_000_000), name.strip()) for seconds, name in _ENTRY.findall(text)]
    init = _MAP.search(text)
    if not entries or init is None:
        raise ToolFailed(_with_space(directory, f"ffmpeg wrote no segment of {directory.name}"))
    for name in (init[1], *(name for _, name in entries)):
        _check_whole(directory / name)
    playlist.unlink()
    init_file = init[1].replace("%v", "0")  # ffmpeg numbers several renditions only; players read % as an escape
    (directory / init[1]).rename(directory / init_file)
    if length_us is not None:
        before_last = sum(duration for duration, _ in entries[:-1])
        entries[-1] = (max(1, length_us - before_last), entries[-1][1])
    segments = [EncodedSegment(name, duration, (directory / name).stat().st_size) for duration, name in entries]
    return EncodedRendition(
        name=directory.name,
        width=width,
        height=height,
        frame_rate=frame_rate,
        bandwidth=peak_bandwidth(segments),
        codecs=read_codecs((directory / init_file).read_bytes()),
        init_file=init_file,
        segments=segments,
        language=language,
        title=title,
    )


def _check_whole(path: Path) -> None:
    """Check that a file of boxes ends where its last box does."""
    size = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            length = int.from_bytes(header[8:16], "big") if length == 1 else length
            if length < 8:
                break
            at += length
    if at != size or size == 0:
        raise ToolFailed(_with_space(path.parent, f"{path.name} was not written to its end"))


def _with_space(directory: Path, problem: str) -> str:
    """Return the problem, with its likely reason where that can be seen."""
    full = shutil.disk_usage(directory).free < LITTLE_SPACE_BYTES
    return f"{problem}: there is no space left in the worker's directory" if full else problem


def peak_bandwidth(segments: list[EncodedSegment]) -> int:
    """Return the largest bits per second of a segment; those under half the longest say nothing about a rate.

    Source: RFC 8216, section 4.3.4.2, which leaves such segments out too.
    """
    longest = max(segment.duration_us for segment in segments)
    counted = [segment for segment in segments if segment.duration_us * 2 >= longest]
    return max(-(-segment.size_bytes * 8_000_000 // segment.duration_us) for segment in counted)


def read_codecs(init: bytes) -> str:
    """Return the RFC 6381 string of an init segment with one H.264 or AAC track."""
    at = init.find(b"avcC")
    if at < 0:
        return AAC_LC
    profile, compatibility, level = init[at + 5 : at + 8]
    return f"avc1.{profile:02x}{compatibility:02x}{level:02x}"


def first_time_us(init: bytes, segment: bytes) -> int:
    """Return the time on the playlist's timeline at which a segment with one track begins."""
    header, fragment = init.index(b"mdhd"), segment.index(b"tfdt")
    wide = init[header + 4] == 1  # version 1 has 64-bit times
    timescale = int.from_bytes(init[header + (24 if wide else 16) :][:4], "big")
    size = 8 if segment[fragment + 4] == 1 else 4
    return round(int.from_bytes(segment[fragment + 8 :][:size], "big") * 1_000_000 / timescale)
