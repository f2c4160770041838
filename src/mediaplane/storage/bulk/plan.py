"""What a copy or a sync has to do, as a stream of work: two sides compared name by name, nothing held whole.

What cannot become work (a file that cannot be read, a key that may not be a file here) is refused by name, and the
rest goes on. With `delete`, nothing is removed that stands where the source could not be read.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mediaplane.errors import AccessDenied, InvalidKey, MediaplaneError
from mediaplane.media.keys import MAX_KEY_BYTES
from mediaplane.storage.bulk import remote, safety
from mediaplane.storage.bulk.ahead import pages_ahead
from mediaplane.storage.bulk.comparing import Compare, file_has_content, is_whole, quick_check, same_etag
from mediaplane.storage.bulk.filters import Filter, Matches
from mediaplane.storage.bulk.streams import NOTHING, Batch, Entry, Pair, file_entry, merge, object_batches, walk_files
from mediaplane.storage.bulk.tally import Tally
from mediaplane.storage.bulk.work import Copy, Delete, Download, Found, Upload, Work
from mediaplane.storage.endpoint import S3Endpoint

FEW = 32  # so many objects are looked at one by one; for more the target is listed


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the source takes part, what counts as whole, and what becomes of the rest of the target."""

    filter: Filter = field(default_factory=Filter)
    compare: Compare = Compare.TIME
    sync: bool = False  # both sides are read whole, with what only the target has
    delete: bool = False  # of a sync: what only the target has
    follow_links: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LocalSide:
    """All files below a directory; `matches` picks some (a wildcard of the source)."""

    root: Path
    follow_links: bool = True
    matches: Matches | None = None

    def batches(self, after: str = "") -> Iterator[Batch]:  # noqa: ARG002 -- a walk has no short cut
        """Yield what is there, in byte order.

        Raises:
            OSError: the directory cannot be read.
        """
        return _chosen(walk_files(str(self.root), follow_links=self.follow_links), self.matches)

    def find(self, name: str) -> Entry | None:
        """Return one file's entry; None where nothing stands."""
        return file_entry(f"{self.root}/{name}", name, follow_links=self.follow_links)


@dataclass(frozen=True, slots=True)
class S3Side:
    """All objects below a prefix; `matches` picks some, `listed` is more of the prefix that all those have."""

    endpoint: S3Endpoint
    prefix: str
    matches: Matches | None = None
    listed: str = ""

    def batches(self, after: str = "") -> Iterator[Batch]:
        """Yield what is there after a name, in byte order.

        Raises:
            MediaplaneError: it cannot be listed.
        """
        return _chosen(object_batches(pages_ahead(self.pages(after)), self.prefix), self.matches)

    def pages(self, after: str = "") -> Iterator[list[Found]]:
        """Yield the pages of the listing, whatever matches, and the marker of the prefix itself."""
        return remote.object_pages(
            self.endpoint, self.listed or self.prefix, after=f"{self.prefix}{after}" if after else ""
        )

    def objects(self) -> Iterator[Found]:
        """Yield what matches, the marker of the prefix itself included."""
        start, matches = len(self.prefix), self.matches
        for page in self.pages():
            yield from page if matches is None else (found for found in page if matches(found.key[start:]))

    def find(self, name: str) -> Entry | None:
        """Return one object's entry, with the mtime that it keeps; None where nothing is stored."""
        return remote.look(self.endpoint, f"{self.prefix}{name}", name)


@dataclass(frozen=True, slots=True)
class Single:
    """One file or object, which gets a name of its own at the target."""

    side: LocalSide | S3Side
    entry: Entry  # its name is that below `side`


Side = LocalSide | S3Side


def plan_single(single: Single, target: Side, name: str, choice: Choice, tally: Tally) -> Iterator[Work]:
    """Yield the work of bringing one file or object to `name` at the target, unless it is whole there."""
    maker = _Maker(single.side, target, tally)
    theirs = None if choice.compare is Compare.NEVER else _look_at(target, name)
    yield from maker.work_for(single.entry, theirs, name, choice)


