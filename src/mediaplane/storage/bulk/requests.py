"""What one command asks for, checked, and turned into a stream of work."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mediaplane.errors import InvalidPlace, MediaplaneError
from mediaplane.storage.bulk.filters import compile_pattern
from mediaplane.storage.bulk.places import (
    Endpoints,
    LocalPlace,
    Place,
    S3Place,
    as_folder,
    fixed_part,
    has_wildcard,
    literal_prefix,
    read_place,
)
from mediaplane.storage.bulk.plan import Choice, LocalSide, S3Side, Side, Single, plan_many, plan_single, remove_file
from mediaplane.storage.bulk.streams import file_entry
from mediaplane.storage.bulk.tally import Tally
from mediaplane.storage.bulk.work import Delete, Options, Work
from mediaplane.storage.endpoint import S3Endpoint


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """`cp`, and with `sync` the same for two whole directories or prefixes, `delete` included."""

    sources: tuple[str, ...]
    target: str
    recursive: bool = False
    sync: bool = False
    literal: bool = False  # `*` and `?` in sources are themselves
    choice: Choice = field(default_factory=Choice)
    options: Options | None = None  # of this request alone

    def plan(self, of_source: Endpoints, of_target: Endpoints, tally: Tally) -> Iterator[Work]:
        """Return the work; places are checked at once, all else while it is iterated.

        Raises:
            InvalidPlace: sources and target do not fit together.
            SettingInvalid: an endpoint's settings are missing.
        """
        target = _open_target(read_place(self.target), of_target)
        parts = [self._plan_one(read_place(source), of_source, target, tally) for source in self.sources]
        return (work for part in parts for work in part)

    def _plan_one(self, source: Place, endpoints: Endpoints, target: Side, tally: Tally) -> Iterator[Work]:
        if isinstance(source, S3Place):
            return self._plan_objects(source, endpoints, target, tally)
        if not isinstance(source, LocalPlace):
            raise InvalidPlace("standard input is one object: `cp - s3://bucket/key`")
        if isinstance(target, LocalSide):
            raise InvalidPlace(f"neither {source} nor {self.target} is on S3: one must be s3://bucket/key")
        return self._plan_files(source, target, tally)

    def _plan_objects(self, source: S3Place, endpoints: Endpoints, target: Side, tally: Tally) -> Iterator[Work]:
        endpoint, key = endpoints.of(source.bucket), source.key
        if has_wildcard(key) and not self.literal:
            return self._plan_many(listed_side(endpoint, key), target, tally, wild=True)
        if self.sync or self.recursive:
            return self._plan_many(S3Side(endpoint, as_folder(key)), target, tally)
        if not key or key.endswith("/"):
            raise InvalidPlace(f"{source} is a folder: give --recursive, or a pattern like '{source}*'")
        folder, _, name = key.rpartition("/")
        return self._plan_single(source, S3Side(endpoint, as_folder(folder)), name, target, tally)

    def _plan_files(self, source: LocalPlace, target: Side, tally: Tally) -> Iterator[Work]:
        links = self.choice.follow_links
        if source.path.is_dir():
            if not (self.sync or self.recursive):
                raise InvalidPlace(f"{source} is a directory: give --recursive")
            return self._plan_many(LocalSide(source.path, links), target, tally)
        text = str(source.path)
        if has_wildcard(text) and not self.literal and not source.path.exists():
            root = fixed_part(text)
            side = LocalSide(Path(root or "."), links, compile_pattern(text[len(root) :]))
            return self._plan_many(side, target, tally, wild=True)
        if self.sync:
            raise InvalidPlace(f"{source} is no directory: sync brings one directory or prefix in step with another")
        return self._plan_single(source, LocalSide(source.path.parent, links), source.path.name, target, tally)

    def _plan_many(self, source: Side, target: Side, tally: Tally, *, wild: bool = False) -> Iterator[Work]:
        if wild and self.choice.delete:
            raise InvalidPlace(
                "--delete needs a whole directory or prefix as its source: pick by --include, not by `*`"
            )
        _refuse_overlap(source, target, delete=self.choice.delete)
        return plan_many(source, target, replace(self.choice, sync=self.sync), tally)

    def _plan_single(self, source: Place, side: Side, name: str, target: Side, tally: Tally) -> Iterator[Work]:
        place, new_name = _name_at(target, self.target, name, several=len(self.sources) > 1)
        if _is_same(side, name, place, new_name):
            raise InvalidPlace(f"{source} and the target are the same object")

        def plan() -> Iterator[Work]:
            try:
                entry = side.find(name)
            except MediaplaneError as error:
                tally.refuse(str(source), error.message)
                return
            if entry is None:
                tally.refuse(str(source), "nothing is there")
            else:
                yield from plan_single(Single(side, entry), place, new_name, self.choice, tally)

        return plan()


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    """`rm`."""

    places: tuple[str, ...]
    recursive: bool = False
    literal: bool = False
    choice: Choice = field(default_factory=Choice)
    options: Options | None = None  # of this request alone

    def plan(self, _of_source: Endpoints, of_target: Endpoints, tally: Tally) -> Iterator[Work]:
        """Return the work; see `CopyRequest.plan`."""
        parts = [self._plan_one(read_place(place), of_target, tally) for place in self.places]
        return (work for part in parts for work in part)

    def _plan_one(self, place: Place, endpoints: Endpoints, tally: Tally) -> Iterator[Work]:
        if isinstance(place, S3Place):
            return self._plan_objects(place, endpoints)
        if isinstance(place, LocalPlace):
            return self._plan_files(place, tally)
        raise InvalidPlace("there is nothing to remove at -")

    def _plan_objects(self, place: S3Place, endpoints: Endpoints) -> Iterator[Work]:
        endpoint, key = endpoints.of(place.bucket), place.key
        if has_wildcard(key) and not self.literal:
            side = listed_side(endpoint, key)
        elif self.recursive:
            side = S3Side(endpoint, as_folder(key))
        elif not key or key.endswith("/"):
            raise InvalidPlace(f"{place} is a folder: give --recursive")
        else:
            return iter([Delete(endpoint, key)])
        return (
            Delete(endpoint, found.key, found.size_bytes)
            for found in side.objects()
            if self.choice.filter.takes(found.key[len(side.prefix) :])
        )

    def _plan_files(self, place: LocalPlace, tally: Tally) -> Iterator[Work]:
        text = str(place.path)
        if place.path.is_dir() and not place.path.is_symlink():
            if not self.recursive:
                raise InvalidPlace(f"{place} is a directory: give --recursive")
            side = LocalSide(place.path, follow_links=False)
        elif has_wildcard(text) and not self.literal and not place.path.exists():
            root = fixed_part(text)
            side = LocalSide(Path(root or "."), follow_links=False, matches=compile_pattern(text[len(root) :]))
        else:
            return self._remove_one(place, tally)
        return self._remove_files(side, tally)

    def _remove_files(self, side: LocalSide, tally: Tally) -> Iterator[Work]:
        for entry in (entry for batch in side.batches() for entry in batch.entries()):
            if not self.choice.filter.takes(entry.name):
                continue
            if entry.problem:
                tally.refuse(str(side.root / entry.name), entry.problem)
            else:
                remove_file(side.root, entry, tally, dry_run=self.choice.dry_run)
        yield from ()

    def _remove_one(self, place: LocalPlace, tally: Tally) -> Iterator[Work]:
        entry = file_entry(str(place.path), place.path.name, follow_links=False)
        if entry is None:
            tally.refuse(str(place), "nothing is there")
        else:
            remove_file(place.path.parent, entry._replace(problem=""), tally, dry_run=self.choice.dry_run)
        yield from ()


Request = CopyRequest | RemoveRequest


def listed_side(endpoint: S3Endpoint, pattern: str) -> S3Side:
    """Return the objects whose keys match a pattern; their names begin after its last `/` before a wildcard."""
    prefix = fixed_part(pattern)
    return S3Side(endpoint, prefix, compile_pattern(pattern[len(prefix) :]), literal_prefix(pattern))


def _open_target(target: Place, endpoints: Endpoints) -> Side:
    """Return the target as a directory or prefix; a single file's own name is taken off it later."""
    if isinstance(target, S3Place):
        if has_wildcard(target.key):
            raise InvalidPlace(f"{target}: a target has no `*` and no `?`")
        return S3Side(endpoints.of(target.bucket), as_folder(target.key))
    if isinstance(target, LocalPlace):
        return LocalSide(target.path)
    raise InvalidPlace("standard output takes one object: `cp s3://bucket/key -`")


