"""Runs the programs that touch media: child processes with limits that end when the worker ends.

A child gets its own session and process group, killed as one when its stage is cancelled; the kernel kills it,
and what it started, if the worker is killed (`launch.py`). Its environment holds no credentials.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediaplane.errors import MediaplaneError, MediaTooLarge, ToolFailed
from mediaplane.pipeline.tools.failures import Tail, failure, rebuild

READ_BYTES = 1 << 16
MAX_STDOUT_BYTES = 256 << 20
# What a child may know of our environment. Everything else may be a credential.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PYTHONPATH",
    "TESSDATA_PREFIX",
)
LAUNCHER = str(Path(__file__).with_name("launch.py"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use. `seconds` is wall time; `output_mb` bounds each file it writes."""

    seconds: int
    address_space_mb: int
    output_mb: int


UNLIMITED = Limits(0, 0, 0)


def child_environment() -> dict[str, str]:
    """Return the environment of children: paths, language, certificates, and one thread for numeric libraries."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Each thread's malloc arena reserves address space, which RLIMIT_AS counts.
    return {**passed, **threads, "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1", "AV_LOG_FORCE_NOCOLOR": "1"}


def launched(argv: Sequence[str], limits: Limits) -> list[str]:
    """Return the command that runs `argv` under `limits` and bound to the life of this process."""
    numbers = (os.getpid(), limits.seconds, limits.address_space_mb, limits.output_mb)
    return [sys.executable, "-I", "-S", LAUNCHER, *map(str, numbers), *argv]


async def run_child(
    argv: Sequence[str],
    *,
    limits: Limits,
    cwd: Path | None = None,
    stdin: bytes = b"",
    on_line: Callable[[str], None] | None = None,
) -> bytes:
    """Run a program to its end and return its stdout (empty where `on_line` gets the lines instead).

    Raises:
        MediaTooLarge: it ran into a limit: time, memory, size of output.
        MediaUnreadable: it said that the media cannot be decoded.
        ToolFailed: it failed for another reason, which may pass.
    """
    process = await asyncio.create_subprocess_exec(
        *launched(argv, limits),
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=child_environment(),
        start_new_session=True,
    )
    tail = Tail()
    try:
        async with asyncio.timeout(limits.seconds or None):
            output = await _converse(process, stdin, tail, on_line)
            status = await process.wait()
    except TimeoutError as error:
        raise MediaTooLarge(f"decoding took more than {limits.seconds} seconds and was ended") from error
    finally:
        await _end(process)
    if problem := failure(Path(argv[0]).name.partition("-")[0], status, tail):
        raise problem
    return output


async def _converse(
    process: asyncio.subprocess.Process, stdin: bytes, tail: Tail, on_line: Callable[[str], None] | None
) -> bytes:
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        if process.stdin is not None:
            group.create_task(_feed(process.stdin, stdin))
        group.create_task(_drain(process.stderr, tail))
        output = group.create_task(_collect(process.stdout) if on_line is None else _lines(process.stdout, on_line))
    return output.result()


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    try:
        pipe.write(data)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended without reading: its exit status tells why


async def _drain(pipe: asyncio.StreamReader, tail: Tail) -> None:
    while block := await pipe.read(READ_BYTES):
        tail.feed(block)


async def _collect(pipe: asyncio.StreamReader) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while block := await pipe.read(READ_BYTES):
        size += len(block)
        if size > MAX_STDOUT_BYTES:
            raise ToolFailed("a tool wrote more than it may", retryable=False)
        blocks.append(block)
    return b"".join(blocks)


async def _lines(pipe: asyncio.StreamReader, on_line: Callable[[str], None]) -> bytes:
    rest: list[bytes] = []  # joined once a line ends: a result may be megabytes long
    while block := await pipe.read(READ_BYTES):
        *whole, last = block.split(b"\n")
        for line in whole:
            on_line(b"".join([*rest, line]).decode(errors="replace"))
            rest.clear()
        rest.append(last)
    return b""


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs of the child's group, and reap it even if the caller is cancelled once more."""
    if process.returncode is not None:
        return  # it ended by itself; what it started is bound to its life
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())


async def ask(
    tool: str, request: Mapping[str, Any], *, limits: Limits, on_progress: Callable[[float], None] | None = None
) -> Any:
    """Run `mediaplane.pipeline.tools.{tool}` as a child on a JSON request and return its JSON result.

    The request goes through stdin, where no list of processes shows the signed URLs in it.

    Raises:
        MediaError, ToolFailed, …: the error that the tool raised, or those of `run_child`.
    """
    answers: dict[str, Any] = {}

    def hear(line: str) -> None:
        message = json.loads(line)
        if "progress" in message and on_progress is not None:
            on_progress(message["progress"])
        answers.update(message)

    argv = [sys.executable, "-P", "-m", f"mediaplane.pipeline.tools.{tool}"]
    try:
        await run_child(argv, limits=limits, stdin=json.dumps(request).encode(), on_line=hear)
    except MediaplaneError as error:
        raise (rebuild(answers["error"]) if "error" in answers else error) from None
    if "error" in answers:
        raise rebuild(answers["error"])
    if "result" not in answers:
        raise ToolFailed(f"{tool} ended without a result")
    return answers["result"]
