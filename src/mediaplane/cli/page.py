"""An asset on one page of HTML that refers to nothing outside itself: pictures, segments over time, stage timings."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Any

from mediaplane.cli.output import size
from mediaplane.cli.timeline import Span, lay_lanes
from mediaplane.media.timecodes import format_timecode

WIDTH = 1000  # of a drawing's own units
LANE, THIN_LANE, ROW = 15, 8, 22
THIN_FROM = 16  # lanes
MOST_LANES = 60
MOST_LISTED = 500
STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
TICKS = 8

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2430; --faint: #667085; --line: #d8dde6; --card: #f5f7fa;
  --text: #3b74c4; --probe: #8a63c9; --plan: #b0588f; --chunk: #3b74c4; --audio: #2b8a6b; --assemble: #c27b1e;
  --picture: #3b74c4; --clip: #8a8f2e; --ocr: #2c91a8; --highlights: #a4633f; --failed: #c8372d; --wait: #c3cad6; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e6eaf1; --faint: #98a2b3; --line: #2d3542;
  --card: #1c222c; --text: #6fa4ea; --probe: #b091e6; --plan: #d98abd; --chunk: #6fa4ea; --audio: #55bd98;
  --assemble: #e5a54d; --picture: #6fa4ea; --clip: #c3c966;
  --ocr: #5cc0d6; --highlights: #d69a76; --failed: #f0776d; --wait: #3c4656; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1100px; padding: 24px 20px 48px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere } h2 { font-size: 16px; margin: 32px 0 8px }
p { margin: 4px 0 } .faint { color: var(--faint) } .failed { color: var(--failed) }
code { font: 13px ui-monospace, monospace }
.strip { display: grid; grid-template-columns: repeat(8, 1fr); gap: 6px; align-items: end }
.strip figure { margin: 0 } .strip img { display: block; border-radius: 4px; width: 100% }
.strip figcaption { color: var(--faint); font-size: 12px }
.poster img { max-width: 100%; max-height: 320px; border-radius: 6px; display: block; margin: 12px 0 }
.wave { width: 100%; height: 96px; display: block }
.drawing { background: var(--card); border-radius: 6px; padding: 10px 12px; overflow-x: auto }
svg { display: block; width: 100%; height: auto; min-width: 640px }
svg text { fill: var(--faint); font: 11px system-ui, sans-serif } svg .name { fill: var(--ink) }
svg .tick { stroke: var(--line) }
.scroll { max-height: 420px; overflow: auto; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
td, th { padding: 3px 10px; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
"""


@dataclass(frozen=True, slots=True)
class Still:
    """A small picture with its time."""

    timestamp_ms: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Timing:
    """One stage run: when it was asked for, begun and ended."""

    stage: str
    chunk: int | None
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    error: str | None
    with_other: bool = False  # done within another run, whose time it is


@dataclass(frozen=True, slots=True)
class Material:
    """All that the page shows; `asset` is what `show --json` says."""

    asset: dict[str, Any]
    spans: Sequence[Span]
    timings: Sequence[Timing]
    poster: bytes | None = None
    stills: Sequence[Still] = field(default_factory=tuple)
    waveform: bytes | None = None


def render_page(material: Material) -> str:
    """Return the page; every text of the asset is escaped, and the page may load and run nothing."""
    asset = material.asset
    title = escape(asset["title"] or asset["asset_id"])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; ',
        "style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        _head(asset, title),
        _pictures(material),
        _segments(material),
        _gantt(material.timings),
        _objects(asset),
        "</body></html>\n",
    ]
    return "".join(parts)


