"""`url`: URLs that play assets, or give what they have."""

from collections.abc import Sequence
from typing import Any

import typer

from mediaplane.access.downloads import NOTHING, Issued, Urls
from mediaplane.catalog import downloads
from mediaplane.catalog.downloads import PLAYBACK, Wish
from mediaplane.cli.output import notes, print_json
from mediaplane.cli.session import with_plane
from mediaplane.media.timecodes import parse_timecode
from mediaplane.wiring import Plane


def url(
    asset_ids: list[str] = typer.Argument(help="Ids of assets, as `mediaplane ls` prints them", metavar="ASSET"),
    at: str = typer.Option("0", "--at", help="Play from this time, e.g. 1:23 or 83.5"),
    role: str = typer.Option(
        PLAYBACK, "--role", help="What of the asset: original, proxy, poster, frame, clip, transcript; playback for HLS"
    ),
    name: str = typer.Option(
        "", "--name", help="Which of several: the end of its key, e.g. 1500.jpg; of a transcript vtt, srt, txt or json"
    ),
    download: bool = typer.Option(False, "--download", help="Browsers save what is behind it instead of showing it"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Print URLs that play assets in any HLS player, or that give one of their objects; a line each."""
    start_ms = parse_timecode(at)
    wishes = [Wish(asset_id, role, name) for asset_id in asset_ids]
    found = with_plane(lambda plane: _issue(plane, wishes, download=download, start_ms=start_ms))
    missing = [asset_id for asset_id, issued in zip(asset_ids, found, strict=True) if issued.url is None]
    if as_json:
        documents = [_document(asset_id, issued) for asset_id, issued in zip(asset_ids, found, strict=True)]
        if len(documents) > 1 or not missing:
            print_json(documents[0] if len(documents) == 1 else {"urls": documents})
    else:
        for issued in found:
            if issued.url:
                print(issued.url)
    if missing:
        what = f"{role} {name}".strip()
        notes.print(f"there is no {what} of {', '.join(missing)}: `mediaplane show ASSET` lists what there is")
        raise typer.Exit(1)


async def _issue(plane: Plane, wishes: Sequence[Wish], *, download: bool, start_ms: int) -> list[Issued]:
    """Return a URL for each wish for what this process's owner has."""
    async with plane.pool.connection() as conn:
        rows = await downloads.find(conn, wishes, plane.settings.owner, None)
    there = list(rows.items())
    maker = Urls(plane.stores, plane.settings.public_url, plane.tokens.make_token)
    issued = dict(zip(rows, maker.issue(there, download=download, start_ms=start_ms), strict=True))
    return [issued.get(wish, NOTHING) for wish in wishes]


def _document(asset_id: str, issued: Issued) -> dict[str, Any]:
    return {
        "asset_id": asset_id,
        "url": issued.url,
        "content_type": issued.content_type,
        "size_bytes": issued.size_bytes,
        "filename": issued.filename,
        "expires_at": issued.expires_at,
    }
