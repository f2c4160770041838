"""How much is stored: objects and bytes, by storage class and by folder."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mediaplane.storage.bulk.work import Found


@dataclass(slots=True)
class Share:
    """Objects and their bytes."""

    objects: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one object."""
        self.objects += 1
        self.size_bytes += size_bytes


@dataclass(slots=True)
class Usage:
    """All that was counted, and the same by storage class and by folder."""

    total: Share = field(default_factory=Share)
    classes: dict[str, Share] = field(default_factory=dict)
    folders: dict[str, Share] = field(default_factory=dict)  # with their `/`, in order


def count(objects: Iterable[Found], prefix: str, *, depth: int) -> Usage:
    """Return what is stored; folders are those of the first `depth` parts below `prefix`."""
    usage = Usage()
    for found in objects:
        usage.total.add(found.size_bytes)
        usage.classes.setdefault(found.storage_class or "STANDARD", Share()).add(found.size_bytes)
        folder = prefix
        for part in found.key[len(prefix) :].split("/", depth)[:-1] if depth else ():
            folder = f"{folder}{part}/"
            usage.folders.setdefault(folder, Share()).add(found.size_bytes)
    return usage
