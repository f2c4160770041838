"""`ls`, `show`, `url`, `rm`: assets and their objects."""

from dataclasses import asdict
from typing import Any

import typer

from mediaplane.catalog import assets, audit, clips, objects, outbox, playback, runs, segments
from mediaplane.catalog.assets import Asset
from mediaplane.cli.output import console, print_json, print_table, size, span
from mediaplane.cli.session import operator, with_plane
from mediaplane.media.keys import ObjectKey
from mediaplane.media.timecodes import format_timecode, parse_timecode
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


def show(asset_id: str = ASSET, as_json: bool = JSON) -> None:
    """Show an asset: what it is, its objects with sizes, its stages, its clips."""
    document = with_plane(lambda plane: describe_asset(plane, asset_id))
    if as_json:
        print_json(document)
        return
    _print_asset(document)


def url(
    asset_id: str = ASSET,
    at: str = typer.Option("0", "--at", help="Play from this time, e.g. 1:23 or 83.5"),
    role: str = typer.Option(
        "", "--role", help="URL of the asset's object in this role instead: original, poster, proxy"
    ),
    as_json: bool = JSON,
) -> None:
    """Print a URL that plays the asset in any HLS player, or that gives one of its objects."""
    start_ms = parse_timecode(at)

    async def read(plane: Plane) -> str:
        async with plane.pool.connection() as conn:
            await assets.get(conn, asset_id, plane.settings.owner)
            if not role:
                return plane.playback_url(asset_id, start_ms=start_ms)
            found = await objects.of_asset(conn, asset_id, role)
        if not found:
            raise typer.BadParameter(f"{asset_id} has no {role}: `mediaplane show {asset_id}` lists its roles")
        return plane.stores[found[0].store].signer.sign_get(ObjectKey(found[0].key))

    link = with_plane(read)
    if as_json:
        print_json({"asset_id": asset_id, "url": link})
    else:
        print(link)


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
        document["stages"] = [
            {
                "stage": run.stage,
                "chunk": run.chunk,
                "state": run.state,
                "attempt": run.attempt,
                "worker": run.worker,
                "seconds": (run.finished_at - run.started_at).total_seconds()
                if run.finished_at and run.started_at
                else None,
                "error": run.error_message,
            }
            for run in await runs.of_asset(conn, asset_id)
        ]
        document["clips"] = [asdict(clip) for clip in await clips.of_asset(conn, asset_id)]
    return document


def _asset_document(asset: Asset) -> dict[str, Any]:
    document = asdict(asset)
    document["error"] = {"code": asset.error_code, "message": asset.error_message} if asset.error_code else None
    for name in ("error_code", "error_message"):
        del document[name]
    return document


def _print_asset(document: dict[str, Any]) -> None:
    console.print(f"[bold]{document['asset_id']}[/bold]  {document['title']}  {document['status']}")
    if document["error"]:
        console.print(f"failed: {document['error']['message']} ({document['error']['code']})", style="red")
    if document["duration_ms"] is not None:
        picture = f", {document['width']} × {document['height']}" if document["width"] else ""
        console.print(f"{document['kind']}, {format_timecode(document['duration_ms'])}{picture}")
    if document["media_url"]:
        console.print(document["media_url"])
    console.print(f"{document['segments']} segments of text\n")
    rows = [
        (entry["role"], entry["objects"], size(entry["size_bytes"]), entry["first_key"])
        for entry in document["objects"]
    ]
    print_table(("role", "objects", "size", "first key"), rows, numeric=("objects", "size"))
    console.print()
    stages = [
        (run["stage"], run["chunk"], run["state"], _seconds(run["seconds"]), run["worker"], run["error"])
        for run in document["stages"]
    ]
    print_table(("stage", "chunk", "state", "took", "worker", "error"), stages, numeric=("chunk", "took"))
    for clip in document["clips"]:
        console.print(f"clip {clip['clip_id']}  {span(clip['t_start_ms'], clip['t_end_ms'])}  {clip['status']}")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _length(asset: Asset) -> str:
    return "" if asset.duration_ms is None else format_timecode(asset.duration_ms)
