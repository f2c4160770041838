"""What the tests of bulk transfer under faults share: endpoints, trees of files, what must be true after any run."""

import os
import random
from collections.abc import Mapping
from pathlib import Path

from mediaplane.settings import load_settings
from mediaplane.storage.bulk.places import Endpoints
from mediaplane.storage.bulk.work import Event, Options, Summary, is_unfinished
from tests.services.fault_server import FaultServer

QUICK = Options(workers=4, retries=3)
MIB = 1 << 20


def endpoints(server: FaultServer) -> Endpoints:
    """Return how commands reach the server."""
    return Endpoints(load_settings(server.environment()))


def make_files(root: Path, bodies: Mapping[str, bytes]) -> Path:
    """Write files and return their directory."""
    for name, body in bodies.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return root


def some_bodies(dice: random.Random, count: int = 12, *, large: bool = True) -> dict[str, bytes]:
    """Return bodies of many sizes, from none to some parts of 5 MiB."""
    sizes = [0, 1, 100, 16 << 10, MIB, *(dice.randrange(1, 200_000) for _ in range(count - 6))]
    sizes.append(17 * MIB if large else 3 * MIB)
    return {f"d{number % 3}/{number:02}.bin": dice.randbytes(size) for number, size in enumerate(sizes)}


def unfinished_files(root: Path) -> list[str]:
    """Return the temporaries that lie below a directory."""
    return [name for _, _, names in os.walk(root) for name in names if is_unfinished(name)]


def assert_counts(summary: Summary, events: list[Event]) -> None:
    """Assert that the summary says what the events said, and lists every failure."""
    failed = [event for event in events if event.error]
    assert summary.failed == len(failed) == len(summary.failures)
    assert summary.done == sum(event.done and not event.error and not event.skipped for event in events)
