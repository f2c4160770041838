"""Small pieces of a transfer in several processes: all is done once, whatever becomes of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.transfers import make_files, unfinished_files
from tests.services.fault_server import ALWAYS, FaultServer, Slow, Status, fault_server

COUNT = 600


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """An S3 server in this process."""
    with fault_server("bucket") as running:
        yield running


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    """Many small ones, and two that are large."""
    dice = random.Random(5)
    small = {f"d{number % 7}/{number:03}.bin": dice.randbytes(dice.randrange(3000)) for number in range(COUNT - 2)}
    return {**small, "large.bin": dice.randbytes(9 << 20), "middle.bin": dice.randbytes(600_000)}


@pytest.fixture
def root(bodies: dict[str, bytes], tmp_path: Path) -> Path:
    """The files."""
    return make_files(tmp_path / "in", bodies)


def start(server: FaultServer, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.crew_run", *arguments]
    environment = {**os.environ, **server.environment()}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> dict:
    answer, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(answer.splitlines()[-1])


def run(server: FaultServer, *arguments: str) -> dict:
    return finish(start(server, *arguments))


def stored(server: FaultServer, prefix: str) -> dict[str, bytes]:
    found = server.s3.objects["bucket"]
    return {key.removeprefix(prefix): item.body for key, item in found.items() if key.startswith(prefix)}


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_all_processes_take_part(server: FaultServer, root: Path, bodies: dict[str, bytes], tmp_path: Path):
    """Up, copied on the server, and down again, each piece once."""
    size_bytes = sum(len(body) for body in bodies.values())
    for source, target in (
        (root, "s3://bucket/a/"),
        ("s3://bucket/a/", "s3://bucket/b/"),
        ("s3://bucket/b/", tmp_path / "out"),
    ):
        told = run(server, str(source), str(target))
        assert (told["done"], told["failed"], told["bytes"]) == (COUNT, 0, size_bytes)
        assert min(told["taken"]) > 0
        assert sum(told["taken"]) < COUNT, "nothing was left to the first process"
    assert stored(server, "b/") == bodies
    assert files(tmp_path / "out") == bodies


def test_process_with_threads_does_all_by_itself(server: FaultServer, root: Path, bodies: dict[str, bytes]):
    """Forking it would not be safe."""
    told = run(server, str(root), "s3://bucket/a/", "threads")
    assert (told["done"], told["taken"]) == (COUNT, [])
    assert stored(server, "a/") == bodies


def test_failures_of_all_processes_are_listed(server: FaultServer, root: Path, bodies: dict[str, bytes]):
    """By name, and once."""
    server.fail("PutObject", Status(400, "InvalidRequest"), times=ALWAYS, key="a/d3/.*")
    told = run(server, str(root), "s3://bucket/a/")
    refused = sorted(str(root / name) for name in bodies if name.startswith("d3/"))
    assert told["failures"] == refused
    assert (told["done"], told["failed"]) == (COUNT - len(refused), len(refused))
    assert server.count("PutObject") == COUNT, "asking again would not help"


def test_what_a_killed_process_had_is_done_by_the_others(server: FaultServer, root: Path, bodies: dict[str, bytes]):
    """Nothing is missing, and nothing is counted twice."""
    told = run(server, str(root), "s3://bucket/a/", "kill")
    assert (told["done"], told["failed"]) == (COUNT, 0)
    assert 0 < told["taken"][0] < told["taken"][1]
    assert stored(server, "a/") == bodies


def test_fault_of_ours_in_one_process_ends_the_run(server: FaultServer, root: Path):
    """And is told with its traceback."""
    process = start(server, str(root), "s3://bucket/a/", "break")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ValueError: a fault of ours" in errors
    assert "RuntimeError: a process of the transfer failed" in errors


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_processes_end_with_the_first(
    server: FaultServer, root: Path, bodies: dict[str, bytes], tmp_path: Path, ending: signal.Signals
):
    """Also when it is killed; every file with a final name is whole."""
    run(server, str(root), "s3://bucket/a/")
    server.fail("GetObject", Slow(pause_seconds=0.05), times=ALWAYS)
    out = tmp_path / "out"
    process = start(server, "s3://bucket/a/", str(out))
    assert process.stdout is not None
    members = json.loads(process.stdout.readline())
    _wait_until(lambda: len(files(out)) > 50)
    process.send_signal(ending)
    process.communicate(timeout=60)
    _wait_until(lambda: not any(_is_alive(member) for member in members))
    there = {name: body for name, body in files(out).items() if "mediaplane-part" not in name}
    assert 50 < len(there) < COUNT
    assert all(bodies[name] == body for name, body in there.items())
    if ending is signal.SIGINT:
        assert unfinished_files(out) == []


def _is_alive(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False


def _wait_until(holds) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)
