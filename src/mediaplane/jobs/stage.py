"""What the worker and the stages know of each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mediaplane.catalog.runs import StageRun
from mediaplane.postgres import Connection


@dataclass(slots=True, eq=False)
class Work:
    """A run as its stage sees it."""

    run: StageRun
    fraction: float = 0.0

    def progress(self, fraction: float) -> None:
        """Note how much is done, 0 to 1. Costs nothing: the worker writes it down twice a second at most."""
        self.fraction = min(max(fraction, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage made: `outputs` are kept in the run; `commit` writes rows in the transaction that ends it."""

    outputs: dict[str, Any]
    commit: Callable[[Connection], Awaitable[None]] | None = None


Stage = Callable[[Work], Awaitable[Outcome]]

# Called in the transaction that ends a run as done or failed for good, with the asset locked: plans what follows.
After = Callable[[Connection, StageRun], Awaitable[None]]
