"""`mediaplane s3 cp` interrupted and killed, on real servers: nothing half has a final name, leftovers are found."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.transfers import MIB, make_files, unfinished_files
from tests.services.s3 import S3Server

SIGNALS = [signal.SIGINT, signal.SIGKILL]
LARGE = 40 * MIB
SLOWLY = ("--bwlimit", "12M", "--part-size", "5M", "--workers", "6")


@pytest.fixture(params=SIGNALS, ids=["ctrl-c", "kill -9"])
def ending(request: pytest.FixtureRequest) -> signal.Signals:
    """How the command ends."""
    return signal.Signals(request.param)


class Bucket:
    """An empty bucket and the commands on it."""

    def __init__(self, server: S3Server, name: str, state_dir: Path) -> None:
        self.client, self.name = server.client(), name
        self.environment = {
            **os.environ,
            "S3_ENDPOINT": server.http_endpoint,
            "S3_BUCKET": name,
            "S3_ACCESS_KEY_ID": server.access_key,
            "S3_SECRET_ACCESS_KEY": server.secret_key,
            "MEDIAPLANE_STATE_DIR": str(state_dir),
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command that tells its events."""
        command = [sys.executable, "-m", "mediaplane.cli", "s3", *arguments, "--json"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> dict:
        """Run a command to its end and return its summary."""
        process = self.start(*arguments)
        answer, errors = process.communicate(timeout=120)
        assert process.returncode == 0, f"{answer}\n{errors}"
        return json.loads(answer.splitlines()[-1])

    def uploads(self) -> list[str]:
        """Return the keys of multipart uploads that are neither finished nor aborted."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

    def bodies(self) -> dict[str, bytes]:
        """Return all that is stored."""
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {
            entry["Key"]: self.client.get_object(Bucket=self.name, Key=entry["Key"])["Body"].read() for entry in found
        }


@pytest.fixture
def bucket(s3_server: S3Server, fresh_bucket: Callable[[S3Server], str], tmp_path: Path) -> Bucket:
    """On each server in turn."""
    return Bucket(s3_server, fresh_bucket(s3_server), tmp_path / "state")


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    """A few small ones and two large."""
    dice = random.Random(11)
    small = {f"d/{number}.bin": dice.randbytes(50_000) for number in range(10)}
    return {**small, "large.bin": dice.randbytes(LARGE), "other.bin": dice.randbytes(LARGE // 2)}


def test_upload_that_is_ended_leaves_nothing_half(
    bucket: Bucket, bodies: dict[str, bytes], tmp_path: Path, ending: signal.Signals
):
    """Every object that is there is whole; `rm --incomplete` finds what else there is; run again it completes."""
    root = make_files(tmp_path / "in", bodies)
    process = bucket.start("cp", "-r", str(root), f"s3://{bucket.name}/", *SLOWLY)
    _wait_until(bucket.uploads, process)
    time.sleep(0.3)
    _end(process, ending)
    assert all(bodies[key] == body for key, body in bucket.bodies().items())
    if ending is signal.SIGINT:
        assert bucket.uploads() == []
    assert len(bucket.bodies()) < len(bodies), "it was ended too late to be a test"

    assert bucket.run("rm", "--incomplete", f"s3://{bucket.name}/")["failed"] == 0
    assert bucket.uploads() == []
    summary = bucket.run("cp", "-r", str(root), f"s3://{bucket.name}/")
    assert summary["failed"] == 0
    assert bucket.bodies() == bodies
    assert bucket.uploads() == []
    assert bucket.run("sync", str(root), f"s3://{bucket.name}/")["skipped"] == len(bodies)


def test_upload_that_was_killed_goes_on(bucket: Bucket, bodies: dict[str, bytes], tmp_path: Path):
    """Run again without any cleaning it completes too, and what is whole is not sent again."""
    root = make_files(tmp_path / "in", bodies)
    process = bucket.start("cp", "-r", str(root), f"s3://{bucket.name}/", *SLOWLY)
    _wait_until(lambda: bucket.uploads() and len(bucket.bodies()) >= 5, process)
    _end(process, signal.SIGKILL)
    there = len(bucket.bodies())
    summary = bucket.run("cp", "-r", str(root), f"s3://{bucket.name}/", "--part-size", "5M")
    assert summary["failed"] == 0
    assert summary["skipped"] >= there - 1  # one may have been written in the second its file was
    assert bucket.bodies() == bodies
    bucket.run("rm", "--incomplete", f"s3://{bucket.name}/")
    assert bucket.uploads() == []


def test_download_that_is_ended_leaves_nothing_half(
    bucket: Bucket, bodies: dict[str, bytes], tmp_path: Path, ending: signal.Signals
):
    """Every file under a final name is whole; temporaries are found; run again it completes."""
    for key, body in bodies.items():
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)
    out = tmp_path / "out"
    process = bucket.start("cp", "-r", f"s3://{bucket.name}/", str(out), *SLOWLY)
    _wait_until(lambda: unfinished_files(out), process)
    time.sleep(0.5)
    _end(process, ending)
    there = _files(out)
    assert all(bodies[name] == body for name, body in there.items())
    assert len(there) < len(bodies), "it was ended too late to be a test"

    assert bucket.run("rm", "--incomplete", str(out))["failed"] == 0
    assert unfinished_files(out) == []
    assert _files(out) == there
    summary = bucket.run("cp", "-r", f"s3://{bucket.name}/", str(out))
    assert (summary["failed"], summary["skipped"]) == (0, len(there))
    assert _files(out) == bodies


def test_download_that_was_killed_goes_on(bucket: Bucket, bodies: dict[str, bytes], tmp_path: Path):
    """Run again without any cleaning it completes, and no temporary is left."""
    bucket.client.put_object(Bucket=bucket.name, Key="large.bin", Body=bodies["large.bin"])
    out = tmp_path / "out"
    process = bucket.start("cp", "-r", f"s3://{bucket.name}/", str(out), *SLOWLY)
    _wait_until(lambda: unfinished_files(out), process)
    time.sleep(1.0)
    _end(process, signal.SIGKILL)
    assert bucket.run("cp", "-r", f"s3://{bucket.name}/", str(out), "--part-size", "5M")["failed"] == 0
    assert _files(out) == {"large.bin": bodies["large.bin"]}
    assert unfinished_files(out) == []


def test_incomplete_spares_what_is_being_written(bucket: Bucket, bodies: dict[str, bytes], tmp_path: Path):
    """`--older-than` spares young uploads, a lock spares the file of a running download."""
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="young")["UploadId"]
    assert bucket.run("rm", "--incomplete", "--older-than", "1h", f"s3://{bucket.name}/")["done"] == 0
    assert bucket.uploads() == ["young"]
    assert bucket.run("rm", "--incomplete", "-n", f"s3://{bucket.name}/you")["planned"] == 1
    assert bucket.uploads() == ["young"]
    assert bucket.run("rm", "--incomplete", f"s3://{bucket.name}/other")["done"] == 0
    assert bucket.run("rm", "--incomplete", f"s3://{bucket.name}")["done"] == 1
    assert bucket.uploads() == []
    del upload
    bucket.client.put_object(Bucket=bucket.name, Key="large.bin", Body=bodies["large.bin"])
    out = tmp_path / "out"
    process = bucket.start("cp", f"s3://{bucket.name}/large.bin", f"{out}/", *SLOWLY)
    _wait_until(lambda: unfinished_files(out), process)
    bucket.run("rm", "--incomplete", str(out))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert _files(out) == {"large.bin": bodies["large.bin"]}


def _wait_until(ready: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing has begun"
        time.sleep(0.05)


def _end(process: "subprocess.Popen[str]", ending: signal.Signals) -> None:
    process.send_signal(ending)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in errors, errors


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(".mediaplane-part")
    }
