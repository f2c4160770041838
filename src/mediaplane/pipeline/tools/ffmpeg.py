"""ffmpeg's binary, and running it from within a tool's own process."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO

import imageio_ffmpeg

from mediaplane.pipeline.tools.child import UNLIMITED, child_environment, launched
from mediaplane.pipeline.tools.failures import Tail, failure

# `-nostdin`: it would take the terminal's keys. Errors only: they become our sentences.
QUIET = ("-nostdin", "-hide_banner", "-v", "error", "-y")


@cache
def ffmpeg_path() -> str:
    """Return the path of the ffmpeg that the package imageio-ffmpeg brings: 9.0.2 with every encoder we use."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@contextmanager
def running(arguments: Sequence[str], *, cwd: Path | None = None) -> Iterator[IO[bytes]]:
    """Run ffmpeg under the limits of this process; the block reads its stdout and must read it to the end.

    Raises:
        MediaError, ToolFailed: it failed, when the block is left.
    """
    command = launched([ffmpeg_path(), *QUIET, *arguments], UNLIMITED)
    process = subprocess.Popen(
        command, cwd=cwd, env=child_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    tail = Tail()
    reader = Thread(target=_drain, args=(process.stderr, tail), daemon=True)  # a full stderr would stop ffmpeg
    reader.start()
    try:
        yield process.stdout
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        reader.join()
        process.stdout.close()
        process.stderr.close()
    if problem := failure("ffmpeg", status, tail):
        raise problem


def run(arguments: Sequence[str], *, cwd: Path | None = None) -> None:
    """Run ffmpeg to its end; what it prints is dropped.

    Raises:
        MediaError, ToolFailed: it failed.
    """
    with running(arguments, cwd=cwd) as output:
        while output.read(1 << 16):
            pass


def _drain(pipe: IO[bytes], tail: Tail) -> None:
    while block := pipe.read(1 << 16):
        tail.feed(block)