def _head(asset: dict[str, Any], title: str) -> str:
    facts = [str(asset["kind"])]
    if asset["duration_ms"] is not None:
        facts.append(format_timecode(asset["duration_ms"]))
    if asset["width"]:
        facts.append(f"{asset['width']} × {asset['height']}")
    facts.append(str(asset["status"]))
    failure = ""
    if asset["error"]:
        failure = f'<p class="failed">{escape(str(asset["error"]["message"]))} ({escape(asset["error"]["code"])})</p>'
    return (
        f"<h1>{title}</h1><p>{escape(' · '.join(facts))}</p>"
        f'<p class="faint"><code>{escape(asset["asset_id"])}</code></p>{failure}'
    )


def _pictures(material: Material) -> str:
    found = []
    if material.poster:
        found.append(f'<div class="poster"><img alt="poster" src="{_data("image/jpeg", material.poster)}"></div>')
    figures = "".join(
        f'<figure><img alt="" src="{_data("image/jpeg", still.jpeg)}">'
        f"<figcaption>{_clock(still.timestamp_ms / 1000)}</figcaption></figure>"
        for still in material.stills
    )
    if figures:
        found.append(f'<div class="strip">{figures}</div>')
    if material.waveform:
        found.append(f'<h2>Sound</h2><img class="wave" alt="waveform" src="{_data("image/png", material.waveform)}">')
    return "".join(found)


def _data(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _segments(material: Material) -> str:
    spans = sorted(material.spans, key=lambda span: (span.start_ms, span.end_ms))
    if not spans:
        return '<h2>Text</h2><p class="faint">No text was found.</p>'
    rows = "".join(
        f'<tr><td class="number">{format_timecode(span.start_ms)}</td>'
        f'<td class="number">{format_timecode(span.end_ms)}</td><td>{escape(span.text)}</td></tr>'
        for span in spans[:MOST_LISTED]
    )
    more = len(spans) - MOST_LISTED
    rest = f'<p class="faint">and {more} more</p>' if more > 0 else ""
    table = (
        f'<div class="scroll"><table><tr><th class="number">from</th><th class="number">to</th><th>text</th></tr>'
        f"{rows}</table></div>{rest}"
    )
    length_ms = max(material.asset["duration_ms"] or 0, 1, *(span.end_ms for span in spans))
    drawing = _lanes(spans, length_ms) if material.asset["kind"] != "image" else ""
    return f"<h2>Text over time: {len(spans)} segments</h2>{drawing}<p></p>{table}"


def _lanes(spans: Sequence[Span], length_ms: int) -> str:
    lanes = lay_lanes(spans)
    count = min(MOST_LANES, max(lanes) + 1)
    high = LANE if count < THIN_FROM else THIN_LANE
    height = count * high + 24
    bars = []
    for span, lane in zip(spans, lanes, strict=True):
        if lane >= MOST_LANES:
            continue
        x = span.start_ms * WIDTH / length_ms
        wide = max(2.0, (span.end_ms - span.start_ms) * WIDTH / length_ms - 1)
        told = escape(f"{format_timecode(span.start_ms)} – {format_timecode(span.end_ms)}  {span.text}")
        bars.append(
            f'<rect x="{x:.1f}" y="{lane * high + 2}" width="{wide:.1f}" height="{high - 3}" rx="2" '
            f'fill="var(--text)" opacity="0.8"><title>{told}</title></rect>'
        )
    hidden = sum(lane >= MOST_LANES for lane in lanes)
    note = f'<p class="faint">{hidden} of them have no room here</p>' if hidden else ""
    drawn = (
        f'<svg viewBox="0 0 {WIDTH} {height}">{_ruler(length_ms / 1000, 0, WIDTH, height - 20)}{"".join(bars)}</svg>'
    )
    return f'<div class="drawing">{drawn}</div>{note}'


def _ruler(seconds: float, left: float, right: float, height: float) -> str:
    """Return vertical lines with their times below."""
    step = next((step for step in STEPS_S if seconds / step <= TICKS), seconds / TICKS)
    lines = []
    number = 0
    while number * step <= seconds:
        x = left + (right - left) * number * step / seconds
        anchor = "start" if number == 0 else "end" if x > right - 20 else "middle"
        lines.append(
            f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
            f'<text x="{x:.1f}" y="{height + 15}" text-anchor="{anchor}">{_clock(number * step)}</text>'
        )
        number += 1
    return "".join(lines)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    rest = f".{round((seconds - whole) * 10)}" if seconds != whole else ""
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}{rest}" if hours else f"{minutes}:{whole % 60:02}{rest}"


