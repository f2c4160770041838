"""Starting servers that outlive us, and looking at them from outside."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mediaplane.embedded.account import Account

_LOG_TAIL_LINES = 12
_POLL_SECONDS = 0.03


def launch(argv: Sequence[str], *, cwd: Path, log: Path, account: Account) -> int:
    """Start a server in a session of its own, its output in `log` (begun anew); return its pid at once.

    The shell in between ends at once, so the server becomes a child of init, which reaps it, whoever of us lives
    longer; and Ctrl-C in our terminal does not reach it. Nothing of our environment is handed on: PGOPTIONS,
    WEED_* or AWS_* variables meant for clients would change the server.
    """
    with log.open("wb") as output:
        shell = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *argv],
            check=True,
            cwd=cwd,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            **account.child_options(),
        )
    return int(shell.stdout)


def plain_environment() -> Mapping[str, str]:
    """Return the environment servers get."""
    return {"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"}


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Return True as soon as `condition` holds, False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def find_processes(is_ours: Callable[[list[str]], bool]) -> list[int]:
    """Return the pids of the processes whose command line is ours; a zombie has none.

    Looked for a second time where none is found: in the middle of exec a process shows no command line.
    """
    found = [pid for pid, line in _command_lines() if is_ours(line)]
    if not found:
        time.sleep(_POLL_SECONDS)
        found = [pid for pid, line in _command_lines() if is_ours(line)]
    return found


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended while we looked
                if line := (entry / "cmdline").read_bytes():
                    yield int(entry.name), os.fsdecode(line).rstrip("\0").split("\0")


def last_lines(*logs: Path) -> str:
    """Return the last lines of the logs that exist, for a message."""
    lines = [line for log in logs if log.is_file() for line in log.read_text(errors="replace").splitlines()]
    return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(its log is empty)"


def has_ended(pid: int) -> bool:
    """Whether all threads of the process are gone, and with them its sockets.

    A dying process loses its command line first; a zombie that nobody waits for has ended.
    """
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return True
    return state in "ZX" and threads == 1


def end(pids: Sequence[int], how: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
