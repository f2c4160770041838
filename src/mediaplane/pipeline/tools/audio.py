"""The sound as an HLS rendition of its own: one pass over the whole file, AAC, on the picture's timeline."""

import re
from collections.abc import Callable
from pathlib import Path

from mediaplane.errors import MediaUnsupported
from mediaplane.pipeline.tools.child import Limits, run_child
from mediaplane.pipeline.tools.encode import OFFSET_US, audio_arguments
from mediaplane.pipeline.tools.ffmpeg import QUIET, ffmpeg_path
from mediaplane.pipeline.tools.fragments import read_rendition
from mediaplane.pipeline.tools.results import EncodedRendition, Probe
from mediaplane.pipeline.tools.source import input_arguments

_OUT_TIME = re.compile(r"out_time_us=(\d+)")


async def encode_audio(
    source: str,
    probe: Probe,
    *,
    out_dir: Path,
    limits: Limits,
    on_progress: Callable[[float], None],
    ca_file: str | None = None,
) -> EncodedRendition:
    """Encode the first audio track into `out_dir`, whose name becomes that of the rendition.

    Raises:
        MediaUnsupported: there is no sound.
        MediaError, ToolFailed: it cannot be read or decoded.
    """
    if not probe.audio:
        raise MediaUnsupported("there is no sound in this file")
    out_dir.mkdir(parents=True, exist_ok=True)
    arguments = audio_arguments(input_arguments(source, ca_file), probe, name=out_dir.name)
    on_line = progress_reader(on_progress, start_us=0, length_us=(probe.duration_ms or 0) * 1000)
    await run_child([ffmpeg_path(), *QUIET, *arguments], limits=limits, cwd=out_dir.parent, on_line=on_line)
    return read_rendition(out_dir)


def progress_reader(on_progress: Callable[[float], None], *, start_us: int, length_us: int) -> Callable[[str], None]:
    """Return what turns ffmpeg's `-progress` lines into the fraction that is done."""

    def read(line: str) -> None:
        if length_us > 0 and (match := _OUT_TIME.match(line)):
            on_progress(min(1.0, max(0.0, (int(match[1]) - OFFSET_US - start_us) / length_us)))

    return read
