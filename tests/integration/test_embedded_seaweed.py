"""The embedded SeaweedFS survives what happens to processes, and keeps what it has acknowledged."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from mediaplane.embedded.seaweed import EmbeddedSeaweed
from mediaplane.errors import NotRunning

BUCKET = "kept"
OWNER = """
import sys
from pathlib import Path
from mediaplane.embedded.seaweed import EmbeddedSeaweed
with EmbeddedSeaweed(Path(sys.argv[1])) as server:
    print(server.endpoint, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(state_dir: Path) -> Iterator[subprocess.Popen]:
    """Another process that uses the server until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=60)


@contextmanager
def client(server: EmbeddedSeaweed):
    made = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    try:
        yield made
    finally:
        made.close()


def put(server: EmbeddedSeaweed, key: str, body: bytes) -> None:
    with client(server) as s3:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def get(server: EmbeddedSeaweed, key: str) -> bytes:
    with client(server) as s3, s3.get_object(Bucket=BUCKET, Key=key)["Body"] as body:
        return body.read()


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory) -> Path:
    """A state directory with a long path, in which two processes have started the server at the same time."""
    directory = tmp_path_factory.mktemp("embedded") / ("a-long-name-" * 8) / "state"
    with owner(directory) as first, owner(directory) as second:
        assert first.stdout.readline() == second.stdout.readline() != b""
        with client(EmbeddedSeaweed(directory)) as s3:
            s3.create_bucket(Bucket=BUCKET)
    return directory


@pytest.fixture
def server(state_dir: Path) -> Iterator[EmbeddedSeaweed]:
    """The server of that directory, not started; left stopped."""
    server = EmbeddedSeaweed(state_dir)
    yield server
    server.close()
    assert server._pids() == []


def test_server_shared_by_two_processes_stops_with_the_last(server, state_dir):
    """The server runs as long as anybody uses it; endpoint, keys and objects outlive it."""
    before = server.endpoint, server.access_key, server.secret_key
    assert server._pids() == []  # those who made the directory have left
    with owner(state_dir) as other:
        other.stdout.readline()
        server.start()
        pids = server._pids()
        put(server, "a", b"first")
    assert server._pids() == pids
    server.close()
    assert server._pids() == []
    server.start()
    assert (server.endpoint, server.access_key, server.secret_key) == before
    assert get(server, "a") == b"first"


def test_owner_killed_server_is_adopted_and_server_killed_starts_again(server, state_dir):
    """After SIGKILL of the owner its server goes on; after SIGKILL of the server no acknowledged byte is lost."""
    with owner(state_dir) as other:
        other.stdout.readline()
        pids = server._pids()
        other.kill()
    server.start()
    assert server._pids() == pids
    body = os.urandom(9_000_000)  # more than one piece of it
    put(server, "b", body)
    os.kill(pids[0], signal.SIGKILL)
    server.start()
    assert server._pids() != pids
    assert get(server, "b") == body


def test_ports_taken_by_a_stranger_are_chosen_anew(server):
    """A port that is in use at the next start is replaced; the objects are still there."""
    server.start()
    put(server, "c", b"kept")
    server.close()
    before = server.endpoint
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        server.start()
        assert server.endpoint != before
        assert get(server, "c") == b"kept"


def test_nobody_else_gets_in(server, state_dir):
    """Secrets can be read by their owner only; inner HTTP ports refuse who has no token; all is on loopback."""
    server.start()
    put(server, "secret", b"mine")
    for name in ("s3.json", "security.toml"):
        assert (state_dir / "seaweed" / name).stat().st_mode & 0o077 == 0
    ports = json.loads((state_dir / "seaweed" / "ports.json").read_text())
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{ports['filer.port']}/buckets/{BUCKET}/secret")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{server.endpoint}/{BUCKET}/secret")
    assert addresses_of(ports.values()) == {"127.0.0.1"}


def addresses_of(ports) -> set[str]:
    """The local addresses on which the ports listen, as the kernel tells."""
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split()[1:4] for lines in tables for line in lines]
    found = {local for local, _, state in rows if state == "0A" and int(local.rpartition(":")[2], 16) in ports}
    assert len(found) == len(ports)
    return {socket.inet_ntoa(bytes.fromhex(local[:8])[::-1]) if len(local) == 13 else local for local in found}


def test_state_directory_deleted_under_a_server_starts_anew(tmp_path):
    """A server left over in a deleted state directory is ended, and a new one started there."""
    with pytest.raises(NotRunning):
        _ = EmbeddedSeaweed(tmp_path).endpoint
    with owner(tmp_path) as first:
        first.stdout.readline()
        first.kill()
    left_over = EmbeddedSeaweed(tmp_path)._pids()
    assert len(left_over) == 1
    shutil.rmtree(tmp_path / "seaweed")
    with EmbeddedSeaweed(tmp_path) as server:
        assert server._pids()
        assert server._pids() != left_over
        with client(server) as s3:
            assert s3.list_buckets()["Buckets"] == []
