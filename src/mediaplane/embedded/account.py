"""Under which user an embedded server runs, and what that user can reach.

PostgreSQL refuses to run as root, so root hands it to an unprivileged user; everybody else runs it as themselves.
"""

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY_UID = 65534  # the overflow uid of Linux, for machines whose passwd has neither name


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group; `drops` tells that this process is root and must give up its rights for the server."""

    uid: int
    gid: int
    drops: bool

    def child_options(self) -> dict[str, Any]:
        """Return the arguments with which `subprocess` starts a child as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drops else {}

    def take(self, path: Path) -> None:
        """Make `path` belong to this account."""
        if self.drops:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_read(self, path: Path) -> bool:
        """Whether the account may read `path`, by the permission bits of it and of every directory above.

        Access lists and the like are not looked at: a wrong "no" costs one copy of the binaries.
        """
        if not self.drops:
            return True
        real = path.resolve()
        return self._has(real, stat.S_IROTH) and all(self._has(parent, stat.S_IXOTH) for parent in real.parents)

    def _has(self, path: Path, others_bit: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return bool(status.st_mode & (others_bit << shift))


def unprivileged_account(data: Path) -> Account:
    """Return who runs a server that refuses root: this user, or for root somebody else.

    That is the owner of `data` where it exists, so that it stays with one user; else `postgres` if the machine
    has that user, else `nobody`.
    """
    if os.geteuid() != 0:
        return _this_user()
    if owner := _other_owner(data):
        return owner
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, drops=True)
    return Account(NOBODY_UID, NOBODY_UID, drops=True)


def owning_account(data: Path) -> Account:
    """Return who runs a server that does not mind root: this user, or for root the owner of `data`.

    Root working in somebody's state directory so leaves files that this person can still use.
    """
    return (_other_owner(data) if os.geteuid() == 0 else None) or _this_user()


def _this_user() -> Account:
    return Account(os.geteuid(), os.getegid(), drops=False)


def _other_owner(data: Path) -> Account | None:
    if not data.exists() or (status := data.stat()).st_uid == 0:
        return None
    return Account(status.st_uid, status.st_gid, drops=True)
