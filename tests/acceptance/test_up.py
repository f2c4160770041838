"""`mediaplane up` as a process: it starts, is found, survives what befalls it, and leaves nothing running."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.plane import MEDIAPLANE, clean_environ, postmaster, running_plane


@pytest.fixture
def state(tmp_path) -> Path:
    return tmp_path / "state"


def processes_of(state: Path) -> list[psutil.Process]:
    """Return the live processes that name the state directory in their command line or environment."""
    found = []
    for process in psutil.process_iter(["pid"]):
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(state) in part for part in told):
            found.append(process)
    return found


def children_of(plane) -> list[psutil.Process]:
    return [child for child in psutil.Process(plane.process.pid).children() if is_alive(child)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def mediaplane(state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [MEDIAPLANE, *arguments], env=clean_environ(state), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "command", [["ls"], ["search", "word"], ["ingest", "x.mp4"], ["show", "a"], ["scan"], ["doctor"]]
)
def test_command_without_up_says_how_to_start_it(state, command):
    """Without a running `up` a command fails and says what to do."""
    finished = mediaplane(state, *command)
    assert finished.returncode == 1
    assert "mediaplane up" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_command_with_a_wrong_setting_names_it(state):
    """A wrong value stops the start with the variable's name."""
    environ = clean_environ(state, STORAGE_MODE="tape")
    finished = subprocess.run([MEDIAPLANE, "up"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 1
    assert "STORAGE_MODE" in finished.stderr
    assert "local, s3" in finished.stderr


def test_command_used_wrongly_ends_with_2(state):
    """Wrong usage has an exit status of its own."""
    assert mediaplane(state, "show").returncode == 2
    assert mediaplane(state, "nonsense").returncode == 2


def test_command_takes_the_state_directory_in_front_and_behind(state):
    """`--state-dir` may stand on either side of the command, and beats the variable."""
    for arguments in (
        ["--state-dir", "/elsewhere", "ls"],
        ["ls", "--state-dir", "/elsewhere"],
        ["ls", "--state-dir=/elsewhere"],
    ):
        assert "/elsewhere" in mediaplane(state, *arguments).stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none"), ("S3_ENDPOINT", "http://127.0.0.1:1")],
)
def test_up_without_database_or_store_names_the_setting(state, setting, value):
    """A database or store that cannot be reached is an error that names the setting."""
    environ = clean_environ(state, S3_ACCESS_KEY_ID="a", S3_SECRET_ACCESS_KEY="b", **{setting: value})
    command = [MEDIAPLANE, "up", "--port", "0"]
    finished = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert finished.returncode == 1
    assert setting in finished.stderr
    assert "Traceback" not in finished.stderr


def test_up_survives_the_death_of_its_parts_and_leaves_nothing(state):
    """Killed children and servers come back; a second `up` is refused; in the end no process is left."""
    with running_plane(state, STORAGE_MODE="local") as plane:
        assert plane.json("ls") == {"assets": []}
        second = mediaplane(state, "up", "--port", "0")
        assert second.returncode == 1
        assert "runs in" in second.stderr

        worker = next(child for child in children_of(plane) if "worker" in child.cmdline())
        worker.kill()
        wait_until(lambda: any("worker" in child.cmdline() for child in children_of(plane)))

        database = json.loads((state / "up.json").read_text())["database_url"]
        postgres = postmaster(state)
        postgres.kill()
        wait_until(lambda: plane.run("ls", "--json", check=False).returncode == 0)
        assert json.loads((state / "up.json").read_text())["database_url"] == database
    assert processes_of(state) == []


def test_up_killed_leaves_no_children_and_starts_again(state):
    """After kill -9 of `up` its gateway and worker end by themselves, and the next `up` finds all as it was."""
    with running_plane(state, STORAGE_MODE="local") as plane:
        children = children_of(plane)
        plane.process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(is_alive(child) for child in children))
    assert mediaplane(state, "ls").returncode == 1
    with running_plane(state, STORAGE_MODE="local") as plane:
        assert plane.json("ls") == {"assets": []}
    assert processes_of(state) == []
