"""A whole plane in a temporary directory, driven by the command line as a user does it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import tree_seconds

CLI = [str(Path(sys.executable).with_name("mediaplane"))]
START_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Running:
    """A running `mediaplane up`."""

    environ: dict[str, str]
    process: subprocess.Popen[bytes]
    started_seconds: float

    @property
    def state(self) -> Path:
        """Its state directory."""
        return Path(self.environ["MEDIAPLANE_STATE_DIR"])

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command."""
        return subprocess.Popen([*CLI, *arguments], env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its document."""
        finished = subprocess.run(
            [*CLI, *arguments, "--json"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return json.loads(finished.stdout)

    def get(self, path: str) -> Any:
        """Return what the API answers."""
        base = json.loads((self.state / "up.json").read_text())["url"]
        with urllib.request.urlopen(f"{base}{path}") as answer:
            return json.load(answer)

    def spent_seconds(self) -> float:
        """Return the processor seconds of everything it runs, ended children and its servers included."""
        return tree_seconds(self.process.pid) + sum(map(tree_seconds, self._servers()))

    def _servers(self) -> list[int]:
        """Return PostgreSQL and SeaweedFS, which are children of init and work in the state directory."""
        ours = {member.pid for member in psutil.Process(self.process.pid).children(recursive=True)}
        here = [
            process.info
            for process in psutil.process_iter(["pid", "ppid", "cwd"])
            if Path(process.info["cwd"] or "/").is_relative_to(self.state.resolve())
        ]
        pids = {info["pid"] for info in here}
        return [info["pid"] for info in here if info["pid"] not in ours and info["ppid"] not in pids]

    def memory_mb(self) -> dict[str, int]:
        """Return the memory (USS where it can be read, so shared pages count once) by what the processes are."""
        found = {"worker": 0, "api": 0, "children": 0}
        for member in psutil.Process(self.process.pid).children(recursive=True):
            try:
                kind = _kind(member)
                if kind:
                    found[kind] += member.memory_full_info().uss >> 20
            except psutil.Error:
                continue
        return found


def _kind(process: psutil.Process) -> str | None:
    said = " ".join(process.cmdline())
    if "mediaplane.pipeline.tools" in said or "ffmpeg" in said:
        return "children"
    if "mediaplane" in said and " worker" in said:
        return "worker"
    return "api" if "mediaplane" in said and " serve" in said else None


@contextmanager
def running_plane(state: Path | None = None, **settings: str) -> Iterator[Running]:
    """Run `mediaplane up` until the block ends."""
    with tempfile.TemporaryDirectory() as directory:
        folder = state or Path(directory)
        environ = {**os.environ, "MEDIAPLANE_STATE_DIR": str(folder), "MEDIAPLANE_WORKERS": "1", **settings}
        began = time.monotonic()
        with (folder / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [*CLI, "up", "--port", "0"], env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            _wait_until_ready(process, folder, began)
            yield Running(environ, process, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path, began: float) -> None:
    while time.monotonic() - began < START_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"mediaplane up ended:\n{(folder / 'up.log').read_text()}")
        if "mediaplane is up" in (folder / "up.log").read_text(errors="replace"):
            return
        time.sleep(0.02)
    raise SystemExit("mediaplane up was not ready in time")