def _name_at(target: Side, written: str, name: str, *, several: bool) -> tuple[Side, str]:
    """Return where a single file goes, and its name there: in a folder its own, else the one that was written."""
    if isinstance(target, S3Side):
        key = target.prefix.rstrip("/") if not written.endswith("/") else target.prefix
        if several or not key or key.endswith("/"):
            return target, name
        folder, _, last = key.rpartition("/")
        return replace(target, prefix=as_folder(folder)), last
    if several or written.endswith("/") or target.root.is_dir():
        return target, name
    return LocalSide(target.root.parent), target.root.name


def _is_same(source: Side, name: str, target: Side, new_name: str) -> bool:
    if not isinstance(source, S3Side) or not isinstance(target, S3Side) or not _on_one_bucket(source, target):
        return False
    return f"{source.prefix}{name}" == f"{target.prefix}{new_name}"


def _on_one_bucket(source: S3Side, target: S3Side) -> bool:
    return (source.endpoint.url, source.endpoint.bucket) == (target.endpoint.url, target.endpoint.bucket)


def _refuse_overlap(source: Side, target: Side, *, delete: bool) -> None:
    """Refuse what would copy its own copies, or delete its own source.

    Raises:
        InvalidPlace: one lies in the other.
    """
    if not isinstance(source, S3Side) or not isinstance(target, S3Side) or not _on_one_bucket(source, target):
        return
    if target.prefix.startswith(source.prefix):
        raise InvalidPlace(
            f"s3://{target.endpoint.bucket}/{target.prefix} lies in the source: it would copy its own copies"
        )
    if delete and source.prefix.startswith(target.prefix):
        raise InvalidPlace("the source lies in the target: --delete would remove it")
