"""Child processes of `mediaplane up`: started, watched, started again when they die, stopped in the end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mediaplane.errors import ServiceFailed

STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
RESTART_SECONDS = (0.5, 2.0, 10.0)
STEADY_SECONDS = 60.0  # a child that lived this long is started again at once
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One process that is to run as long as `up` does."""

    name: str
    arguments: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    deaths: int = 0


@dataclass(slots=True)
class Supervisor:
    """Runs `mediaplane …` children with this process's settings."""

    environ: Mapping[str, str]
    log_dir: Path
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> None:
        """Start `mediaplane ARGUMENTS`; its output goes to a log file of its name."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        child = Child(name, arguments, self.log_dir / f"{name}.log")
        self.children.append(child)
        self._spawn(child)

    def restart_dead(self) -> list[str]:
        """Start again whatever has died, after a pause that grows; return the names of those started."""
        revived = []
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            lived = time.monotonic() - child.started_at
            child.deaths = 0 if lived > STEADY_SECONDS else child.deaths
            pause = RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
            if lived >= pause:
                child.deaths += 1
                self._spawn(child)
                revived.append(child.name)
        return revived

    def stop(self) -> None:
        """End every child: politely, and by force after a while."""
        running = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def require(self, name: str) -> None:
        """Check that the child lives.

        Raises:
            ServiceFailed: it has died; the message ends with its last words.
        """
        child = next(child for child in self.children if child.name == name)
        if child.process is not None and child.process.poll() is not None:
            last = child.log.read_text(errors="replace").strip().splitlines()[-5:]
            raise ServiceFailed(f"the {name} did not start:\n" + "\n".join(last))

    def _spawn(self, child: Child) -> None:
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "mediaplane.cli", *child.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.environ),
                start_new_session=True,  # Ctrl-C reaches `up` alone, which ends them in order
                preexec_fn=_end_with_parent,  # noqa: PLW1509 -- `up` has no threads when it starts children
            )
        child.started_at = time.monotonic()


def _end_with_parent() -> None:
    """Ask the kernel to end this child when `up` dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)