def plan_many(source: Side, target: Side, choice: Choice, tally: Tally) -> Iterator[Work]:
    """Yield the work of making the target hold what the source does, in byte order of the names."""
    maker = _Maker(source, target, tally)
    for ours, theirs in _pairs(source, target, choice, tally):
        if ours is not None:
            yield from maker.work_for(ours, theirs, ours.name, choice)
        elif theirs is not None and choice.delete:
            yield from maker.removal_of(theirs, choice)
    yield from maker.put_off


def _pairs(source: Side, target: Side, choice: Choice, tally: Tally) -> Iterator[Pair]:
    """Yield each entry with what stands at the target; in a `sync` also what stands there alone."""
    takes = choice.filter.takes if choice.filter else None
    ours = _chosen(source.batches(), takes)
    if choice.sync:
        there = _what_there_is(target) if isinstance(target, LocalSide) else target.batches()
        return _merged((source, target), ours, _chosen(there, takes), choice.compare, tally)
    if choice.compare is Compare.NEVER:
        return ((entry, None) for batch in ours for entry in batch.entries())
    if isinstance(target, LocalSide):
        return ((entry, _look_at(target, entry.name)) for batch in ours for entry in batch.entries())
    first = next(ours, NOTHING)
    second = next(ours, None) if len(first.names) <= FEW else NOTHING
    if second is None:
        return ((entry, None if entry.problem else _look_at(target, entry.name)) for entry in first.entries())
    there = _what_may_be_seen(target.batches(after=first.names[0][:-1] if first.names else ""))
    return _merged((source, target), chain([first, second], ours), there, choice.compare, tally)


def _merged(
    sides: tuple[Side, Side], ours: Iterator[Batch], theirs: Iterator[Batch], compare: Compare, tally: Tally
) -> Iterator[Pair]:
    """Yield the pairs of both sides. A listing stands on the right: its pages are what is compared at once."""
    from_files, to_files = (isinstance(side, LocalSide) for side in sides)
    quick = quick_check(compare, from_files=from_files, to_files=to_files)
    if not to_files:
        return merge(ours, theirs, quick, tally.skip)
    swapped = None if quick is None else lambda files, listed: quick(listed, files)
    return ((our, their) for their, our in merge(theirs, ours, swapped, tally.skip))


def _chosen(batches: Iterator[Batch], takes: Matches | None) -> Iterator[Batch]:
    return batches if takes is None else (batch.chosen(takes) for batch in batches)


def _what_there_is(target: LocalSide) -> Iterator[Batch]:
    """Yield nothing where the directory has yet to be made."""
    if target.root.exists():
        yield from target.batches()


def _look_at(target: Side, name: str) -> Entry | None:
    """Return what stands at the target; None also where it may not be looked at: then it is sent, and that tells."""
    try:
        return target.find(name)
    except (MediaplaneError, ValueError):  # ValueError: it can be no name there, and is refused when it is its turn
        return None


