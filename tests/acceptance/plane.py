"""Drives `mediaplane` as a user would: the command line in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

MEDIAPLANE = str(Path(sys.executable).with_name("mediaplane"))
START_SECONDS = 240  # a machine that runs three test files at a time, and more, takes its time
READY_SECONDS = 600
# What a developer's shell may have set must not reach the tests.
OURS = ("S3_", "R2_", "AWS_", "MEDIAPLANE_", "DATABASE_URL", "STORAGE_MODE", "OCR_", "CLIP_", "YTDLP_",
        "PUBLIC_BASE_URL", "GATEWAY_", "WORKER_", "SCANNER_")  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """A running `mediaplane up` and the environment in which its commands run."""

    environ: Mapping[str, str]
    state_dir: Path
    process: "subprocess.Popen[bytes]"

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        finished = subprocess.run(
            [MEDIAPLANE, *arguments],
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
        assert not check or finished.returncode == 0, finished.stderr
        return finished

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its document."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def wait_until_ready(self, asset_id: str) -> dict[str, Any]:
        """Return the asset once it is ready or has failed; fail with the logs where neither comes.

        Asks the database: a command every half second would cost as much as the work that it waits for.
        """
        deadline = time.monotonic() + READY_SECONDS
        while self._status(asset_id) not in ("ready", "failed"):
            assert time.monotonic() < deadline, f"{asset_id} is not ready after {READY_SECONDS} s:\n{self.logs()}"
            time.sleep(0.2)
        shown: dict[str, Any] = self.json("show", asset_id)
        return shown

    def _status(self, asset_id: str) -> str | None:
        """Return the asset's status, None while the database is away."""
        database_url = json.loads((self.state_dir / "up.json").read_text())["database_url"]
        try:
            with psycopg.connect(database_url, connect_timeout=10) as conn:
                row = conn.execute("SELECT status FROM mediaplane.assets WHERE asset_id = %s", (asset_id,)).fetchone()
        except psycopg.OperationalError:
            return None
        assert row, f"there is no asset {asset_id}"
        return str(row[0])

    def logs(self) -> str:
        """Return the last lines of every child's log."""
        return "\n".join(
            f"== {path.name}\n" + "\n".join(path.read_text().splitlines()[-15:])
            for path in sorted((self.state_dir / "logs").glob("*.log"))
        )


def postmaster(state_dir: Path) -> psutil.Process:
    """Return the process of the embedded PostgreSQL."""
    return psutil.Process(int((state_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))


def clean_environ(state_dir: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment without mediaplane's own variables, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "MEDIAPLANE_STATE_DIR": str(state_dir), **settings}


@contextmanager
def running_plane(state_dir: Path, *arguments: str, **settings: str) -> Iterator[Plane]:
    """Run `mediaplane up` on a free port for the block; it must end by itself when asked to, or have been killed."""
    environ = clean_environ(state_dir, **settings)
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [MEDIAPLANE, "up", "--port", "0", *arguments],
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    plane = Plane(environ, state_dir, process)
    try:
        _wait_for_start(plane, log)
        yield plane
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(60)
    assert status in (0, -signal.SIGKILL), log.read_text()


def _wait_for_start(plane: Plane, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _announced_by(plane.state_dir / "up.json") != plane.process.pid:
        assert plane.process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text() + plane.logs()
        time.sleep(0.1)


def _announced_by(path: Path) -> int | None:
    """Return the pid of the `up` that wrote the file: one that was killed leaves its own behind."""
    try:
        pid: int = json.loads(path.read_text())["pid"]
    except FileNotFoundError:
        return None
    return pid
