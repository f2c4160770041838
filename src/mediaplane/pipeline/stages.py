"""The stages by name, each wrapped so that its log reaches the bucket."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mediaplane.catalog.runs import StageRun
from mediaplane.errors import AssetNotFound, MediaplaneError
from mediaplane.jobs.ending import as_ours
from mediaplane.jobs.stage import Outcome, Stage, Work
from mediaplane.logs import Logger
from mediaplane.pipeline import assemble, audio, chunk, clip, highlights, ocr, picture, plan, probe, text
from mediaplane.pipeline.context import StageContext, Written
from mediaplane.postgres import Connection

log = Logger(__name__)


def all_stages(context: StageContext) -> Mapping[str, Stage]:
    """Return every stage by name, ready for the worker."""
    found = {
        "probe": probe.run,
        "plan": plan.run,
        "chunk": chunk.run,
        "audio": audio.run,
        "ocr": ocr.run,
        "text": text.run,
        "assemble": assemble.run,
        "picture": picture.run,
        "highlights": highlights.run,
        "clip": clip.run,
    }
    return {name: _with_log(context, run) for name, run in found.items()}


def _with_log(context: StageContext, run: Any) -> Stage:
    async def logged(work: Work) -> Outcome:
        started_at = datetime.now(UTC)
        with context.work_dir(work.run) as directory:
            try:
                outcome: Outcome = await run(context, work, directory)
            except Exception as error:
                await _keep_failure(context, work.run, directory, started_at, error)
                raise
            written = await _write_log(context, work.run, directory, _entry(work.run, started_at, outcome.outputs))

        async def commit(conn: Connection) -> None:
            if outcome.commit:
                await outcome.commit(conn)
            await written.settle(conn, work.run.asset_id)

        return Outcome(outputs=outcome.outputs, commit=commit)

    return logged


async def _keep_failure(
    context: StageContext, run: StageRun, directory: Path, started_at: datetime, error: Exception
) -> None:
    """Write the log of a run that failed; the failure itself matters more than its log."""
    code = error.code if isinstance(error, MediaplaneError) else type(error).__name__
    entry = _entry(run, started_at, None) | {"error": {"code": code, "message": str(error)}}
    try:
        written = await _write_log(context, run, directory, entry)
        async with context.pool.connection() as conn:
            await written.settle(conn, run.asset_id)
    except (MediaplaneError, ExceptionGroup, OSError) as second:
        if not isinstance(second, AssetNotFound):
            log.warning("run_log_not_written", run=run.run_id, error=as_ours(second, run).message)


async def _write_log(context: StageContext, run: StageRun, directory: Path, entry: dict[str, Any]) -> Written:
    path = directory / "run-log.json"
    path.write_text(json.dumps(entry, default=str, indent=1))
    key = context.key(run, "log", job_id=run.run_id)
    return await context.write(run, "log", [(key, path)], content_type="application/json")


def _entry(run: StageRun, started_at: datetime, outputs: dict[str, Any] | None) -> dict[str, Any]:
    about = {name: value for name, value in asdict(run).items() if name in _LOGGED}
    return {**about, "started_at": started_at, "finished_at": datetime.now(UTC), "outputs": outputs}


_LOGGED = ("run_id", "asset_id", "stage", "chunk", "subject", "params", "inputs_digest", "attempt", "worker")
