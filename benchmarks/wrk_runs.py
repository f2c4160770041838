"""One run of wrk, and what it said."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "wrk"
CONNECTIONS = 64
MOST_SECONDS = 600
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Run:
    """Requests of one run, and the latency of half and of nearly all of them."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run(
    url: str,
    *,
    seconds: float,
    script: str = "",
    header: str = "",
    environ: Mapping[str, str] | None = None,
) -> Run:
    """Run wrk with one thread; every answer must be a success."""
    command = _command(url, seconds=seconds, script=script, header=header)
    text = subprocess.run(
        command, env={**os.environ, **(environ or {})}, check=True, capture_output=True, text=True
    ).stdout
    if trouble := re.search(r"(Non-2xx or 3xx responses|Socket errors): .*", text):
        raise RuntimeError(f"{url}: {trouble[0]}")
    counted = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    assert counted, text
    return Run(
        int(counted[1]),
        float(counted[2]) * _UNITS[counted[3]] / 1000,
        _latency(text, "50%"),
        _latency(text, "99%"),
    )


def seconds_for_each(url: str, paths: Path, *, header: str) -> float:
    """Post to each of the paths of a file once, and return how long all of them took together."""
    done = paths.with_suffix(".done")
    environ = {**os.environ, "WRK_PATHS": str(paths), "WRK_DONE": str(done)}
    command = _command(url, seconds=MOST_SECONDS, script="each.lua", header=header)
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as wrk:
        while wrk.poll() is None and not (done.exists() and done.read_text()):
            time.sleep(0.02)
        wrk.send_signal(signal.SIGINT)
        _, trouble = wrk.communicate()
    if not done.exists():
        raise RuntimeError(f"{url}: not all were answered: {trouble}")
    return float(done.read_text())


def _command(url: str, *, seconds: float, script: str, header: str) -> list[str]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "20s"]
    command += ["-s", str(SCRIPTS / script)] if script else []
    command += ["-H", header] if header else []
    return [*command, url]


def _latency(text: str, share: str) -> float:
    found = re.search(rf"^\s+{re.escape(share)}\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    assert found, text
    return float(found[1]) * _UNITS[found[2]]
