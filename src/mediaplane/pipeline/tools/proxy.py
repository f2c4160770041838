"""One progressive MP4 that a browser can download or play as it is, of at most 1080 lines."""

from collections.abc import Callable
from pathlib import Path

from mediaplane.pipeline.tools.audio import progress_reader
from mediaplane.pipeline.tools.child import Limits, run_child
from mediaplane.pipeline.tools.encode import proxy_arguments
from mediaplane.pipeline.tools.ffmpeg import QUIET, ffmpeg_path
from mediaplane.pipeline.tools.results import Probe
from mediaplane.pipeline.tools.source import input_arguments


async def make_proxy(
    source: str,
    probe: Probe,
    path: Path,
    *,
    limits: Limits,
    ca_file: str | None = None,
    on_progress: Callable[[float], None] = lambda _fraction: None,
) -> None:
    """Write an H.264 and AAC file to `path`, its index in front, from the original.

    What is H.264 of at most 1080 lines, and AAC, is copied; the rest is encoded.

    Raises:
        MediaError, ToolFailed: the source cannot be read or decoded.
    """
    arguments = [*proxy_arguments(input_arguments(source, ca_file), probe), str(path)]
    on_line = progress_reader(on_progress, start_us=-1_000_000, length_us=(probe.duration_ms or 0) * 1000)
    await run_child([ffmpeg_path(), *QUIET, *arguments], limits=limits, on_line=on_line)
