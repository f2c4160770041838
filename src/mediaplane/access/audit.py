"""The audit log: records that are durable before the reply, written together; and the proof that nobody changed one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from mediaplane.access.together import Together
from mediaplane.catalog import audit
from mediaplane.catalog.audit import GENESIS, Head, Link, NewRecord
from mediaplane.logs import Logger
from mediaplane.postgres import Connection

log = Logger(__name__)

MAX_FAULTS = 1000  # more are counted, not told

Lend = Callable[[], AbstractAsyncContextManager[Connection]]


class AuditLog:
    """Appends records for many requests at once."""

    def __init__(self, lend: Lend) -> None:
        self._lend = lend
        self._together = Together(self._write)

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return when the records are durable.

        Raises:
            DatabaseUnavailable: they are not.
        """
        if records:
            await self._together.ask(records)

    async def _write(self, gathered: Sequence[Sequence[NewRecord]]) -> Sequence[None]:
        async with self._lend() as conn:
            await audit.add(conn, [record for records in gathered for record in records])
        return [None] * len(gathered)


async def chain_and_log(conn: Connection) -> None:
    """Chain what waits, and log the new head: where logs are kept elsewhere, so is what `verify` expects."""
    if chained := await audit.chain_all(conn):
        position, digest = await audit.head(conn)
        log.info("audit records chained", records=chained, head=f"{position}:{digest.hex()}")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: the position in the chain, the record's id."""

    position: int | None
    record_id: int | None
    problem: str


@dataclass(slots=True)
class Verdict:
    """What `verify` found; whole where there are no faults. Note the head elsewhere: nobody can shorten it then."""

    records: int = 0
    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    def add(self, fault: Fault) -> None:
        """Count a fault, and tell it while there are not too many."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


async def verify(conn: Connection, *, expected: Head | None = None) -> Verdict:
    """Go through the whole chain, hash by hash, after chaining what still waits; about 20 µs a record.

    `expected` is a head noted earlier: it must still stand at its position. Found are records that were changed,
    removed, put in another place or slipped in. Whoever changes a record and computes every hash behind it anew is
    found by `expected` alone.
    """
    await audit.chain_all(conn)
    verdict = Verdict()
    async for link in audit.links(conn):
        _check(verdict, link)
        if expected and link.position == expected.position and link.hash != expected.hash:
            verdict.add(Fault(link.position, link.record_id, "the chain up to here is not the one that was noted"))
        verdict.head = Head(link.position, link.hash)
        verdict.records += link.record is not None
    if expected and verdict.head.position < expected.position:
        problem = f"the chain ends at {verdict.head.position}: what came behind it was removed"
        verdict.add(Fault(expected.position, None, problem))
    for record_id, is_there in await audit.strays(conn):
        problem = "it was added without being chained" if is_there else "it was removed before it was chained"
        verdict.add(Fault(None, record_id, problem))
    return verdict


def _check(verdict: Verdict, link: Link) -> None:
    before = verdict.head
    follows = link.position == before.position + 1  # else what stood before this one is not known
    if not follows:
        missing = f"{before.position + 1} to {link.position - 1}"
        verdict.add(Fault(before.position + 1, None, f"positions {missing} of the chain were removed"))
    if link.record is None:
        verdict.add(Fault(link.position, link.record_id, "the record was removed"))
    elif follows and audit.link_hash(before.hash, link.record) != link.hash:
        problem = "the record, or its place in the chain, was changed"
        verdict.add(Fault(link.position, link.record_id, problem))
