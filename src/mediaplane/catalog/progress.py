"""How far an asset is on its way to ready, from its runs alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from mediaplane.catalog import runs
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import AssetNotReady
from mediaplane.postgres import Connection

# What a stage is of the whole, roughly as it takes; all chunks together are one entry.
WEIGHTS: Mapping[str, float] = {
    "probe": 2, "plan": 2, "chunk": 50, "ocr": 30, "audio": 5, "picture": 94, "assemble": 5, "text": 2, "highlights": 4,
}  # fmt: skip
_MEDIA = frozenset({"chunk", "ocr", "audio"})
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 2, 60
UPLOADING = "upload"  # in place of a stage's name while the bytes are still on their way


@dataclass(frozen=True, slots=True)
class Progress:
    """The share that is done, 0 to 1, and the stages that are at work or wait for their turn."""

    share: float
    stages: tuple[str, ...]
    retry_seconds: int


async def not_ready(conn: Connection, asset: Asset, wanted: str) -> AssetNotReady:
    """Return the error that says how far the asset is; `wanted` is what cannot be done with it yet, e.g. `played`."""
    if asset.status == "failed":
        return AssetNotReady(f"{asset.asset_id} cannot be {wanted}: {asset.error_message}", retryable=False)
    found = measure(asset, await runs.of_asset(conn, asset.asset_id), now=datetime.now(UTC))
    at_work = f", {', '.join(found.stages)} at work" if found.stages else ""
    return AssetNotReady(
        f"{asset.asset_id} cannot be {wanted} yet: it is {asset.status}, {found.share:.0%} done{at_work}",
        share=found.share,
        stages=found.stages,
        retry_seconds=found.retry_seconds,
    )


def measure(asset: Asset, past: Sequence[StageRun], *, now: datetime) -> Progress:
    """Return how far the asset is; what is left is taken to go as fast as what is done went."""
    if asset.status == "uploading":
        return Progress(0.0, (UPLOADING,), MIN_RETRY_SECONDS)
    mine = [run for run in past if not run.subject]
    done = sum(WEIGHTS[stage] * _fraction(mine, stage) for stage in WEIGHTS)
    total = sum(weight for stage, weight in WEIGHTS.items() if _is_expected(mine, stage))
    share = 1.0 if asset.status == "ready" else min(0.99, round(done / total, 3))
    active = tuple(dict.fromkeys(run.stage for run in mine if run.state in ("queued", "running")))
    began = min((run.created_at for run in mine), default=now)
    return Progress(share, active, _retry_seconds(share, (now - began).total_seconds()))


def _fraction(past: Sequence[StageRun], stage: str) -> float:
    of_stage = [run for run in past if run.stage == stage]
    finished = sum(1.0 if run.state in ("done", "failed") else run.progress for run in of_stage)
    return finished / len(of_stage) if of_stage else 0.0


def _is_expected(past: Sequence[StageRun], stage: str) -> bool:
    """Tell whether the stage is part of the way; what a recording lacks is known once its media are worked on."""
    there = {run.stage for run in past}
    if "picture" in there or stage == "picture":
        return stage in ("probe", "picture") and "picture" in there
    return stage not in _MEDIA or not there & _MEDIA or stage in there


def _retry_seconds(share: float, elapsed_seconds: float) -> int:
    left = elapsed_seconds * (1 - share) / share if share > 0 else MAX_RETRY_SECONDS / 4
    return max(MIN_RETRY_SECONDS, min(MAX_RETRY_SECONDS, ceil(left / 2)))
