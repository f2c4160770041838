"""Media made for tests by ffmpeg: patterns, and clips whose frames carry their own number."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.results import Chunk, ChunkResult

BASE = 13  # digits of a frame's number; each is a level of gray
SIZE = (128, 96)


def ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> None:
    """Run ffmpeg; it must succeed."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, input=stdin, check=True)


def make_pattern(
    path: Path,
    *,
    rate: str = "30",
    seconds: float = 9,
    size: str = "128x96",
    sound: bool = True,
    encode: Sequence[str] = (),
) -> Path:
    """Write a moving test pattern with a tone, B-frames and a keyframe every 1.5 s or so."""
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac"] if sound else []
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "45", "-pix_fmt", "yuv420p"]
    ffmpeg(*picture, *tone, *h264, *encode, path)
    return path


def make_numbered(
    path: Path, *, rate: str = "30", count: int = 160, keep: str = "1", extra: Sequence[str] = ()
) -> Path:
    """Write a clip whose frames carry their number (at most 168); `keep` selects frames and makes the rate vary."""
    frames = b"".join(_numbered(number).tobytes() for number in range(count))
    picture = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", rate, "-i", "pipe:0"]
    chosen = ["-vf", f"select='{keep}'", "-fps_mode", "vfr", "-enc_time_base", "1:90000"]
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-bf", "2", "-g", "30", "-sc_threshold", "0"]
    ffmpeg(*picture, *chosen, *h264, *extra, path, stdin=frames)
    return path


def _numbered(number: int) -> NDArray[np.uint8]:
    frame = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)  # yuv420p: the last third is colour
    frame[: SIZE[1], : SIZE[0] // 2] = 30 + 15 * (number // BASE)
    frame[: SIZE[1], SIZE[0] // 2 :] = 30 + 15 * (number % BASE)
    return frame


def read_number(luma: NDArray[np.uint8]) -> int:
    """Return the number that a frame carries."""
    quarter = luma.shape[1] // 4
    high, low = luma[:, quarter - 8 : quarter + 8].mean(), luma[:, 3 * quarter - 8 : 3 * quarter + 8].mean()
    return round((high - 30) / 15) * BASE + round((low - 30) / 15)


def numbers(path: Path) -> list[tuple[Fraction, int]]:
    """Return time (seconds) and number of each frame that a player shows."""
    return [(frame.pts * frame.time_base, read_number(frame.to_ndarray()[: frame.height])) for frame in _frames(path)]


def times(path: Path | str, kind: str = "video") -> list[Fraction]:
    """Return the time of each decoded frame in seconds."""
    return [frame.pts * frame.time_base for frame in _frames(path, kind)]


def _frames(path: Path | str, kind: str = "video") -> Any:
    with av.open(str(path)) as container:
        yield from container.decode(getattr(container.streams, kind)[0])


def write_playlist(path: Path, parts: Sequence[tuple[Chunk, ChunkResult]], rendition: str, folder: str) -> Path:
    """Write the playlist of one rendition over all chunks, whose files lie in `folder` with `{index}` filled in."""
    from mediaplane.media.playlists import media_playlist

    rows = []
    for chunk, result in parts:
        found = next(made for made in result.renditions if made.name == rendition)
        place = f"{folder.format(index=chunk.index)}/{rendition}"
        rows += [
            Row(f"{place}/{segment.file}", f"{place}/{found.init_file}", segment.duration_us)
            for segment in found.segments
        ]
    path.write_text(media_playlist(rows, lambda key: key))
    return path


class Row:
    """A segment as `media_playlist` wants it."""

    def __init__(self, key: str, init_key: str, duration_us: int) -> None:
        self.key, self.init_key, self.duration_us = key, init_key, duration_us