def _gantt(timings: Sequence[Timing]) -> str:
    """Return the stage runs as bars over wall time: pale while they waited, coloured while they worked."""
    begun = [timing for timing in timings if timing.started_at]
    if not begun:
        return ""
    begun.sort(key=lambda timing: (timing.started_at, timing.chunk or 0))
    zero = min(timing.created_at for timing in begun)
    latest = max(timing.finished_at or timing.started_at or zero for timing in begun)
    seconds = max(0.1, (latest - zero).total_seconds())
    left, right = 130, WIDTH - 70
    height = len(begun) * ROW + 8
    rows = [_gantt_row(timing, number, zero, seconds, (left, right)) for number, timing in enumerate(begun)]
    ruler = _ruler(seconds, left, right, height)
    worked = sum(_worked(timing) for timing in begun if not timing.with_other)
    slowest = max(begun, key=_worked)
    told = (
        f"{seconds:.1f} s from the first request to the last result, {worked:.1f} s of stages in all; "
        f"the longest is {_label(slowest)} with {_worked(slowest):.1f} s. Pale: waiting for a worker."
    )
    drawing = f'<svg viewBox="0 0 {WIDTH} {height + 24}">{ruler}{"".join(rows)}</svg>'
    return f'<h2>Stages</h2><p class="faint">{escape(told)}</p><div class="drawing">{drawing}</div>'


def _gantt_row(timing: Timing, number: int, zero: datetime, seconds: float, room: tuple[float, float]) -> str:
    left, right = room

    def x(moment: datetime) -> float:
        return left + (right - left) * (moment - zero).total_seconds() / seconds

    assert timing.started_at is not None
    y = number * ROW + 5
    begin, end = x(timing.started_at), x(timing.finished_at or timing.started_at)
    colour = "failed" if timing.state == "failed" else timing.stage
    about = ", ".join(filter(None, [_label(timing), timing.state, timing.worker, timing.error]))
    return (
        f'<text class="name" x="0" y="{y + 11}">{escape(_label(timing))}</text>'
        f'<rect x="{x(timing.created_at):.1f}" y="{y + 4}" width="{max(0, begin - x(timing.created_at)):.1f}" '
        f'height="6" fill="var(--wait)"/>'
        f'<rect x="{begin:.1f}" y="{y}" width="{max(2, end - begin):.1f}" height="14" rx="2" '
        f'fill="var(--{colour}, var(--text))"><title>{escape(about)}</title></rect>'
        f'<text x="{min(end + 6, right + 6):.1f}" y="{y + 11}">{_took(timing)}</text>'
    )


def _label(timing: Timing) -> str:
    return timing.stage if timing.chunk is None else f"{timing.stage} {timing.chunk}"


def _took(timing: Timing) -> str:
    return "with chunk" if timing.with_other else f"{_worked(timing):.1f} s"


def _worked(timing: Timing) -> float:
    if timing.started_at is None or timing.finished_at is None:
        return 0.0
    return (timing.finished_at - timing.started_at).total_seconds()


def _objects(asset: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{escape(entry["role"])}</td><td class="number">{entry["objects"]}</td>'
        f'<td class="number">{size(entry["size_bytes"])}</td><td><code>{escape(entry["first_key"])}</code></td></tr>'
        for entry in asset["objects"]
    )
    heads = '<th>role</th><th class="number">objects</th><th class="number">size</th><th>first key</th>'
    return f"<h2>Objects</h2><table><tr>{heads}</tr>{rows}</table>"
