"""The runs a worker holds: leases extended, progress written, and stages ended whose run is no longer ours."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from mediaplane.catalog import runs
from mediaplane.catalog.runs import Holding, StageRun
from mediaplane.jobs.outage import AWAY, Outage, back_off
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.postgres import Connection, connect

PROGRESS_SECONDS = 0.5
LONGEST_BEAT_SECONDS = 5.0  # a cancelled run is noticed within this, however long the lease
MARGIN = 0.9  # of the lease: the stage is ended before another worker may begin it


@dataclass(slots=True, eq=False)
class Held:
    """One run that this worker is at."""

    work: Work
    task: asyncio.Task[Outcome]
    deadline: float  # monotonic seconds; moves with each heartbeat that the database has confirmed
    written: float = 0.0  # the progress that the database knows
    lost: str = ""  # why the run is no longer ours
    interrupted: bool = False

    @property
    def run(self) -> StageRun:
        """The run as it was claimed."""
        return self.work.run

    def lose(self, reason: str) -> None:
        """End the stage: its run is not ours any more."""
        if not self.lost:
            self.lost = reason
            self.task.cancel()

    def interrupt(self) -> None:
        """End the stage: its worker stops."""
        self.interrupted = True
        self.task.cancel()


class Leases:
    """What one worker holds, kept alive over a connection of its own, so that nothing can hold up a heartbeat."""

    def __init__(self, dsn: str, lease: timedelta, outage: Outage) -> None:
        self._dsn = dsn
        self._lease = lease
        self._outage = outage
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def all(self) -> list[Held]:
        """Return what is held now."""
        return list(self._held.values())

    def add(self, held: Held) -> None:
        """Hold a run."""
        self._held[held.run.run_id] = held

    def drop(self, held: Held) -> None:
        """Hold it no longer."""
        if self._held.get(held.run.run_id) is held:
            del self._held[held.run.run_id]

    def deadline(self, asked_at: float) -> float:
        """Return when a lease must be given up that was asked for at `asked_at` (monotonic seconds)."""
        return asked_at + self._lease.total_seconds() * MARGIN

    async def keep(self) -> None:
        """Extend leases and write progress until cancelled."""
        tries = 0
        while True:
            try:
                conn = await connect(self._dsn)
                try:
                    await self._keep_on(conn)
                finally:
                    await conn.close()
            except (*AWAY, TimeoutError) as error:
                self._outage.begin(error)
                tries = tries + 1 if self._held else 0
                await back_off(min(tries, 4))

    async def expire(self) -> None:
        """End stages whose lease ran out because the database could not be reached, until cancelled."""
        while True:
            for held in self.all():
                if monotonic() > held.deadline:
                    held.lose("the database could not be reached until the lease was over")
            await asyncio.sleep(min(PROGRESS_SECONDS, self._lease.total_seconds() / 20))

    async def _keep_on(self, conn: Connection) -> None:
        beat_seconds = min(self._lease.total_seconds() / 4, LONGEST_BEAT_SECONDS)
        next_beat = 0.0
        while True:
            await asyncio.sleep(min(PROGRESS_SECONDS, beat_seconds))
            due = monotonic() >= next_beat
            held = self.all() if due else [held for held in self.all() if held.work.fraction != held.written]
            if due:
                next_beat = monotonic() + beat_seconds
            if held:
                await self._beat(conn, held)

    async def _beat(self, conn: Connection, held: Sequence[Held]) -> None:
        asked_at = monotonic()
        said = [Holding(one.run.run_id, one.run.token, one.work.fraction) for one in held]
        async with asyncio.timeout(self._lease.total_seconds() / 2):
            ours = await runs.keep(conn, said, lease=self._lease)
        self._outage.end()
        for one, holding in zip(held, said, strict=True):
            extended = ours.get(one.run.run_id)
            if extended is None and self._held.get(one.run.run_id) is one:
                one.lose("the run was cancelled, deleted or taken over")
            elif extended:
                one.deadline = self.deadline(asked_at)
                one.written = holding.fraction
