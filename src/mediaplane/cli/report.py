"""How each file of an ingest ended, as a table in Markdown."""

from collections.abc import Sequence
from typing import Any

from mediaplane.catalog import playback, segments
from mediaplane.catalog.assets import Asset
from mediaplane.media.timecodes import format_timecode
from mediaplane.postgres import Connection

HEADS = ("file", "ended", "what it is", "length", "picture", "sound", "lines of text", "why it failed")


async def describe_ending(conn: Connection, asset: Asset) -> dict[str, Any]:
    """Return what the table says of an asset, besides its outcome."""
    probe = asset.probe or {}
    return {
        "kind": asset.kind,
        "picture": _picture(probe.get("video")),
        "sound": _sound(probe.get("audio") or []),
        "renditions": [rendition.name for rendition in await playback.renditions(conn, asset.asset_id)],
        "segments": len(await segments.of_asset(conn, asset.asset_id)),
    }


def render_report(endings: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return the table of (file name, outcome), with a sentence on top that sums it up."""
    ready = sum(outcome["status"] == "ready" for _, outcome in endings)
    failed = sum(outcome["status"] == "failed" for _, outcome in endings)
    summary = f"{len(endings)} files: {ready} ready, {failed} failed"
    waiting = len(endings) - ready - failed
    lines = [f"{summary}, {waiting} not finished." if waiting else f"{summary}.", ""]
    lines += [_row(HEADS), _row(["---"] * len(HEADS))]
    lines += [_row(_cells(name, outcome)) for name, outcome in endings]
    return "\n".join(lines) + "\n"


def _cells(name: str, outcome: dict[str, Any]) -> list[str]:
    error = outcome["error"]
    about = outcome.get("about") or {}
    known = about if about.get("kind") != "unknown" else {}
    length = outcome["duration_ms"]
    return [
        f"`{name}`",
        outcome["status"] + (" (was here already)" if outcome["reused"] else ""),
        known.get("kind", ""),
        "" if length is None else format_timecode(length),
        known.get("picture", ""),
        known.get("sound", ""),
        str(about["segments"]) if about.get("segments") else "",
        f"{error['message']} (`{error['code']}`)" if error else "",
    ]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _picture(video: dict[str, Any] | None) -> str:
    if not video:
        return ""
    rate = "" if video["frame_count"] == 1 else _rate(video)
    extras = [
        f"{video['bit_depth']} bit" if video["bit_depth"] > 8 else "",
        video["hdr"].upper(),
        f"turned by {video['rotation']}°" if video["rotation"] else "",
        "interlaced" if video.get("interlaced") else "",
    ]
    return ", ".join(filter(None, [f"{video['codec']} {video['width']} × {video['height']}", rate, *extras]))


def _rate(video: dict[str, Any]) -> str:
    over, _, under = str(video["frame_rate"]).partition("/")
    rate = f"{int(over) / int(under or 1):.2f}".rstrip("0").rstrip(".")
    return f"{rate} fps{' (varies)' if video['variable_frame_rate'] else ''}"


def _sound(tracks: Sequence[dict[str, Any]]) -> str:
    if not tracks:
        return ""
    first = f"{tracks[0]['codec']} {tracks[0]['sample_rate'] / 1000:g} kHz"
    return first if len(tracks) == 1 else f"{first}, {len(tracks)} tracks"
