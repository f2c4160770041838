"""What a recording is like second by second, measured on what was made of it: how loud, how fast the picture changes.

Read are the sound rendition and the smallest picture that the pipeline has encoded, so that a long original is not
fetched and decoded a second time.
"""

from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path

from mediaplane.pipeline.tools import ffmpeg
from mediaplane.pipeline.tools.encode import OFFSET_US

SILENCE_LUFS = -70.0  # below which BS.1770 counts nothing
LOOKS_PER_SECOND = 4
LOOKED_AT_WIDTH = 160
CUT_SCORE = 0.3  # of ffmpeg's scene filter: another picture
_OFFSET_SECONDS = OFFSET_US / 1_000_000


def measure_loudness(path: Path, seconds: int) -> list[float]:
    """Return the momentary loudness of each second in LUFS, its loudest moment.

    Raises:
        MediaError, ToolFailed: the sound cannot be decoded.

    Source: EBU R 128 and ITU-R BS.1770-5, as ffmpeg's filter ebur128 has them.
    """
    found = [SILENCE_LUFS] * seconds
    arguments = ["-copyts", "-i", str(path), "-map", "0:a:0"]
    arguments += ["-af", "ebur128=metadata=1,ametadata=mode=print:key=lavfi.r128.M:file=pipe\\\\:1", "-f", "null", "-"]
    for moment, value in _printed(arguments):
        if 0 <= moment < seconds:
            found[int(moment)] = max(found[int(moment)], value)
    return found


def measure_changes(paths: Sequence[Path], seconds: int) -> tuple[list[float], list[int]]:
    """Return how much the picture changes in each second, 0 to 1, and when it became another one, in milliseconds.

    `paths` are the files of one rendition's chunks: each has times of its own within the whole.

    Raises:
        MediaError, ToolFailed: a picture cannot be decoded.
    """
    changes, cuts = [0.0] * seconds, []
    look = f"fps={LOOKS_PER_SECOND},scale={LOOKED_AT_WIDTH}:-2,select='gte(scene\\,0)'"
    for path in paths:
        arguments = ["-copyts", "-i", str(path), "-map", "0:v:0"]
        arguments += ["-vf", f"{look},metadata=mode=print:key=lavfi.scene_score:file=pipe\\\\:1", "-f", "null", "-"]
        for moment, score in _printed(arguments):
            if not 0 <= moment < seconds:
                continue
            changes[int(moment)] += score / LOOKS_PER_SECOND
            if score >= CUT_SCORE:
                cuts.append(round(moment * 1000))
    return changes, cuts


def _printed(arguments: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Yield time in seconds and value of what a metadata filter prints."""
    moment, rest = 0.0, b""
    with ffmpeg.running(arguments) as output:
        while block := output.read(1 << 16):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(b"frame:"):
                    moment = float(line.rpartition(b"pts_time:")[2]) - _OFFSET_SECONDS
                elif line.startswith(b"lavfi."):
                    value = float(line.rpartition(b"=")[2])
                    if not isnan(value):  # of digital silence
                        yield moment, value
