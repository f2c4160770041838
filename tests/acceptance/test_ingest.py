"""`mediaplane ingest`: files and URLs side by side, what cannot be read, and Ctrl-C in the middle."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.acceptance.plane import MEDIAPLANE, Plane, postmaster, running_plane
from tests.services.range_server import serve_ranges
from tests.services.recordings import make_recording


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    directory = tmp_path_factory.mktemp("media")
    return [make_recording(directory / f"{name}.mp4", ((2.0, (name,)),)) for name in ("first", "second", "third")]


@pytest.fixture
def plane(tmp_path):
    with running_plane(tmp_path / "state", STORAGE_MODE="local", OCR_ENGINE="off") as plane:
        yield plane


def test_ingest_of_several_sources_tells_of_each(plane, recordings, tmp_path):
    """A file, a URL, the same bytes again and a missing file: one answer each, in order; exit status 1."""
    with serve_ranges(recordings[1].parent) as served:
        url, missing = served.address(recordings[1]), f"{served.url}/missing.mp4"
        sources = [str(recordings[0]), url, str(recordings[0]), str(tmp_path / "missing.mp4"), missing]
        done = plane.run("ingest", "--json", *sources, check=False)
    assert done.returncode == 1
    first, fetched, again, missing, not_found = json.loads(done.stdout)["assets"]
    assert (first["status"], first["reused"], first["duration_ms"]) == ("ready", False, 2000)
    assert fetched["status"] == "ready"
    assert (again["asset_id"], again["reused"]) == (first["asset_id"], True)
    assert missing["error"]["code"] == not_found["error"]["code"] == "file_unreadable"
    assert "404" in not_found["error"]["message"]


def test_ingest_interrupted_leaves_a_whole_state(plane, recordings):
    """After Ctrl-C the recording is there and goes on to ready; asked again it is whole."""
    with workers_held(plane):
        command, listed = begin(plane, recordings[2])
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=60)
    assert command.returncode == 1
    assert told.strip().endswith("mediaplane: interrupted")
    assert plane.wait_until_ready(listed)["status"] == "ready"
    (again,) = plane.json("ingest", str(recordings[2]))["assets"]
    assert (again["asset_id"], again["reused"]) == (listed, True)


def test_ingest_waits_while_the_database_is_away(plane, recordings):
    """PostgreSQL dies while a recording is followed: nothing is said, and in the end it is ready."""
    with workers_held(plane):
        command, _ = begin(plane, recordings[0])
        postgres = postmaster(plane.state_dir)
        postgres.kill()
        while plane.run("ls", check=False).returncode:
            time.sleep(0.1)
        assert command.poll() is None, command.communicate()
    told, complained = command.communicate(timeout=120)
    assert (command.returncode, told.split()[-1]) == (0, "ready"), complained
    assert "connection" not in complained and "Traceback" not in complained


def test_ingest_of_what_is_deleted_meanwhile(plane, recordings):
    """Who deletes an asset ends the command that follows it, with a sentence."""
    with workers_held(plane):
        command, asset_id = begin(plane, recordings[1])
        plane.run("rm", asset_id)
        told, complained = command.communicate(timeout=120)
    assert command.returncode == 1
    assert asset_id in told and "asset_not_found" in told
    assert "Traceback" not in complained


def begin(plane: Plane, recording: Path) -> "tuple[subprocess.Popen[str], str]":
    """Begin to ingest; return the command and, once all bytes are there, the asset's id."""
    command = subprocess.Popen(
        [MEDIAPLANE, "ingest", str(recording)],
        env=dict(plane.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (sent := [one for one in plane.json("ls")["assets"] if one["status"] != "uploading"]):
        assert command.poll() is None, command.communicate()
        time.sleep(0.05)
    return command, sent[0]["asset_id"]


@contextmanager
def workers_held(plane: Plane) -> Iterator[None]:
    """Keep the workers from doing anything for the block."""
    held = [child for child in psutil.Process(plane.process.pid).children() if "worker" in child.cmdline()]
    for worker in held:
        worker.suspend()
    try:
        yield
    finally:
        for worker in held:
            worker.resume()
