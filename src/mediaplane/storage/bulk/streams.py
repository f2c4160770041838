"""Both sides of a transfer as streams of batches in byte order of their names, and the two merged.

Nothing is ever held whole: a walk keeps the names of one directory a level, a listing one page. Sides that are in
step are compared a page at a time, column by column, as a million keys one by one would take longer than listing them.
"""

# a Path costs as much as the system call, and a walk would make a million of them
# ruff: noqa: PTH114, PTH116, PTH118

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mediaplane.storage.bulk.work import Found, is_unfinished

NANOSECONDS = 1_000_000_000
BATCH = 1000


class Entry(NamedTuple):
    """One file or object of a side.

    `name` is its path below the side. With a `problem` it stands for something that cannot be read: a file, or, with
    a `/` at its end, all that lies below a directory.
    """

    name: str
    size_bytes: int = 0
    modified_ns: int = 0  # a file's mtime, an object's LastModified
    changed_ns: int = 0  # a file's ctime: when it was last put there, whatever its mtime says
    found: Found | None = None  # of an object
    problem: str = ""
    kept_ns: int | None = None  # the mtime in an object's metadata, where a HEAD was made


class Batch(NamedTuple):
    """Some neighbours of a side, by columns: files or objects, never both."""

    names: list[str]
    sizes: list[int]  # -1 where there is a problem: equal to no other
    statuses: list[os.stat_result | None]  # of files; None where there is a problem
    found: list[Found]  # of objects
    problems: dict[str, str]  # by name

    def entry(self, index: int) -> Entry:
        """Return one of them."""
        name = self.names[index]
        if self.found:
            found = self.found[index]
            return Entry(name, found.size_bytes, int(found.modified_at.timestamp() * 1000) * 1_000_000, 0, found)
        status = self.statuses[index]
        if status is None:
            return Entry(name, problem=self.problems[name])
        return Entry(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def entries(self) -> Iterator[Entry]:
        """Yield all of them."""
        return (self.entry(index) for index in range(len(self.names)))

    def chosen(self, takes: Callable[[str], object]) -> "Batch":
        """Return those whose names are taken."""
        kept = [index for index, name in enumerate(self.names) if takes(name)]
        if len(kept) == len(self.names):
            return self
        return Batch(
            [self.names[index] for index in kept],
            [self.sizes[index] for index in kept],
            [self.statuses[index] for index in kept] if self.statuses else [],
            [self.found[index] for index in kept] if self.found else [],
            self.problems,
        )

    def part(self, start: int, end: int) -> "Batch":
        """Return those at some places."""
        names, sizes, statuses, found, problems = self
        return Batch(names[start:end], sizes[start:end], statuses[start:end], found[start:end], problems)

    def joined(self, other: "Batch") -> "Batch":
        """Return these and the next ones."""
        problems = {**self.problems, **other.problems} if self.problems or other.problems else {}
        return Batch(
            self.names + other.names,
            self.sizes + other.sizes,
            self.statuses + other.statuses,
            self.found + other.found,
            problems,
        )


NOTHING = Batch([], [], [], [], {})


def walk_files(root: str, *, follow_links: bool = True) -> Iterator[Batch]:
    """Yield the regular files below `root`, in byte order of their names.

    Symbolic links are followed or left out; one that leads to a directory it lies in is a problem, not a loop. What
    cannot be read is yielded as a problem. Temporaries of unfinished downloads are left out.

    Raises:
        OSError: `root` itself cannot be read.
    """
    base = os.path.join(root, "")
    names = _names_in(base, follow_links=follow_links)
    status = os.stat(base)
    waiting = NOTHING
    for some in _walk(base, "", names, ((status.st_dev, status.st_ino),), follow_links=follow_links):
        waiting = waiting.joined(some) if waiting.names else some
        if len(waiting.names) >= BATCH:
            yield waiting
            waiting = NOTHING
    yield waiting


def _walk(
    base: str, folder: str, names: list[str], above: tuple[tuple[int, int], ...], *, follow_links: bool
) -> Iterator[Batch]:
    """Yield what lies in one directory, a run of files or one directory after the other."""
    at = 0
    while at < len(names):
        name = names[at]
        if name[-1] != "/":
            end = next((end for end in range(at, min(at + BATCH, len(names))) if names[end][-1] == "/"), at + BATCH)
            yield _look_at(base, folder, names[at:end], follow_links=follow_links)
            at = end
            continue
        at += 1
        path = folder + name
        try:
            status = os.stat(base + path)
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                yield _problem(path, "a symbolic link leads back to a directory above it")
                continue
            below = _names_in(base + path, follow_links=follow_links)
        except OSError as error:
            yield _problem(path, _sentence(base + path, error))
            continue
        yield from _walk(base, path, below, (*above, identity), follow_links=follow_links)


def _look_at(base: str, folder: str, names: list[str], *, follow_links: bool) -> Batch:
    """Return what the file system tells of some files of one directory."""
    look = os.stat if follow_links else os.lstat
    paths = [folder + name for name in names]
    try:
        statuses: list[os.stat_result | None] = list(map(look, [base + path for path in paths]))
    except OSError:  # of one of them
        return _look_at_each(base, paths, look)
    if any(name[0] == "." for name in names) or not all(stat.S_ISREG(one.st_mode) for one in statuses if one):
        return _look_at_each(base, paths, look)
    return Batch(paths, [one.st_size for one in statuses if one], statuses, [], {})


def _look_at_each(base: str, paths: list[str], look: Callable[[str], os.stat_result]) -> Batch:
    batch = Batch([], [], [], [], {})
    for path in paths:
        if is_unfinished(path.rpartition("/")[2]):
            continue
        try:
            status = look(base + path)
            problem = "" if stat.S_ISREG(status.st_mode) else "it is no regular file"
        except OSError as error:
            problem = _sentence(base + path, error)
        batch.names.append(path)
        batch.sizes.append(-1 if problem else status.st_size)
        batch.statuses.append(None if problem else status)
        if problem:
            batch.problems[path] = problem
    return batch


def _problem(path: str, sentence: str) -> Batch:
    return Batch([path], [-1], [None], [], {path: sentence})


def _names_in(directory: str, *, follow_links: bool) -> list[str]:
    """Return names, directories with their `/`, in the order of the keys below them: `a-b` before `a/c`."""
    with os.scandir(directory) as entries:
        names = [
            f"{entry.name}/" if _is_directory(entry, follow_links=follow_links) else entry.name
            for entry in entries
            if follow_links or not entry.is_symlink()
        ]
    names.sort()  # code points sort as UTF-8 bytes do
    return names


def _is_directory(entry: "os.DirEntry[str]", *, follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:
        return False  # a link in a circle: said when it is looked at


def _sentence(path: str, error: OSError) -> str:
    if os.path.islink(path.rstrip("/")):
        return f"a symbolic link leads nowhere ({error.strerror})"
    return f"it cannot be read: {error.strerror}"


def file_entry(path: str, name: str, *, follow_links: bool = True) -> Entry | None:
    """Return the entry of one file or None where nothing is; a directory is a problem."""
    try:
        status = os.stat(path, follow_symlinks=follow_links)
    except (FileNotFoundError, NotADirectoryError):
        return Entry(name, problem="a symbolic link leads nowhere") if os.path.islink(path) else None
    except OSError as error:
        return Entry(name, problem=_sentence(path, error))
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory stands there" if stat.S_ISDIR(status.st_mode) else "it is no regular file"
        return Entry(name, problem=kind)
    return Entry(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def object_batches(pages: Iterable[list[Found]], prefix: str) -> Iterator[Batch]:
    """Yield the pages of a listing below `prefix`; the marker of the prefix itself is left out."""
    start = len(prefix)
    for page in pages:
        found = page if page[0][0] != prefix else page[1:]
        yield Batch([entry[0][start:] for entry in found], [entry[1] for entry in found], [], found, {})


class _Ahead:
    """A stream of batches of which the next rows can be looked at before they are taken."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._batch = NOTHING
        self._at = 0

    def look(self, count: int) -> Batch:
        """Return the next `count` rows, fewer at the end."""
        while len(self._batch.names) - self._at < count and (more := next(self._batches, None)) is not None:
            self._batch = self._batch.part(self._at, len(self._batch.names)).joined(more)
            self._at = 0
        return self._batch.part(self._at, self._at + count)

    def drop(self, count: int) -> None:
        """Take rows that have been looked at."""
        self._at += count

    def name(self) -> str | None:
        """Return the name of the next row; None at the end."""
        while self._at == len(self._batch.names):
            more = next(self._batches, None)
            if more is None:
                return None
            self._batch, self._at = more, 0
        return self._batch.names[self._at]

    def take(self) -> Entry:
        """Return the next row, to which `name` has been asked."""
        self._at += 1
        return self._batch.entry(self._at - 1)


Pair = tuple[Entry | None, Entry | None]
InStep = Callable[[Batch, Batch], bool]  # whether neighbours of equal names and sizes are all whole


def merge(
    left: Iterator[Batch], right: Iterator[Batch], in_step: InStep | None = None, skip: Callable[[int], object] = id
) -> Iterator[Pair]:
    """Yield what stands on the left, the right, or both, by name; both sides come in byte order.

    Batches of the right side that are in step as a whole are only counted, by `skip`.
    """
    ahead = _Ahead(left)
    for batch in right:
        count = len(batch.names)
        if in_step is not None:
            window = ahead.look(count)
            if window.names == batch.names and window.sizes == batch.sizes and count and in_step(window, batch):
                ahead.drop(count)
                skip(count)
                continue
        yield from _merge_one(ahead, batch)
    while ahead.name() is not None:
        yield ahead.take(), None


def _merge_one(ahead: _Ahead, batch: Batch) -> Iterator[Pair]:
    for index, name in enumerate(batch.names):
        while (first := ahead.name()) is not None and first < name:
            yield ahead.take(), None
        yield ahead.take() if first == name else None, batch.entry(index)
