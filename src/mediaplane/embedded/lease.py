"""Counts the processes that use one embedded server, so that the last one out stops it.

The count is kept by the kernel: every user holds a shared flock, which a process loses however it dies, SIGKILL
included. Numbers or pids in a file would have to be repaired after each crash.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mediaplane.errors import ServiceFailed

# Longer than the slowest thing done under the lock (stopping a server that has much to write).
LOCK_TIMEOUT_SECONDS = 120.0


class Lease:
    """This process's share in a server. Not for use from several threads at once."""

    def __init__(self, directory: Path) -> None:
        self._lock_file = directory / "start.lock"
        self._users_file = directory / "users.lock"
        self._users: int | None = None

    def enter(self, ensure_running: Callable[[], None], stop: Callable[[], None]) -> None:
        """Take a share and see that the server runs; both under the lock that start and stop need.

        Called again, it only sees that the server runs. Where that fails, the share is given back.

        Raises:
            ServiceFailed: another process has held the lock for two minutes, or what `ensure_running` raises.
        """
        with locked(self._lock_file):
            self._join()
            try:
                ensure_running()
            except BaseException:
                self._leave(stop)
                raise

    def leave(self, stop: Callable[[], None]) -> None:
        """Give the share back and, as the last one, stop the server. Without a share, do nothing.

        Raises:
            ServiceFailed: another process has held the lock for two minutes, or what `stop` raises.
        """
        if self._users is not None:
            with locked(self._lock_file):
                self._leave(stop)

    def _join(self) -> None:
        if self._users is None:
            self._users = _open(self._users_file)
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def _leave(self, stop: Callable[[], None]) -> None:
        assert self._users is not None
        users, self._users = self._users, None
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stop()
        except BlockingIOError:
            return  # somebody else still uses it
        finally:
            # Said aloud, not left to close(): a forked child that never ran exec holds the same lock.
            fcntl.flock(users, fcntl.LOCK_UN)
            os.close(users)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file at `path`.

    Raises:
        ServiceFailed: another process has held it for two minutes.
    """
    handle = _open(path)
    try:
        _lock_in_time(handle, path)
        yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ServiceFailed(f"{path} belongs to another user: use another MEDIAPLANE_STATE_DIR") from error


def _lock_in_time(handle: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ServiceFailed(f"another process has held {path} for {LOCK_TIMEOUT_SECONDS:.0f} s") from None
        time.sleep(0.02)
