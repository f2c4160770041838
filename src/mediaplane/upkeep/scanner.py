"""The scanner: finds originals that were put into a bucket by hand.

Besides the audit the only code that lists a bucket. It goes along the store's keys and the catalog's in one order and
asks only about what differs (`comparing.py`); it goes on where a scan that was cut off had come to. However many keys
there are, it holds some ten thousand.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from mediaplane.cancellation import end_tasks
from mediaplane.catalog import objects, scans
from mediaplane.errors import InvalidKey, MediaplaneError
from mediaplane.jobs.originals import OURS, Originals, Received, Upshot
from mediaplane.logs import Logger
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.postgres import Pool
from mediaplane.storage.found import Found
from mediaplane.storage.paging import walk_pages
from mediaplane.upkeep.comparing import differing

TOLD = 1000  # of what is found and of what is left alone; the rest is counted
_COMPARED_KEYS = 10_000  # at once: one question to the database
_RECEIVED_AT_ONCE = 4
_NOTED_SECONDS = 1.0  # between two notes of how far it is: a scan that is killed looks at so much again
_IMPOSSIBLE = "no object of ours can have such a key"

log = Logger(__name__)


@dataclass(slots=True)
class ScanReport:
    """What a scan found; the lists end after `TOLD` entries, the counts do not."""

    seen: int = 0
    registered: list[str] = field(default_factory=list)  # asset ids, in key order
    registered_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)  # key and reason
    skipped_count: int = 0

    def note_registered(self, asset_id: str) -> None:
        """Count an original that was registered."""
        self.registered_count += 1
        if self.registered_count <= TOLD:
            self.registered.append(asset_id)

    def note_skipped(self, key: str, reason: str) -> None:
        """Count a key that is left alone."""
        self.skipped_count += 1
        if self.skipped_count <= TOLD:
            self.skipped.append((key, reason))


@dataclass(frozen=True, slots=True)
class Scanner:
    """Scans one store for originals."""

    pool: Pool
    originals: Originals

    @property
    def store_name(self) -> str:
        """The store it looks through."""
        return self.originals.store_name

    async def scan(self, on_progress: Callable[[int], None] = lambda _: None) -> ScanReport:
        """Look at every key under the layout's prefix and register the originals that are new.

        Raises:
            StorageError: the store failed; the next scan goes on from there.
        """
        prefix = self.originals.layout.prefix("original")
        async with self.pool.connection() as conn:
            after = await scans.begin(conn, self.store_name, prefix)
        report, place = ScanReport(), _Place(self.pool, self.store_name, prefix, after)
        pages = walk_pages(self.originals.store, prefix, after=after)
        try:
            async with (
                self.pool.connection() as conn,
                aclosing(objects.parts(conn, self.store_name, prefix, after=after)) as parts,
            ):
                async for seen, unlike in differing(_ahead(pages), parts):
                    for start in range(0, len(unlike), _COMPARED_KEYS):
                        await self._look_at(unlike[start : start + _COMPARED_KEYS], report)
                    report.seen += len(seen)
                    await place.reach(_last_key(seen), len(seen))
                    on_progress(report.seen)
        finally:
            await place.note()
        async with self.pool.connection() as conn:
            await scans.finish(conn, self.store_name, prefix)
        return report

    async def _look_at(self, batch: Sequence[Found], report: ScanReport) -> None:
        """Ask the catalog about each of them, and then act on those that it does not know so."""
        async with self.pool.connection() as conn:
            unlike = await objects.unlike(conn, self.store_name, batch)
        asked: list[ObjectKey] = []
        for info in (batch[at] for at in unlike):
            try:
                key = check_key(info.key)
            except (InvalidKey, UnicodeEncodeError):
                if not info.key.endswith("/"):  # a folder, as consoles make them
                    report.note_skipped(ascii(info.key), _IMPOSSIBLE)
                continue
            reason = self.originals.refusal(key)
            if reason is None:
                asked.append(key)
            elif reason is not OURS:
                report.note_skipped(key, reason)
        for start in range(0, len(asked), _RECEIVED_AT_ONCE):
            keys = asked[start : start + _RECEIVED_AT_ONCE]
            asking = (self.originals.receive(self.pool.connection, key) for key in keys)
            for key, one in zip(keys, await asyncio.gather(*asking, return_exceptions=True), strict=True):
                if isinstance(one, BaseException):
                    raise one
                _tell(report, key, one)


async def scan_all(scanners: Iterable[Scanner]) -> None:
    """Scan every store and log what was found; one that fails does not stop the others."""
    for scanner in scanners:
        try:
            report = await scanner.scan()
        except MediaplaneError as error:
            log.warning("store_not_scanned", store=scanner.store_name, error=error.message)
            continue
        counts = {"seen": report.seen, "registered": report.registered_count, "skipped": report.skipped_count}
        log.info("store_scanned", store=scanner.store_name, **counts)


@dataclass(slots=True)
class _Place:
    """How far a scan has come: written down now and then, as each note is a commit."""

    pool: Pool
    store_name: str
    prefix: str
    last_key: str
    seen: int = 0
    noted_at: float = field(default_factory=time.monotonic)

    async def reach(self, key: str, seen: int) -> None:
        """Remember that `seen` more keys up to `key` were looked at."""
        self.last_key, self.seen = key or self.last_key, self.seen + seen
        if time.monotonic() - self.noted_at > _NOTED_SECONDS:
            await self.note()

    async def note(self) -> None:
        """Write it down."""
        if self.seen:
            async with self.pool.connection() as conn:
                await scans.advance(conn, self.store_name, self.prefix, last_key=self.last_key, seen=self.seen)
            self.seen, self.noted_at = 0, time.monotonic()


def _last_key(batch: Sequence[Found]) -> str:
    """Return the last key that can be written down; empty where there is none."""
    for info in reversed(batch):
        with suppress(InvalidKey, UnicodeEncodeError):
            return check_key(info.key)
    return ""


def _tell(report: ScanReport, key: str, received: Received) -> None:
    if received.upshot is Upshot.REGISTERED:
        report.note_registered(received.detail)
    elif received.upshot is Upshot.NO_ORIGINAL and received.detail != OURS:
        report.note_skipped(key, received.detail)


async def _ahead(pages: AsyncIterator[Sequence[Found]]) -> AsyncIterator[Sequence[Found]]:
    """Yield the pages; the next ones are fetched while these are looked at."""

    async def fetch() -> Sequence[Found] | None:
        return await anext(pages, None)

    fetched = asyncio.create_task(fetch())
    try:
        while (page := await fetched) is not None:
            fetched = asyncio.create_task(fetch())
            yield page
    finally:
        await end_tasks(fetched)  # whatever it raises: where somebody left the scan, their reason counts
