"""What follows what: plans an asset's next runs from the runs it has.

    probe ─▶ plan ─▶ chunk 0 … n ─┬▶ assemble ─▶ ready
                 ├─▶ audio ───────┤
                 └─▶ ocr 0 … n ───┴▶ text        (and where HIGHLIGHTS is on, `highlights` before ready)
    probe ─▶ picture ─▶ ready               for a still image

`advance` may be called at any time and any number of times: it looks at the rows and adds what is missing.
A run whose inputs' digest, version and parameters are unchanged is not run again.

A chunk is decoded once for both its renditions and its text: where `chunk` and `ocr` of a range are missing, `chunk`
is asked to read, too, and notes both runs. Where only one of them is missing (a replay), only that one is done.

What follows `probe` is begun only if the media fits into the minutes that its owner may have processed in a month. An
asset that does not is failed with the code `quota_exceeded`, and begun by the same `advance` once it does.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mediaplane.catalog import assets, clips, replays, runs, usage
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.runs import NewRun, StageRun
from mediaplane.catalog.usage import Account
from mediaplane.errors import AssetNotFound, QuotaExceeded
from mediaplane.jobs.queue import add_runs, enqueue
from mediaplane.media.quotas import Resource, read_plans
from mediaplane.pipeline.parameters import ocr_options, settings_for
from mediaplane.pipeline.tools.results import OcrOptions
from mediaplane.postgres import Connection
from mediaplane.settings import Settings

# A stage's version changes when its result for equal inputs would.
VERSIONS = {
    "probe": 3, "plan": 2, "chunk": 2, "audio": 2, "assemble": 2, "picture": 1, "clip": 1, "ocr": 1, "text": 1,
    "highlights": 1,
}  # fmt: skip
TIMELINE_DIGITS = 16


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

    async def advance(self, conn: Connection, /, *asset_ids: str) -> None:
        """Add the runs that each of the assets needs next, or mark it ready or failed."""
        begun = {run.asset_id for run in await runs.of_assets(conn, asset_ids)} if len(asset_ids) > 1 else {*asset_ids}
        await self._begin_new(conn, [asset_id for asset_id in asset_ids if asset_id not in begun])
        for asset_id in asset_ids:
            if asset_id in begun:
                await self._advance(conn, asset_id)

    async def _begin_new(self, conn: Connection, asset_ids: Sequence[str]) -> None:
        """Add the first run of many assets at once: none has one, so it depends on nothing else of theirs."""
        new = [asset for asset in await assets.lock_all(conn, asset_ids) if asset.status != "uploading"]
        await add_runs(conn, [self._new(asset, "probe", inputs=[asset.digest]) for asset in new])

    async def _advance(self, conn: Connection, asset_id: str) -> None:
        try:
            asset = await assets.lock(conn, asset_id)
        except AssetNotFound:
            return
        if asset.status == "uploading":
            return
        replay = await replays.latest(conn, asset_id)
        flow = Flow(settings_for(self.settings, replay.params)) if replay else self
        await flow.plan(conn, asset, since=replay.created_at if replay else None)

    async def plan(self, conn: Connection, asset: Asset, *, since: datetime | None) -> None:
        """Add what is missing under these settings; what failed before `since` is tried again."""
        asset_id = asset.asset_id
        past = {(run.stage, run.chunk): run for run in await runs.of_asset(conn, asset_id) if not run.subject}
        for step in ("probe", "plan", "media", "finish", "highlights"):
            wanted = self._wanted(step, asset, past)
            if failed := next(
                (run for run in map(past.get, map(_place, wanted)) if run and _failed(run, wanted, since)), None
            ):
                if step == "highlights":
                    break  # the recording plays and is found without them
                await self._give_up(conn, asset, failed)
                return
            missing = [new for new in wanted if not _done(past.get(_place(new)), new)]
            if missing:
                await (self._begin if step == "probe" else self._begin_within_quota)(conn, asset, missing, past)
                return
        if asset.status != "ready":
            await assets.mark_ready(conn, asset_id)
            if asset.duration_ms is None:
                await usage.measure(conn, asset_id)

    async def _begin(
        self, conn: Connection, asset: Asset, missing: Sequence[NewRun], past: dict[tuple[str, int | None], StageRun]
    ) -> None:
        stale = [run for run in past.values() if run.state in ("queued", "running") and not _is_among(run, missing)]
        if stale:  # the original or a setting has changed under them
            await runs.cancel_runs(conn, [run.run_id for run in stale])
        if asset.status != "processing":
            await assets.begin_processing(conn, asset.asset_id, asset.digest or "")
        await enqueue(conn, _together(missing, past))

    async def _begin_within_quota(
        self, conn: Connection, asset: Asset, missing: Sequence[NewRun], past: dict[tuple[str, int | None], StageRun]
    ) -> None:
        """Begin, or fail the asset for now. The account is locked last: beginning may lock what others hold."""
        try:
            async with conn.transaction():
                await self._begin(conn, asset, missing, past)
                await self._take_on(conn, asset)
        except QuotaExceeded as error:
            await assets.mark_failed(conn, asset.asset_id, code=error.code, message=error.message)

    async def _take_on(self, conn: Connection, asset: Asset) -> None:
        """Count the asset's minutes, once for the same bytes.

        Raises:
            QuotaExceeded: they do not fit.
        """
        digest = asset.digest or ""
        if asset.kind == "image" or await usage.is_taken_on(conn, asset.asset_id, digest):
            return
        quotas = Quotas(read_plans(self.settings.plans))
        async with quotas.within(conn, asset.owner, asset.team) as room:
            if asset.duration_ms is None:  # no header tells it: measured when it was processed
                room.require(Resource.MINUTES_PER_MONTH)
            account = Account(asset.owner, asset.team)
            await usage.take_on(conn, account, asset.asset_id, digest, asset.duration_ms or 0)

    async def _give_up(self, conn: Connection, asset: Asset, failed: StageRun) -> None:
        message = failed.error_message or f"the stage {failed.stage} failed"
        await assets.mark_failed(conn, asset.asset_id, code=failed.error_code or "error", message=message)
        await runs.cancel(conn, asset.asset_id)

    def _wanted(self, step: str, asset: Asset, past: dict[tuple[str, int | None], StageRun]) -> list[NewRun]:
        if step == "probe":
            return [self._new(asset, "probe", inputs=[asset.digest])]
        probe = _outputs(past, "probe")
        if probe.get("kind") == "image":
            return [self._picture_run(asset, probe)] if step == "media" else []
        if step == "plan":
            seconds = self.settings.chunk_seconds
            return [self._new(asset, "plan", inputs=[asset.digest, probe, seconds], params={"chunk_seconds": seconds})]
        plan = _outputs(past, "plan")
        media = self._media_runs(asset, probe, plan)
        reading = self._ocr_runs(asset, probe, plan)
        if step == "media":
            return media + reading
        proxy = self.settings.progressive_proxy
        inputs = [[new.inputs_digest for new in media], proxy]
        finish = [self._new(asset, "assemble", inputs=inputs, params={"proxy": proxy})]
        if plan.get("chunks"):
            read: list[Any] = [new.inputs_digest for new in reading]
            finish.append(self._new(asset, "text", inputs=read, params={"chunks": len(reading)}))
        return finish if step == "finish" else self._highlight_runs(asset, finish)

    def _highlight_runs(self, asset: Asset, finish: Sequence[NewRun]) -> list[NewRun]:
        settings = self.settings
        if settings.highlights == "off" or "highlights" not in settings.layout.templates:
            return []
        params = {
            "detector": settings.highlights,
            "count": settings.highlight_count,
            "seconds": list(settings.highlight_seconds),
        }
        inputs = [[new.inputs_digest for new in finish], params]
        return [self._new(asset, "highlights", inputs=inputs, params=params)]

    def _picture_run(self, asset: Asset, probe: dict[str, Any]) -> NewRun:
        options = _plain(replace(read, frames_per_second=0) if (read := ocr_options(self.settings)) else None)
        return self._new(asset, "picture", inputs=[asset.digest, probe, options], params={"ocr": options})

    def _media_runs(self, asset: Asset, probe: dict[str, Any], plan: dict[str, Any]) -> list[NewRun]:
        sides = self.settings.rendition_sides
        inputs = [asset.digest, probe, sides]
        found = [
            self._new(asset, "chunk", inputs=[*inputs, chunk], chunk=chunk["index"], params={**chunk, "sides": sides})
            for chunk in plan.get("chunks", [])
        ]
        if probe.get("audio"):  # behind both halves of the first minute, so that it can be searched soonest
            found.insert(2, self._new(asset, "audio", inputs=[asset.digest, probe]))
        return found

    def _ocr_runs(self, asset: Asset, probe: dict[str, Any], plan: dict[str, Any]) -> list[NewRun]:
        options = ocr_options(self.settings)
        if options is None:
            return []
        made = []
        for chunk in plan.get("chunks", []):
            # What decides which pictures there are at which times: frames that are kept are kept for all who read it.
            seen = [asset.digest, probe.get("video"), _bounds(chunk), options.frames_per_second]
            timeline_id = digest_of("timeline", *seen)[:TIMELINE_DIGITS]
            params = {"chunk": chunk, "ocr": _plain(options), "timeline_id": timeline_id}
            inputs = [timeline_id, _plain(options)]
            made.append(self._new(asset, "ocr", inputs=inputs, chunk=chunk["index"], params=params))
        return made

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


def _together(missing: Sequence[NewRun], past: dict[tuple[str, int | None], StageRun]) -> list[NewRun]:
    """Return the runs to be queued: one for a chunk that is to be both encoded and read."""
    reading = {new.chunk: new for new in missing if new.stage == "ocr" and not _is_active(past.get(_place(new)))}
    encoded = {new.chunk for new in missing if new.stage == "chunk"}
    return [
        replace(new, params={**new.params, "read": _as_guest(reading[new.chunk])})
        if new.stage == "chunk" and new.chunk in reading
        else new
        for new in missing
        if new.stage != "ocr" or new.chunk not in encoded
    ]


def _as_guest(new: NewRun) -> dict[str, Any]:
    """Return what `chunk` must know of the run of `ocr` whose work it does."""
    return {"inputs_digest": new.inputs_digest, "params": new.params}


def _is_active(run: StageRun | None) -> bool:
    return run is not None and run.state in ("queued", "running")


def _bounds(chunk: dict[str, Any]) -> list[Any]:
    return [chunk.get(name) for name in ("index", "start_us", "end_us", "start_pts", "end_pts")]


def _plain(options: OcrOptions | None) -> dict[str, Any] | None:
    return options.to_json() if options else None


def _place(run: NewRun) -> tuple[str, int | None]:
    return run.stage, run.chunk


def _done(run: StageRun | None, new: NewRun) -> bool:
    return run is not None and run.state == "done" and run.inputs_digest == new.inputs_digest


def _failed(run: StageRun, wanted: Sequence[NewRun], since: datetime | None) -> bool:
    forgiven = since is not None and run.finished_at is not None and run.finished_at < since
    return run.state == "failed" and not forgiven and _is_among(run, wanted)


def _is_among(run: StageRun, wanted: Sequence[NewRun]) -> bool:
    return any((run.stage, run.chunk, run.inputs_digest) == (new.stage, new.chunk, new.inputs_digest) for new in wanted)


def _outputs(past: dict[tuple[str, int | None], StageRun], stage: str) -> dict[str, Any]:
    return past[stage, None].outputs or {}


def digest_of(*parts: Any) -> str:
    """Return a digest of JSON values: equal digests mean equal inputs, versions and parameters."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
