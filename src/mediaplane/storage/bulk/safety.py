"""Keys that may become files: everything else is refused by name before a byte is fetched.

A key is text that a stranger may have chosen. Refused is what would leave the directory, what would become another
file than its name says, and what some file systems keep for devices; the rest of a download goes on.
"""

import os
import re
from pathlib import Path

from mediaplane.errors import InvalidKey

MAX_PART_BYTES = 255  # Source: NAME_MAX of ext4, XFS, APFS, NTFS (there UTF-16 units)
MAX_PATH_BYTES = 4095  # Source: PATH_MAX of Linux, less the closing NUL
# Source: Microsoft Learn, "Naming Files, Paths, and Namespaces": also with an ending, in any case
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$) *(\..*)?", re.IGNORECASE | re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_CHARS = re.compile(r'[<>:"|?*\x01-\x1f]')


def check_name(name: str, *, windows: bool = os.name == "nt") -> None:
    """Return if the part of a key below the source may be a path below the target.

    Raises:
        InvalidKey: it may not; the sentence says why.
    """
    if name.startswith("/"):
        raise InvalidKey(f"{name!r} is an absolute path")
    if "\0" in name or "\\" in name:
        raise InvalidKey(f"{name!r} has a {'NUL' if chr(0) in name else 'backslash'} in it")
    for part in name.split("/"):
        if problem := _problem_of(part, windows=windows):
            raise InvalidKey(f"{name!r} {problem}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidKey(f"{name!r} is no Unicode text") from None


def _problem_of(part: str, *, windows: bool) -> str:
    if part in ("", ".", ".."):
        return "leads out of the directory" if part == ".." else f"has {'an empty' if not part else 'a `.`'} part"
    if len(part.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES:
        return f"has a part of more than {MAX_PART_BYTES} bytes, too long for a file name"
    if _DEVICE.fullmatch(part):
        return f"has the part {part!r}, a device on Windows"
    if _DRIVE.fullmatch(part):
        return f"has the part {part!r}, a drive on Windows"
    if windows and (_WINDOWS_CHARS.search(part) or part[-1] in ". "):
        return f"has the part {part!r}, which Windows does not store"
    return ""


def file_below(root: Path, name: str) -> str:
    """Return the path of `name` below `root`.

    Raises:
        InvalidKey: the name may not be one, or is too long below this root.
    """
    check_name(name)
    path = path_below(root, name)
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidKey(f"{name[:60]!r}… is too long for a path below {root}")
    return path


def path_below(root: Path, name: str) -> str:
    """Return `root / name` as text: a tenth of the price of a Path, which counts by the hundred thousand."""
    text = os.fspath(root)
    return name if text == "." else f"{text}{name}" if text.endswith("/") else f"{text}/{name}"


class Collisions:
    """Finds keys that need the same place: `a` beside `a/b`, and `A` beside `a` where the disk knows no case.

    Asked in byte order of the keys; memory: one key's prefixes, and 8 bytes a key where the disk knows no case.
    """

    def __init__(self, *, ignores_case: bool) -> None:
        self._seen: set[int] | None = set() if ignores_case else None
        self._open: list[str] = []  # keys seen that begin the current one

    def check(self, name: str) -> None:
        """Return if no earlier key has taken the place of `name`.

        Raises:
            InvalidKey: one has.
        """
        while self._open and not name.startswith(self._open[-1]):
            self._open.pop()
        for earlier in self._open:
            if name.startswith(f"{earlier}/"):
                raise InvalidKey(
                    f"{name!r} cannot be stored: {earlier!r} is an object, so no directory can have its name"
                )
        self._open.append(name)
        if self._seen is not None:
            folded = hash(name.casefold())
            if folded in self._seen:
                raise InvalidKey(f"{name!r} differs from another key only in case, which this disk does not tell apart")
            self._seen.add(folded)


def ignores_case(directory: Path) -> bool:
    """Return whether the disk of an existing directory takes `A` and `a` for one name."""
    probe = directory / f".mediaplane-case-{os.getpid()}"
    try:
        probe.touch()
    except OSError:
        return False  # nothing can be written there anyway
    try:
        return probe.with_name(probe.name.upper()).exists()
    finally:
        probe.unlink(missing_ok=True)
