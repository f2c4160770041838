"""`clip`: cut a piece out of an asset."""

import shutil
from pathlib import Path
from typing import Any

import typer

from mediaplane.catalog import clips
from mediaplane.catalog.clips import Clip
from mediaplane.cli.following import follow
from mediaplane.cli.output import console, notes, print_json, size, span
from mediaplane.cli.session import open_url, with_plane
from mediaplane.errors import MediaplaneError
from mediaplane.media.clip_names import PLAIN_STYLE
from mediaplane.media.keys import ObjectKey
from mediaplane.media.timecodes import parse_timecode
from mediaplane.settings import Settings, load_settings
from mediaplane.wiring import Plane


def clip(
    asset_id: str = typer.Argument(help="Id of the asset", metavar="ASSET"),
    start: str = typer.Argument(help="First moment, e.g. 1:23.5", metavar="START"),
    end: str = typer.Argument(help="Last moment", metavar="END"),
    exact: bool = typer.Option(False, "--exact", help="Re-encode to the exact frame instead of copying the stream"),
    title: str = typer.Option("", "--title", help="What it is called; part of its key where the layout has titles"),
    style: str = typer.Option(PLAIN_STYLE, "--style", help="How it is cut, e.g. vertical (CLIP_STYLES)"),
    padding_ms: int = typer.Option(-1, "--padding-ms", help="Added on both sides; the profile's where not given"),
    output: str = typer.Option("", "--output", "-o", help="Also write the clip to this file"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Cut a piece out of an asset; the same piece asked for twice is made once."""
    from mediaplane.pipeline.clips import Named, request_clip  # with it comes PgQueuer, which is slow to import

    start_ms, end_ms = parse_timecode(start), parse_timecode(end)

    async def cut(plane: Plane) -> dict[str, Any]:
        padding = plane.settings.clip_padding_ms if padding_ms < 0 else padding_ms
        async with plane.pool.connection() as conn:
            asked = await request_clip(
                conn,
                plane.settings,
                asset_id,
                start_ms=start_ms,
                end_ms=end_ms,
                mode="exact" if exact else "fast",
                padding_ms=padding,
                named=Named(title, style),
                owner=plane.settings.owner,
            )
        made = await _wait(plane, asked)
        assert made.store and made.key
        link = plane.stores[made.store].signer.sign_get(ObjectKey(made.key))
        return {
            "clip_id": made.clip_id,
            "asset_id": asset_id,
            "t_start_ms": made.t_start_ms,
            "t_end_ms": made.t_end_ms,
            "mode": made.mode,
            "style": made.style,
            "title": made.title,
            "expires_at": made.expires_at,
            "url": link,
        }

    answer = with_plane(cut)
    if output:
        answer["file"] = output
        answer["size_bytes"] = _download(answer["url"], Path(output), load_settings())
    if as_json:
        print_json(answer)
        return
    when = span(answer["t_start_ms"], answer["t_end_ms"])
    console.print(f"clip {answer['clip_id']}  {when}, until {answer['expires_at']:%Y-%m-%d}")
    print(answer["url"])
    if output:
        console.print(f"{output}: {size(answer['size_bytes'])}")


async def _wait(plane: Plane, asked: Clip) -> Clip:
    with notes.status("cutting …"):
        made = await follow(
            plane.pool, lambda conn: clips.get(conn, asked.clip_id), again="run the command again", poll_seconds=0.2
        )
    if made.status == "failed":
        raise MediaplaneError(f"the clip could not be made: {made.error_message}")
    return made


def _download(url: str, path: Path, settings: Settings) -> int:
    """Write the clip under a temporary name first, so that a file of the given name is always whole."""
    partial = path.with_name(path.name + ".part")
    with open_url(url, settings, timeout_seconds=60) as answer, partial.open("wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
    partial.replace(path)
    return path.stat().st_size
