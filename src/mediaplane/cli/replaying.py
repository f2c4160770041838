"""`replay`: work on an asset once more; only what depends on a change is done again."""

from typing import Any

import typer

from mediaplane.catalog import assets, runs
from mediaplane.catalog.runs import StageRun
from mediaplane.cli.following import follow
from mediaplane.cli.output import console, notes, print_json
from mediaplane.cli.session import with_plane
from mediaplane.errors import MediaplaneError
from mediaplane.wiring import Plane


def replay(
    asset_id: str = typer.Argument(help="Id of the asset, as `mediaplane ls` prints it", metavar="ASSET"),
    stage: str = typer.Option(
        ..., "--stage", help="The stage to change: plan, chunk, ocr, assemble, or picture of a still image"
    ),
    changes: list[str] = typer.Option(
        [], "--set", help="A parameter of the stage, e.g. languages=eng,deu; may be given again", metavar="NAME=VALUE"
    ),
    no_wait: bool = typer.Option(False, "--no-wait", help="Come back at once instead of when all is done"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Work on an asset again with other parameters: what does not depend on them is reused, what failed is tried again.

    The parameters hold for this asset from now on.
    """
    from mediaplane.pipeline.replays import begin_replay  # with it comes PgQueuer, which is slow to import

    given = _read(changes)

    async def work(plane: Plane) -> dict[str, Any]:
        async with plane.pool.connection() as conn:
            begun = await begin_replay(conn, plane.flow, asset_id, stage=stage, given=given, owner=plane.settings.owner)
        status = "processing" if no_wait and begun.begun else await _wait(plane, asset_id)
        async with plane.pool.connection() as conn:
            latest = [run for run in await runs.of_asset(conn, asset_id) if not run.subject]
        return {
            "asset_id": asset_id,
            "replay_id": begun.replay.replay_id,
            "status": status,
            "done_again": [_entry(run) for run in latest if not begun.replay.reused(run)],
            "reused": [_entry(run) for run in latest if begun.replay.reused(run)],
        }

    document = with_plane(work)
    if as_json:
        print_json(document)
        return
    console.print(f"{asset_id} is {document['status']}")
    console.print(f"done again: {_list(document['done_again']) or 'nothing: no stage depends on a change'}")
    console.print(f"reused: {_list(document['reused']) or 'nothing'}")


def _read(changes: list[str]) -> dict[str, str]:
    given = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--set takes NAME=VALUE, as in languages=eng,deu, not {change!r}")
        given[name.strip()] = value.strip()
    return given


async def _wait(plane: Plane, asset_id: str) -> str:
    with notes.status("working …"):
        asset = await follow(plane.pool, lambda conn: assets.get(conn, asset_id), again=f"mediaplane show {asset_id}")
    if asset.status == "failed":
        raise MediaplaneError(f"the replay failed: {asset.error_message}")
    return asset.status


def _entry(run: StageRun) -> dict[str, Any]:
    return {"stage": run.stage, "chunk": run.chunk, "run_id": run.run_id}


def _list(entries: list[dict[str, Any]]) -> str:
    """Return `probe, plan, chunk 0-3`: chunks of a stage that follow each other as one."""
    stages: dict[str, list[int]] = {}
    for entry in entries:
        stages.setdefault(entry["stage"], []).extend([] if entry["chunk"] is None else [entry["chunk"]])
    return ", ".join(f"{stage} {_span(sorted(chunks))}".strip() for stage, chunks in stages.items())


def _span(chunks: list[int]) -> str:
    if not chunks:
        return ""
    whole = chunks == list(range(chunks[0], chunks[-1] + 1))
    return f"{chunks[0]}-{chunks[-1]}" if whole and len(chunks) > 1 else " ".join(map(str, chunks))
