"""`mediaplane ingest`: files and URLs side by side, what cannot be read, and Ctrl-C in the middle."""

import json
import signal
import subprocess
import time

import pytest

from tests.acceptance.plane import MEDIAPLANE, running_plane
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
    """After Ctrl-C the recording is there and goes on to ready, or was never taken; asked again it is whole."""
    command = subprocess.Popen(
        [MEDIAPLANE, "ingest", str(recordings[2])],
        env=dict(plane.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (listed := plane.json("ls")["assets"]) and command.poll() is None:
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    _, told = command.communicate(timeout=30)
    assert command.returncode == 1
    assert told.strip().endswith("mediaplane: interrupted")
    assert plane.wait_until_ready(listed[0]["asset_id"])["status"] == "ready"
    (again,) = plane.json("ingest", str(recordings[2]))["assets"]
    assert (again["asset_id"], again["reused"]) == (listed[0]["asset_id"], True)
