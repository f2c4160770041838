"""What a running `mediaplane up` tells other commands: `up.json` in the state directory.

The file is believed only while its writer lives: it holds a lock on `up.lock`, which the kernel frees whatever ends it.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mediaplane.errors import NotRunning, ServiceFailed
from mediaplane.media.keys import Layout
from mediaplane.profile import StoreSettings
from mediaplane.settings import Settings

START_SECONDS = 60.0  # for an `up` that has just been started
TRIES = 5


@dataclass(frozen=True, slots=True)
class Running:
    """Where the parts of a running `up` are reached."""

    pid: int
    url: str  # of the gateway
    database_url: str
    storage_mode: str
    s3_endpoint: str
    s3_bucket: str
    s3_access_key_id: str
    s3_secret_access_key: str
    # all else that decides where bytes are, as `settings/` names it: every process must agree on that
    others: dict[str, Any] = field(default_factory=dict)
    stores: list[dict[str, Any]] = field(default_factory=list)
    placement: dict[str, str] = field(default_factory=dict)
    layout: dict[str, str] = field(default_factory=dict)


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state directory's place for one `up`.

    Raises:
        ServiceFailed: another `up` runs there.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "up.lock").open("a") as lock:
        if not _take(lock):
            raise ServiceFailed(f"mediaplane up runs in {state_dir} already: stop it, or give another --state-dir")
        (state_dir / "up.json").unlink(missing_ok=True)  # of one that was killed: its servers may be gone
        try:
            yield
        finally:
            (state_dir / "up.json").unlink(missing_ok=True)


def _take(lock: TextIO) -> bool:
    """Return whether the lock is ours now; a command that looks whether an `up` runs holds it for a moment."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def announce(state_dir: Path, running: Running) -> None:
    """Write `up.json`, readable by this user only: it has keys in it."""
    temporary = state_dir / f"up.json.{os.getpid()}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(running), file)
    temporary.replace(state_dir / "up.json")


def find_running(state_dir: Path, *, wait_seconds: float = START_SECONDS) -> Running:
    """Return what the `up` in this state directory tells; one that is still starting is waited for.

    Raises:
        NotRunning: none runs there, or it is still starting after `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while _is_held(state_dir / "up.lock"):
        with suppress(FileNotFoundError):
            return Running(**json.loads((state_dir / "up.json").read_text()))
        if time.monotonic() > deadline:
            raise NotRunning(f"mediaplane up is still starting in {state_dir}: try again in a moment")
        time.sleep(0.1)
    raise NotRunning(
        f"nothing runs in {state_dir}: start it with `mediaplane up` (in another terminal), "
        "or set DATABASE_URL and S3_ENDPOINT to servers of your own"
    )


def follow(settings: Settings, running: Running) -> Settings:
    """Return the settings with what the running `up` decided about database, gateway and stores."""
    return settings.following(
        "mediaplane up",
        database_url=running.database_url,
        public_url=running.url,
        storage_mode=running.storage_mode,
        s3_endpoint=running.s3_endpoint,
        s3_bucket=running.s3_bucket,
        s3_access_key_id=running.s3_access_key_id,
        s3_secret_access_key=running.s3_secret_access_key,
        **running.others,
        stores=tuple(StoreSettings(**store) for store in running.stores) or settings.stores,
        placement=running.placement or settings.placement,
        layout=Layout(running.layout) if running.layout else settings.layout,
    )


def _is_held(lock_file: Path) -> bool:
    try:
        with lock_file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