def _what_may_be_seen(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield nothing where the keys may write but not list: then everything is sent."""
    with suppress(AccessDenied):
        yield from batches


class _Maker:
    """Makes work of entries, and refuses what cannot become any."""

    def __init__(self, source: Side, target: Side, tally: Tally) -> None:
        self._source = source
        self._target = target
        self._tally = tally
        self._unreadable: list[str] = []
        self._collisions: safety.Collisions | None = None
        self.put_off: list[Work] = []  # until what stands in their place is gone

    def work_for(self, ours: Entry, theirs: Entry | None, name: str, choice: Choice) -> Iterator[Work]:
        """Yield the work that makes the target's `name` what `ours` is; nothing if it is whole, or is refused."""
        if ours.problem:
            self._unreadable.append(ours.name.rstrip("/"))
            self._tally.refuse(self._what(self._source, ours.name), ours.problem)
            return
        if isinstance(self._target, LocalSide) and name.endswith("/") and not ours.size_bytes:
            return  # the marker of a folder, which is no file
        try:
            made = self._make(ours, name)  # first, as a name that must be refused may well be whole somewhere
            if theirs is not None and is_whole(ours, theirs, choice.compare, self._same_content):
                self._tally.skip()
                return
        except (MediaplaneError, OSError, EOFError) as error:
            self._tally.refuse(self._what(self._source, ours.name), f"{error}")
            return
        if not isinstance(made, Download) or not os.path.isdir(made.path):  # noqa: PTH112 a Path costs as much as the call
            yield made
        elif choice.delete:
            self.put_off.append(made)
        else:
            self._tally.refuse(self._what(self._source, ours.name), f"{made.path} is a directory")

    def removal_of(self, theirs: Entry, choice: Choice) -> Iterator[Work]:
        """Yield the work that removes what only the target has; local files are removed at once."""
        if any(theirs.name == name or theirs.name.startswith(f"{name}/") for name in self._unreadable):
            return  # the source may have it, it could not be looked at
        if isinstance(self._target, S3Side):
            if not (isinstance(self._source, LocalSide) and theirs.name.endswith("/") and not theirs.size_bytes):
                yield Delete(self._target.endpoint, f"{self._target.prefix}{theirs.name}", theirs.size_bytes)
        elif theirs.problem:
            self._tally.refuse(self._what(self._target, theirs.name), theirs.problem)
        else:
            remove_file(self._target.root, theirs, self._tally, dry_run=choice.dry_run)

    def _make(self, ours: Entry, name: str) -> Work:
        """Return the work.

        Raises:
            InvalidKey: the name cannot be one at the target.
        """
        source, target = self._source, self._target
        if isinstance(target, LocalSide):
            assert isinstance(source, S3Side) and ours.found is not None
            path = safety.file_below(target.root, name)
            self._collisions_at(target.root).check(name)
            return Download(source.endpoint, ours.found, path)
        key = f"{target.prefix}{name}"
        _check_length(key)
        if isinstance(source, S3Side):
            assert ours.found is not None
            return Copy(source.endpoint, ours.found, target.endpoint, key)
        return Upload(
            safety.path_below(source.root, ours.name), ours.size_bytes, ours.modified_ns, target.endpoint, key
        )

    def _collisions_at(self, root: Path) -> safety.Collisions:
        if self._collisions is None:
            self._collisions = safety.Collisions(ignores_case=safety.ignores_case(root))
        return self._collisions

    def _same_content(self, ours: Entry, theirs: Entry) -> bool:
        """Return whether two of equal size have equal content, as far as their digests tell."""
        if ours.found is not None and theirs.found is not None:
            return same_etag(ours.found, theirs.found)
        source_is_file = isinstance(self._source, LocalSide)
        side, file = (self._source, ours) if source_is_file else (self._target, theirs)
        other, found = (self._target, theirs.found) if source_is_file else (self._source, ours.found)
        assert isinstance(side, LocalSide) and isinstance(other, S3Side) and found is not None
        return file_has_content(str(side.root / file.name), found, lambda: remote.metadata(other.endpoint, found.key))

    @staticmethod
    def _what(side: Side, name: str) -> str:
        return (
            str(side.root / name) if isinstance(side, LocalSide) else f"s3://{side.endpoint.bucket}/{side.prefix}{name}"
        )


def _check_length(key: str) -> None:
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"{key!r}: its name is not UTF-8, so it can be no key") from None
    if size_bytes > MAX_KEY_BYTES:
        raise InvalidKey(f"{key[:60]!r}… would be a key of {size_bytes} bytes: S3 allows {MAX_KEY_BYTES}")


def remove_file(root: Path, entry: Entry, tally: Tally, *, dry_run: bool) -> None:
    """Remove a file below `root` and the directories that this empties; what fails is told, what is elsewhere stays."""
    path = root / entry.name
    if any((root / parent).is_symlink() for parent in Path(entry.name).parents[:-1]):
        return  # it lies somewhere else, behind a link
    work = Delete(None, str(path), entry.size_bytes)
    if dry_run:
        tally.plan(work)
        return
    try:
        path.unlink()
    except OSError as error:
        tally.refuse(str(path), f"it cannot be removed: {error.strerror}")
        return
    tally.finish(work)
    with suppress(OSError):  # not empty, or gone
        for parent in path.relative_to(root).parents[:-1]:
            (root / parent).rmdir()
