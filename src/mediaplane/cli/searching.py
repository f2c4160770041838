"""`search`: ranked moments for words."""

from typing import Any

import typer

from mediaplane.cli.output import console, notes, print_json, span
from mediaplane.cli.session import with_plane
from mediaplane.media.timecodes import parse_timecode
from mediaplane.search import moments
from mediaplane.search.moments import Hit
from mediaplane.wiring import Plane


def search(
    query: list[str] = typer.Argument(
        help='Words; "a phrase"; -not; begin*; #tag; @name; url:example.com; number:49.99', metavar="QUERY"
    ),
    asset: str = typer.Option("", "--asset", help="Only in this asset"),
    after: str = typer.Option("", "--after", help="Only from this time of the asset on, e.g. 1:30"),
    before: str = typer.Option("", "--before", help="Only up to this time of the asset"),
    limit: int = typer.Option(10, "--limit", min=1, max=100, help="Hits on a page"),
    page: str = typer.Option("", "--page", help="The `next` of the page before"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Find the moments in which words can be read or heard. A query that begins with - goes behind `--`."""

    async def find(plane: Plane) -> dict[str, Any]:
        async with plane.pool.connection() as conn:
            found = await moments.search(
                conn,
                " ".join(query),
                owner=plane.settings.owner,
                asset_id=asset or None,
                after_ms=parse_timecode(after) if after else None,
                before_ms=parse_timecode(before) if before else None,
                limit=limit,
                page=page or None,
            )
        return {
            "hits": [hit_document(plane, hit) for hit in found.hits],
            "next": found.next,
            "corrections": found.corrections,
        }

    answer = with_plane(find)
    if as_json:
        print_json(answer)
    else:
        _print_hits(answer)


def hit_document(plane: Plane, hit: Hit) -> dict[str, Any]:
    """Return a hit as programs get it."""
    return {
        "asset_id": hit.asset_id,
        "t_start_ms": hit.t_start_ms,
        "t_end_ms": hit.t_end_ms,
        "text": hit.text,
        "score": hit.score,
        "frame_url": plane.frame_url(hit.asset_id, hit.frame_ms),
        "playback_url": plane.playback_url(hit.asset_id, start_ms=hit.t_start_ms),
    }


def _print_hits(answer: dict[str, Any]) -> None:
    for wrong, right in answer["corrections"].items():
        notes.print(f"no {wrong!r} anywhere; searched for {right!r}", style="yellow")
    if not answer["hits"]:
        console.print("nothing found")
        return
    for hit in answer["hits"]:
        when = span(hit["t_start_ms"], hit["t_end_ms"])
        console.print(f"[bold]{when}[/bold]  {hit['asset_id']}  score {hit['score']:.2f}")
        console.print(f"  {hit['text']}", markup=False)
    if answer["next"]:
        notes.print(f"more: --page {answer['next']}")
