"""Children end with their stage and with their worker, whatever ends it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mediaplane.errors import ToolFailed
from mediaplane.pipeline.tools.child import Limits, child_environment, run_child
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Chunk
from tests.services import made_media as media

LIMITS = Limits(seconds=120, address_space_mb=8192, output_mb=1024)
PATIENCE_SECONDS = 2

WORKER = """
import asyncio, sys
from pathlib import Path
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Chunk

async def main(source, out):
    limits = Limits(120, 8192, 1024)
    found = await probe(source, limits=limits)
    await encode_chunk(source, found, Chunk(0, 0, None, None, None), out_dir=Path(out), short_sides=[720],
                       frames_per_second=10, ocr=None, limits=limits, on_progress=lambda fraction: None)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that takes many seconds to encode, but few to make: twenty times the same."""
    folder = tmp_path_factory.mktemp("long")
    short = media.make_pattern(folder / "short.mp4", seconds=2, size="960x720", sound=False)
    media.ffmpeg("-stream_loop", "19", "-i", short, "-c", "copy", folder / "long.mp4")
    return folder / "long.mp4"


def descendants(pid: int) -> list[psutil.Process]:
    """Return the living processes under `pid`."""
    return psutil.Process(pid).children(recursive=True)


async def until_ffmpeg(pid: int) -> list[psutil.Process]:
    """Wait until an ffmpeg runs under `pid`, and return all that runs there, servers of other tests left out."""
    others = {process.pid for process in descendants(pid)}
    for _ in range(600):
        found = [process for process in descendants(pid) if process.pid not in others]
        if any("ffmpeg" in _name(process) for process in found):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("ffmpeg did not start")


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that are neither gone nor zombies."""
    alive = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except psutil.NoSuchProcess:
            continue
    return alive


def wait_for_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return which of them still live after the time they have."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while living(processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    return living(processes)


async def test_cancelling_a_stage_leaves_no_child(tmp_path: Path, long_recording: Path) -> None:
    """A cancelled stage has ended its python child and that one's ffmpeg when the cancellation comes back."""
    found = await probe(str(long_recording), limits=LIMITS)
    stage = asyncio.create_task(
        encode_chunk(
            str(long_recording), found, Chunk(0, 0, None, None, None), out_dir=tmp_path / "out", short_sides=[720],
            frames_per_second=10, ocr=None, limits=LIMITS, on_progress=lambda _fraction: None,
        )
    )  # fmt: skip
    children = await until_ffmpeg(os.getpid())
    assert len(children) >= 2
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage
    assert wait_for_end(children) == []


async def test_killing_the_worker_kills_its_children(tmp_path: Path, long_recording: Path) -> None:
    """After SIGKILL of the worker nothing it started lives on, ffmpeg two levels below included."""
    worker = subprocess.Popen(  # noqa: ASYNC220 -- it returns at once
        [sys.executable, "-c", WORKER, str(long_recording), str(tmp_path / "out")]
    )
    try:
        children = await until_ffmpeg(worker.pid)
        assert len(children) >= 2
        worker.send_signal(signal.SIGKILL)
    finally:
        worker.kill()
        worker.wait()
    assert wait_for_end(children) == []


async def test_children_know_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a child holds none of ours that may be secret."""
    for name in ("S3_SECRET_ACCESS_KEY", "DATABASE_URL", "AWS_SESSION_TOKEN", "MEDIAPLANE_SIGNING_KEY", "ANYTHING"):
        monkeypatch.setenv(name, "hush")
    assert "hush" not in child_environment().values()
    seen = await run_child([sys.executable, "-c", "import os; print(dict(os.environ))"], limits=LIMITS)
    assert b"hush" not in seen


async def test_a_failing_child_says_why_without_signatures() -> None:
    """Its last words become the message, without the query of a signed URL."""
    code = "import sys; sys.exit('cannot read https://store/bucket/key?X-Amz-Signature=abc today')"
    with pytest.raises(ToolFailed) as caught:
        await run_child([sys.executable, "-c", code], limits=LIMITS)
    assert "cannot read https://store/bucket/key today" in caught.value.message
    assert "abc" not in caught.value.message
    assert caught.value.retryable


async def test_a_talkative_child_is_read_to_the_end() -> None:
    """Megabytes on stderr and long lines on stdout block nobody."""
    code = "import sys; sys.stderr.write('x' * 3_000_000); print('y' * 2_000_000); print('end')"
    lines: list[str] = []
    await run_child([sys.executable, "-c", code], limits=LIMITS, on_line=lines.append)
    assert [len(line) for line in lines] == [2_000_000, 3]
