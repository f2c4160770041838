"""`highlights`: show which moments are worth a clip, write others, and cut them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from mediaplane.catalog import assets, progress
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.clips import Clip
from mediaplane.cli.output import console, print_json, print_table, span
from mediaplane.cli.session import with_plane
from mediaplane.errors import HighlightsNotFound
from mediaplane.jobs.highlights import Condition
from mediaplane.media.highlights import Highlights, check, read_file
from mediaplane.wiring import Plane


def highlights(
    asset_id: str = typer.Argument(help="Id of the asset", metavar="ASSET"),
    file: Path = typer.Option(None, "--set", help="Store this highlights.json instead of what is there", exists=True),
    cut: bool = typer.Option(False, "--cut", help="Make a clip of each"),
    number: list[int] = typer.Option([], "--number", "-n", help="With --cut: of this one only, may be given again"),
    style: str = typer.Option("", "--style", help="With --cut: all in this style, e.g. vertical"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Show an asset's highlights, store others, or cut clips of them."""
    if (number or style) and not cut:
        raise typer.BadParameter("they say what is cut: give --cut too", param_hint="--number and --style")

    async def work(plane: Plane) -> tuple[Highlights, list[Clip]]:
        async with plane.pool.connection() as conn:
            asset = await assets.get(conn, asset_id, plane.settings.owner)
        found = await (_write(plane, asset, file) if file else _read(plane, asset))
        return found, await _cut(plane, asset_id, found, number, style) if cut else []

    found, made = with_plane(work)
    if as_json:
        print_json({**asdict(found), "clips": [asdict(clip) for clip in made]})
        return
    if not found.moments:
        console.print("nothing stands out")
    rows = [
        (at, span(one.start_ms, one.end_ms), f"{one.score:.2f}", one.style, one.title, "; ".join(one.reasons))
        for at, one in enumerate(found.moments, start=1)
    ]
    print_table(("n", "when", "score", "style", "title", "why"), rows, numeric=("n", "score"))
    for clip in made:
        console.print(f"clip {clip.clip_id}  {clip.highlight:02d}_{clip.version:02d}  {clip.style}  {clip.status}")


async def _read(plane: Plane, asset: Asset) -> Highlights:
    content = await plane.highlights_file(plane.pool.connection).read(asset.asset_id)
    if content is not None:
        return read_file(content.content, asset_id=asset.asset_id, duration_ms=asset.duration_ms or 0)
    if asset.status in ("uploading", "processing"):
        async with plane.pool.connection() as conn:
            raise await progress.not_ready(conn, asset, "asked for highlights")
    raise HighlightsNotFound(asset.asset_id)


async def _write(plane: Plane, asset: Asset, path: Path) -> Highlights:
    """Replace what is there: who works on the database directly has seen it."""
    length_ms = asset.duration_ms or 0
    given = read_file(path.read_bytes(), asset_id=asset.asset_id, duration_ms=length_ms)
    moments: list[Any] = [asdict(moment) for moment in given.moments]
    found = check(asset.asset_id, length_ms, moments)
    file = plane.highlights_file(plane.pool.connection)
    there = await file.read(asset.asset_id)
    await file.write(asset, found.to_bytes(), Condition(there.etag if there else None))
    return found


async def _cut(plane: Plane, asset_id: str, found: Highlights, numbers: list[int], style: str) -> list[Clip]:
    from mediaplane.pipeline.clips import request_highlight_clips  # with it comes PgQueuer, which is slow to import

    async with plane.pool.connection() as conn:
        return await request_highlight_clips(
            conn,
            plane.settings,
            asset_id,
            found,
            numbers=numbers or None,
            style=style or None,
            owner=plane.settings.owner,
        )
