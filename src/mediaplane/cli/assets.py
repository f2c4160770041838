"""`ls`, `show`, `url`, `rm`: assets and their objects."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from mediaplane.catalog import assets, audit, clips, objects, outbox, playback, replays, runs, segments
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.replays import Replay
from mediaplane.catalog.runs import StageRun
from mediaplane.cli.looking import read_material, read_spans
from mediaplane.cli.output import console, notes, print_json, print_table, size, span
from mediaplane.cli.page import Material, render_page
from mediaplane.cli.session import operator, with_plane
from mediaplane.cli.timeline import Span, draw_timeline
from mediaplane.media.timecodes import format_timecode
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
ASSET = typer.Argument(help="Id of the asset, as `mediaplane ls` prints it", metavar="ASSET")


def ls(
    status: str = typer.Option("", "--status", help="Only uploading, processing, ready or failed ones"),
    limit: int = typer.Option(50, "--limit", min=1, max=1000, help="How many"),
    as_json: bool = JSON,
) -> None:
    """List assets, newest first."""

    async def read(plane: Plane) -> list[Asset]:
        async with plane.pool.connection() as conn:
            return await assets.page(conn, owner=plane.settings.owner, status=status or None, limit=limit)

    found = with_plane(read)
    if as_json:
        print_json({"assets": [_asset_document(asset) for asset in found]})
        return
    if not found:
        console.print("no assets yet: put one in with `mediaplane ingest FILE`")
        return
    rows = [
        (asset.asset_id, asset.status, _length(asset), asset.title, asset.created_at.strftime("%Y-%m-%d %H:%M"))
        for asset in found
    ]
    print_table(("asset", "status", "length", "title", "created (UTC)"), rows, numeric=("length",))


def show(
    asset_id: str = ASSET,
    html: Path | None = typer.Option(
        None, "--html", help="Write one page with its pictures, its text over time and the stages' timings to this file"
    ),
    as_json: bool = JSON,
) -> None:
    """Show an asset: what it is, its text over time, its objects with sizes, its stages, its clips."""

    async def read(plane: Plane) -> tuple[dict[str, Any], list[Span], Material | None]:
        document = await describe_asset(plane, asset_id)
        if as_json and not html:
            return document, [], None
        return document, await read_spans(plane, asset_id), await read_material(plane, document) if html else None

    document, spans, material = with_plane(read)
    if html and material:
        html.write_text(render_page(material))
        notes.print(f"written: {html}")
    if as_json:
        print_json(document)
    elif not html:
        _print_asset(document, spans)


def rm(asset_ids: list[str] = typer.Argument(help="Ids of assets", metavar="ASSET...")) -> None:
    """Delete assets: the rows at once, the bytes right behind them."""

    async def remove(plane: Plane) -> int:
        async with plane.pool.connection() as conn:
            await audit.act_as(conn, operator())
            for asset_id in asset_ids:
                await assets.delete(conn, asset_id, owner=plane.settings.owner)
            return (await outbox.waiting(conn)).keys

    waiting = with_plane(remove)
    console.print(f"{len(asset_ids)} deleted; a worker is removing the bytes of {waiting} objects")


async def describe_asset(plane: Plane, asset_id: str) -> dict[str, Any]:
    """Return everything `show` tells, as one JSON document."""
    async with plane.pool.connection() as conn:
        asset = await assets.get(conn, asset_id, plane.settings.owner)
        document = _asset_document(asset)
        document["objects"] = [asdict(entry) for entry in await objects.summary(conn, asset_id)]
        originals = await objects.of_asset(conn, asset_id, "original")
        document["media_url"] = next((plane.media_url(row) for row in originals if row.state == "stored"), None)
        document["renditions"] = [asdict(entry) for entry in await playback.renditions(conn, asset_id)]
        document["segments"] = len(await segments.of_asset(conn, asset_id))
        replay = await replays.latest(conn, asset_id)
        document["replay"] = asdict(replay) if replay else None
        document["stages"] = [_stage_document(run, replay) for run in await runs.of_asset(conn, asset_id)]
        document["clips"] = [asdict(clip) for clip in await clips.of_asset(conn, asset_id)]
    return document


def _stage_document(run: StageRun, replay: Replay | None) -> dict[str, Any]:
    took = run.finished_at - run.started_at if run.finished_at and run.started_at else None
    reused = replay is not None and replay.reused(run)
    return {
        "run_id": run.run_id,
        "stage": run.stage,
        "chunk": run.chunk,
        "state": run.state,
        "attempt": run.attempt,
        "worker": run.worker,
        "seconds": took.total_seconds() if took else None,
        "finished_at": run.finished_at,
        "reused": reused,  # by the latest replay, or when the same bytes were ingested again
        "reused_from": run.run_id if reused else None,
        "with_run": (run.outputs or {}).get("with_run"),  # done in the same decode
        "timeline_id": run.params.get("timeline_id"),
        "error": run.error_message,
    }


def _asset_document(asset: Asset) -> dict[str, Any]:
    document = asdict(asset)
    document["error"] = {"code": asset.error_code, "message": asset.error_message} if asset.error_code else None
    for name in ("error_code", "error_message"):
        del document[name]
    return document


def _print_asset(document: dict[str, Any], spans: list[Span]) -> None:
    console.print(f"[bold]{document['asset_id']}[/bold]  {document['title']}  {document['status']}")
    if document["error"]:
        console.print(f"failed: {document['error']['message']} ({document['error']['code']})", style="red")
    if document["duration_ms"] is not None:
        picture = f", {document['width']} × {document['height']}" if document["width"] else ""
        console.print(f"{document['kind']}, {format_timecode(document['duration_ms'])}{picture}")
    if document["media_url"]:
        console.print(document["media_url"])
    console.print(f"{document['segments']} segments of text\n")
    for line in draw_timeline(spans, document["duration_ms"] or 0):
        console.print(line, markup=False)
    console.print()
    rows = [
        (entry["role"], entry["objects"], size(entry["size_bytes"]), entry["first_key"])
        for entry in document["objects"]
    ]
    print_table(("role", "objects", "size", "first key"), rows, numeric=("objects", "size"))
    console.print()
    stages = [
        (run["stage"], run["chunk"], run["state"], _took(run), _origin(run), run["worker"], run["error"])
        for run in document["stages"]
    ]
    if replay := document["replay"]:
        changed = ", ".join(f"{name}={value}" for name, value in replay["params"].items())
        again = "worked on again" if replay["cause"] == "replay" else "the same bytes came again"
        console.print(f"{again} {replay['created_at']:%Y-%m-%d %H:%M} {f'({changed})' if changed else ''}".rstrip())
    print_table(("stage", "chunk", "state", "took", "reused", "worker", "error"), stages, numeric=("chunk", "took"))
    for clip in document["clips"]:
        console.print(f"clip {clip['clip_id']}  {span(clip['t_start_ms'], clip['t_end_ms'])}  {clip['status']}")


def _took(run: dict[str, Any]) -> str:
    if run["with_run"]:
        return "with chunk"
    return "" if run["seconds"] is None else f"{run['seconds']:.1f} s"


def _origin(run: dict[str, Any]) -> str:
    """Return which run's work was used again."""
    return f"from {run['reused_from'][:8]}, {run['finished_at']:%m-%d %H:%M}" if run["reused"] else ""


def _length(asset: Asset) -> str:
    return "" if asset.duration_ms is None else format_timecode(asset.duration_ms)
