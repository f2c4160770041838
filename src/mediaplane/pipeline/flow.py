"""What follows what: plans an asset's next runs from the runs it has.

    probe ─▶ plan ─▶ chunk 0 … chunk n ─┬▶ assemble ─▶ ready
                 └─▶ audio ─────────────┘
    probe ─▶ picture ─▶ ready               for a still image

`advance` may be called at any time and any number of times: it looks at the rows and adds what is missing.
A run whose inputs' digest, version and parameters are unchanged is not run again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediaplane.catalog import assets, clips, runs
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.runs import NewRun, StageRun
from mediaplane.errors import AssetNotFound
from mediaplane.jobs.queue import enqueue
from mediaplane.postgres import Connection
from mediaplane.settings import Settings

# A stage's version changes when its result for equal inputs would.
VERSIONS = {"probe": 2, "plan": 1, "chunk": 1, "audio": 1, "assemble": 1, "picture": 1, "clip": 1}


@dataclass(frozen=True, slots=True)
class Flow:
    """The pipeline's plan under the given settings."""

    settings: Settings

    async def after_run(self, conn: Connection, run: StageRun) -> None:
        """Plan what follows a run that has just ended, in the transaction that ends it."""
        if run.stage != "clip":
            await self.advance(conn, run.asset_id)
        elif run.state == "failed":
            message = run.error_message or "the clip could not be made"
            await clips.mark_failed(conn, run.subject, code=run.error_code or "error", message=message)

    async def advance(self, conn: Connection, asset_id: str) -> None:
        """Add the runs that the asset needs next, or mark it ready or failed."""
        try:
            asset = await assets.lock(conn, asset_id)
        except AssetNotFound:
            return
        if asset.status == "uploading":
            return
        past = {(run.stage, run.chunk): run for run in await runs.of_asset(conn, asset_id) if not run.subject}
        for step in ("probe", "plan", "media", "assemble"):
            wanted = self._wanted(step, asset, past)
            if failed := next(
                (run for run in map(past.get, map(_place, wanted)) if run and _failed(run, wanted)), None
            ):
                await self._give_up(conn, asset, failed)
                return
            missing = [new for new in wanted if not _done(past.get(_place(new)), new)]
            if missing:
                await self._begin(conn, asset, missing, past)
                return
        if asset.status != "ready":
            await assets.mark_ready(conn, asset_id)

    async def _begin(
        self, conn: Connection, asset: Asset, missing: Sequence[NewRun], past: dict[tuple[str, int | None], StageRun]
    ) -> None:
        stale = [run for run in past.values() if run.state in ("queued", "running") and not _is_among(run, missing)]
        if stale:  # the original or a setting has changed under them
            await runs.cancel_runs(conn, [run.run_id for run in stale])
        if asset.status != "processing":
            await assets.begin_processing(conn, asset.asset_id, asset.digest or "")
        await enqueue(conn, missing)

    async def _give_up(self, conn: Connection, asset: Asset, failed: StageRun) -> None:
        message = failed.error_message or f"the stage {failed.stage} failed"
        await assets.mark_failed(conn, asset.asset_id, code=failed.error_code or "error", message=message)
        await runs.cancel(conn, asset.asset_id)

    def _wanted(self, step: str, asset: Asset, past: dict[tuple[str, int | None], StageRun]) -> list[NewRun]:
        if step == "probe":
            return [self._new(asset, "probe", inputs=[asset.digest])]
        probe = _outputs(past, "probe")
        if probe.get("kind") == "image":
            inputs = [asset.digest, probe, self._reading[1:], self.settings.ocr_debug_pictures]
            return [self._new(asset, "picture", inputs=inputs)] if step == "media" else []
        if step == "plan":
            return [self._new(asset, "plan", inputs=[asset.digest, probe, self.settings.chunk_seconds])]
        plan = _outputs(past, "plan")
        media = self._media_runs(asset, probe, plan)
        if step == "media":
            return media
        inputs = [[new.inputs_digest for new in media], self.settings.progressive_proxy]
        return [self._new(asset, "assemble", inputs=inputs)]

    @property
    def _reading(self) -> list[Any]:
        settings = self.settings
        return [settings.frames_per_second, settings.ocr_engine, settings.ocr_languages, settings.ocr_min_confidence]

    def _media_runs(self, asset: Asset, probe: dict[str, Any], plan: dict[str, Any]) -> list[NewRun]:
        settings = self.settings
        inputs = [asset.digest, probe, settings.rendition_sides, self._reading, settings.ocr_debug_pictures]
        found = [
            self._new(asset, "chunk", inputs=[*inputs, chunk], chunk=chunk["index"], params=chunk)
            for chunk in plan.get("chunks", [])
        ]
        if probe.get("audio"):  # short, and behind the first chunk, so that the first minute is searchable soonest
            found.insert(1, self._new(asset, "audio", inputs=[asset.digest, probe]))
        return found

    def _new(
        self, asset: Asset, stage: str, *, inputs: Sequence[Any], chunk: int | None = None, params: Any = None
    ) -> NewRun:
        return NewRun(
            asset_id=asset.asset_id,
            owner=asset.owner,
            team=asset.team,
            stage=stage,
            chunk=chunk,
            params=params or {},
            inputs_digest=digest_of(stage, VERSIONS[stage], *inputs),
        )


def _place(run: NewRun) -> tuple[str, int | None]:
    return run.stage, run.chunk


def _done(run: StageRun | None, new: NewRun) -> bool:
    return run is not None and run.state == "done" and run.inputs_digest == new.inputs_digest


def _failed(run: StageRun, wanted: Sequence[NewRun]) -> bool:
    return run.state == "failed" and _is_among(run, wanted)


def _is_among(run: StageRun, wanted: Sequence[NewRun]) -> bool:
    return any((run.stage, run.chunk, run.inputs_digest) == (new.stage, new.chunk, new.inputs_digest) for new in wanted)


def _outputs(past: dict[tuple[str, int | None], StageRun], stage: str) -> dict[str, Any]:
    return past[stage, None].outputs or {}


def digest_of(*parts: Any) -> str:
    """Return a digest of JSON values: equal digests mean equal inputs, versions and parameters."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
