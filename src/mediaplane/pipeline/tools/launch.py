"""Sets limits on its own process and becomes the program it was given: `launch.py PARENT SECONDS MB MB PROGRAM …`.

Run as a plain script by `python -I -S`, so it imports nothing of ours. It stands between the worker and each child
because the worker has threads, and Python code between fork and exec (`preexec_fn`) may deadlock in such a process.
It costs about 20 ms of processor time. A limit of 0 is left as it was.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: prctl(2)
LOST = 125  # exit status where the parent was gone before we could follow it


def follow(parent: int) -> None:
    """Have the kernel kill this process with its parent; the setting survives exec, but not fork.

    It is tied to the thread that made the child, so tools are started from a thread that lives as long as the worker.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(LOST)


def confine(seconds: int, address_space_mb: int, output_mb: int) -> None:
    """Limit processor time, address space and the size of each file; no core dumps."""
    _limit(resource.RLIMIT_CORE, 0)
    if seconds:
        _limit(resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1))
    if address_space_mb:
        _limit(resource.RLIMIT_AS, address_space_mb << 20)
    if output_mb:
        _limit(resource.RLIMIT_FSIZE, output_mb << 20)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    confine(*map(int, sys.argv[2:5]))
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606 -- there is no shell: that is the point
