"""`ObjectStore` in a directory: the key is the path below it.

An etag is the file's inode, time of change and size: every put makes a new file, so it changes with every put.
The content type is not kept. `a` and `a/b` cannot both be stored, as a file and a directory cannot share a name: the
second put is refused (S3 permits both; no layout of ours needs it). Symbolic links are not followed below the root.
"""

import asyncio
import errno
import fcntl
import os
import stat as file_modes
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from mediaplane.errors import (
    AccessDenied,
    AlreadyWritten,
    InvalidKey,
    InvalidRange,
    MediaplaneError,
    ObjectNotFound,
    StorageError,
)
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.store import Chunks, Look, ObjectInfo, check_range
from mediaplane.storage.upload import regroup

UNFINISHED = ".mediaplane-unfinished"  # files that are being written; no key begins so
_BLOCK_BYTES = 1 << 20
_WALK_KEYS = 1000
_TRIES = 100
_PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENAMETOOLONG: "a part of the key is too long for this disk",
    errno.ELOOP: "a symbolic link stands there",
}
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)  # file systems without hard links say so
T = TypeVar("T")
Settle = Callable[[str, Path], None]  # gives a file that is whole its place


class LocalStore:
    """One directory, made by the first put. Safe for many writers, in this process and others."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    @property
    def root(self) -> Path:
        """The directory, absolute and without symbolic links."""
        return self._root

    def path(self, key: ObjectKey) -> Path:
        """Return where the object lies, as an absolute path.

        Raises:
            InvalidKey: the key is none, is reserved, or leads out of the directory through a symbolic link.
        """
        check_key(key)
        if key.split("/", 1)[0] == UNFINISHED:
            raise InvalidKey(f"{key!r}: keys do not begin with {UNFINISHED}")
        path = self._root / key
        if os.path.realpath(path) != str(path):
            raise InvalidKey(f"{key!r} leads through a symbolic link")
        return path

    async def put(self, key: ObjectKey, body: Chunks, *, content_type: str) -> ObjectInfo:  # noqa: ARG002 not kept
        """Write a file beside, sync it to disk, and put it in its place in one step.

        Raises:
            InvalidKey: see `path`.
            StorageError: the disk is full, or the key's path is taken by a directory or goes through an object.
        """
        return await self._write(key, body, os.replace)

    async def create(self, key: ObjectKey, body: Chunks) -> ObjectInfo:
        """Write an object as `put` does, but never in place of another: of two at once the first that is whole stays.

        Raises:
            AlreadyWritten: an object is stored at `key`.
            InvalidKey, StorageError: as `put`.
        """
        return await self._write(key, body, _link)

    async def _write(self, key: ObjectKey, body: Chunks, settle: Settle) -> ObjectInfo:
        path = self.path(key)
        unfinished = await _in_thread(key, self._begin)
        try:
            async with aclosing(regroup(body, _BLOCK_BYTES)) as blocks:
                async for block in blocks:
                    await _in_thread(key, partial(unfinished.write, block))
            return await _in_thread(key, lambda: self._finish(key, path, unfinished, settle))
        finally:
            with suppress(OSError):
                Path(unfinished.name).unlink()  # gone already if it was moved
            unfinished.close()

    async def read(self, key: ObjectKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the object's bytes from `start`, at most `length`; a put meanwhile does not change what is read.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
            InvalidRange: the range is empty or begins at or after the object's end.
        """
        check_range(key, start, length)
        path = self.path(key)
        file = await _in_thread(key, lambda: _open_at(key, path, start, bounded=length is not None))
        left = length
        try:
            while left is None or left > 0:
                size = _BLOCK_BYTES if left is None else min(_BLOCK_BYTES, left)
                block = await _in_thread(key, partial(file.read, size))
                if not block:
                    return
                left = None if left is None else left - len(block)
                yield block
        finally:
            file.close()

    async def stat(self, key: ObjectKey) -> ObjectInfo:
        """Return size, etag and time of the object at `key`.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
        """
        path = self.path(key)
        return await _in_thread(key, lambda: _describe(key, path.lstat()))

    async def look(self, key: ObjectKey, most_bytes: int) -> Look:
        """Return the object with at most so many of its first bytes, both of one file.

        Raises:
            ObjectNotFound: nothing is stored at `key`.
        """
        path = self.path(key)
        return await _in_thread(key, lambda: _look(key, path, most_bytes))

    async def delete(self, keys: Sequence[ObjectKey]) -> None:
        """Remove the objects and the directories that this empties; a key where nothing is stored is no error."""
        await asyncio.to_thread(self._delete, keys)

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what is stored under keys that begin with `prefix` and are greater than `after`, in byte order.

        Memory: the names of one directory a level.
        """
        found = self._walk("", prefix, after)
        while batch := await asyncio.to_thread(lambda: list(islice(found, _WALK_KEYS))):
            for info in batch:
                yield info

    def remove_unfinished(self) -> int:
        """Remove what writers left behind that were killed, and return how many files that were.

        A live writer holds a lock on its file, which the kernel frees when it dies.
        """
        removed = 0
        for path in self._unfinished_files():
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
        return removed

    def _unfinished_files(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return list((self._root / UNFINISHED).iterdir())
        return []

    def _begin(self) -> BinaryIO:
        """Return a new file, locked against `remove_unfinished`."""
        directory = self._root / UNFINISHED
        while True:
            directory.mkdir(parents=True, exist_ok=True)
            file = (directory / uuid.uuid4().hex).open("xb")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else it was removed before the lock was ours
                return file
            file.close()

    def _finish(self, key: ObjectKey, path: Path, unfinished: BinaryIO, settle: Settle) -> ObjectInfo:
        unfinished.flush()
        os.fsync(unfinished.fileno())
        try:
            made = _put_in_place(unfinished, path, settle)
        except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise StorageError(f"{key}: a directory cannot hold an object `a` beside an object `a/b`") from error
        for directory in [path.parent, *(path.parent.parents if made else ())]:
            if directory.is_relative_to(self._root):
                _sync_directory(directory)
        return _describe(key, os.fstat(unfinished.fileno()))

    def _delete(self, keys: Sequence[ObjectKey]) -> None:
        for key in keys:
            path = self.path(key)
            with _translated(key), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            self._remove_empty(path.parent)

    def _remove_empty(self, directory: Path) -> None:
        while directory != self._root:
            try:
                directory.rmdir()
            except FileNotFoundError:
                pass  # somebody else was quicker; those above may be empty now
            except OSError:
                return
            directory = directory.parent

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """Yield from one directory: `folder` is "" or ends with "/"."""
        for name in self._names(folder):
            key = folder + name
            if not key.endswith("/"):
                if key > after and key.startswith(prefix):
                    yield from self._listed(key)
            elif (key > after or after.startswith(key)) and (key.startswith(prefix) or prefix.startswith(key)):
                yield from self._walk(key, prefix, after)

    def _names(self, folder: str) -> list[str]:
        """Return the names in a directory, folders with their "/", in byte order of the keys below them.

        That differs from the order of names: `a-b` comes before `a/c`, as "-" comes before "/".
        """
        try:
            with os.scandir(self._root / folder) as entries:
                names = [
                    f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                    for entry in entries
                    if not entry.is_symlink() and not (folder == "" and entry.name == UNFINISHED)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(names)  # code points sort as UTF-8 bytes do

    def _listed(self, key: str) -> Iterator[ObjectInfo]:
        """Yield the object, or nothing if it is gone by now or is no key of ours."""
        with suppress(ObjectNotFound, InvalidKey, UnicodeEncodeError, FileNotFoundError, NotADirectoryError):
            checked = check_key(key)
            yield _describe(checked, (self._root / key).lstat())


def _put_in_place(unfinished: BinaryIO, path: Path, settle: Settle) -> bool:
    """Give the file its place; return whether its directory had to be made."""
    made = not path.parent.is_dir()
    for _ in range(_TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            settle(unfinished.name, path)
        except FileNotFoundError:
            made = True  # a delete took the empty directory away: make it again
        except FileExistsError:  # by mkdir: an object stands there, or the directory has just gone
            if any(parent.is_file() for parent in path.parents):
                raise
        else:
            return made
    raise StorageError(f"{path}: its directory is removed again and again", retryable=True)


def _link(unfinished: str, path: Path) -> None:
    """Give the file its name unless another has it."""
    try:
        os.link(unfinished, path)
    except OSError as error:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a directory", str(path)) from None
        if path.exists():
            raise AlreadyWritten("the object is there already: complete its upload") from None
        if error.errno not in _NO_LINKS:
            raise
        Path(unfinished).replace(path)


def _describe(key: ObjectKey, status: os.stat_result) -> ObjectInfo:
    if not file_modes.S_ISREG(status.st_mode):
        raise ObjectNotFound(key)
    etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    return ObjectInfo(key, status.st_size, etag, datetime.fromtimestamp(status.st_mtime, UTC))


def _look(key: ObjectKey, path: Path, most_bytes: int) -> Look:
    with _open_at(key, path, 0, bounded=False) as file:
        info = _describe(key, os.fstat(file.fileno()))
        return Look(info, os.read(file.fileno(), most_bytes))


def _open_at(key: ObjectKey, path: Path, start: int, *, bounded: bool) -> BinaryIO:
    # not blocking: what is no regular file (a pipe) is opened at once and then refused
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file: BinaryIO = os.fdopen(handle, "rb", buffering=0)
    try:
        size_bytes = _describe(key, os.fstat(handle)).size_bytes
        if start >= size_bytes and (start or bounded):
            raise InvalidRange(f"{key} ends before the range that was asked for")
        file.seek(start)
    except MediaplaneError:
        file.close()
        raise
    return file


def _sync_directory(directory: Path) -> None:
    with suppress(FileNotFoundError):  # a delete was quicker
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


async def _in_thread(key: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, its errors made ours. A cancelled caller leaves when the work has ended."""

    def translated() -> T:
        with _translated(key):
            return work()

    done = asyncio.get_running_loop().run_in_executor(None, translated)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()  # taken, so that asyncio does not report it as forgotten
        raise


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ObjectNotFound(key) from error
    except PermissionError as error:
        raise AccessDenied(key, f"this process may not use {error.filename}") from error
    except OSError as error:
        problem = _PROBLEMS.get(error.errno or 0, error.strerror)
        lasting = error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
        raise StorageError(f"{key}: {problem}", retryable=not lasting) from error
