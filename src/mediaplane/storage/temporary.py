"""Files that go when nobody needs them any more: at the end of a `with` block, with the last reference, at exit.

They lie in one directory a process, which holds a lock on it. What a killed process left there is removed by the next
process that makes a temporary file.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PREFIX = "mediaplane-temp-"
_LOCK = "lock"


class TemporaryPath(str):
    """The path of a file that is this object's own: text, with the methods of `pathlib.Path`, for a `with` statement.

    Text, because OpenCV and others take nothing else. Hold on to it while the file is needed, as with
    `tempfile.NamedTemporaryFile`: a `Path` made of it does not.
    """

    __slots__ = ("__weakref__", "_remove")
    _remove: Callable[[], object]

    def __new__(cls, path: str) -> Self:
        """Take over the file at `path`."""
        self = super().__new__(cls, path)
        self._remove = weakref.finalize(self, _remove_file, path, os.getpid())
        return self

    def remove(self) -> None:
        """Remove the file now; it may be gone already."""
        self._remove()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(Path(self), name)  # what text lacks: exists, stat, read_bytes, suffix, …

    def __fspath__(self) -> str:
        return self

    def __str__(self) -> str:
        return self  # not a copy: `str(path)` holds the file as well

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Reach other processes, and copies, as plain text: they do not own the file."""
        return str, (self[:],)


class _Directory:
    """The directory of this process's temporary files, made when it is first asked for."""

    def __init__(self) -> None:
        self._path = Path()
        self._lock = -1
        self._pid = 0  # a forked child makes its own

    def path(self) -> Path:
        if self._pid != os.getpid() or not self._path.is_dir():
            remove_abandoned()
            self._path, self._lock = _make_directory()
            self._pid = os.getpid()
            atexit.register(self._remove, self._path, self._pid)
        return self._path

    @staticmethod
    def _remove(path: Path, pid: int) -> None:
        if pid == os.getpid():
            shutil.rmtree(path, ignore_errors=True)


_DIRECTORY = _Directory()


def temporary_path(suffix: str = "") -> TemporaryPath:
    """Return a path where no file is yet; whatever is written there goes with it."""
    return TemporaryPath(str(_DIRECTORY.path() / f"{uuid.uuid4().hex}{suffix}"))


def remove_abandoned() -> int:
    """Remove the directories of processes of this user that were killed; return how many."""
    removed = 0
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if directory.lstat().st_uid != os.geteuid() or directory.is_symlink():
                continue
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel freed it when its holder died
                shutil.rmtree(directory)
                removed += 1
            finally:
                os.close(lock)
    return removed


def _make_directory() -> tuple[Path, int]:
    """Return a new directory, private to this user, and the lock on it, which is held until this process ends."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:  # else another process took it for abandoned before the lock was ours
            return path, lock
        os.close(lock)


def _remove_file(path: str, pid: int) -> None:
    if pid == os.getpid():  # a forked child leaves the file to its parent
        with suppress(FileNotFoundError):
            Path(path).unlink()
