"""Timelines in characters and on pages: nothing overlaps, nothing is lost, no text of an asset acts."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.cli.page import Material, Still, Timing, render_page
from mediaplane.cli.report import render_report
from mediaplane.cli.timeline import LISTED, WIDTH, Span, draw_timeline, lay_lanes

BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
ASSET = {
    "asset_id": "a1", "title": "talk <script>alert(1)</script>", "kind": "video", "status": "ready", "error": None,
    "duration_ms": 60_000, "width": 1280, "height": 720,
    "objects": [{"role": "original", "objects": 1, "size_bytes": 2000, "first_key": "videos/a1/<b>.mp4"}],
}  # fmt: skip
SPANS = st.lists(
    st.tuples(st.integers(0, 59_000), st.integers(0, 20_000)).map(
        lambda pair: Span(pair[0], min(60_000, pair[0] + pair[1]), "text")
    ),
    max_size=60,
)


@given(SPANS)
def test_lanes_keep_spans_apart(spans):
    """No two of a lane overlap, and the first lane is used first."""
    ordered = sorted(spans, key=lambda span: span.start_ms)
    lanes = lay_lanes(ordered)
    ends: dict[int, int] = {}
    for span, lane in zip(ordered, lanes, strict=True):
        assert ends.get(lane, 0) <= span.start_ms
        ends[lane] = max(span.end_ms, span.start_ms + 1)
    assert not lanes or lanes[0] == 0


@given(SPANS)
def test_timeline_has_a_line_for_the_longest_seen(spans):
    """Density, ruler, and at most `LISTED` lines with a bar each, as wide as the ruler."""
    lines = draw_timeline(spans, 60_000)
    if not spans:
        assert lines == []
        return
    assert len(lines) == 2 + min(LISTED, len(spans)) + (len(spans) > LISTED)
    assert {len(line) for line in lines[:2]} == {WIDTH}
    for line in lines[2 : 2 + min(LISTED, len(spans))]:
        assert re.fullmatch("·*█+·*", line[:WIDTH])


def test_timeline_shows_where_a_span_lies():
    """A text of the second half has its bar there."""
    (_, ruler, line) = draw_timeline([Span(30_000, 60_000, "two\nlines")], 60_000)
    assert ruler.split() == ["0:00", "0:30", "1:00"]
    assert line == "·" * (WIDTH // 2) + "█" * (WIDTH // 2) + "     0:30.000  two lines"


def page(**changes):
    timings = [
        Timing("probe", None, "done", BEGIN, BEGIN + timedelta(seconds=1), BEGIN + timedelta(seconds=2), "w1", None),
        Timing("chunk", 0, "failed", BEGIN, BEGIN + timedelta(seconds=2), BEGIN + timedelta(seconds=9), "w1", "<no>"),
        Timing("chunk", 1, "running", BEGIN, BEGIN + timedelta(seconds=2), None, "w2", None),
        Timing("assemble", None, "queued", BEGIN, None, None, None, None),
    ]  # fmt: skip
    given = {"asset": ASSET, "spans": [Span(0, 5000, "<img src=x onerror=alert(1)>")], "timings": timings}
    return render_page(Material(**{**given, **changes}))


def test_page_refers_to_nothing_outside_and_runs_nothing():
    """Texts of an asset are escaped; the page's own rule forbids loading and scripts."""
    text = page(poster=b"jpeg", stills=[Still(1500, b"jpeg")], waveform=b"png")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "<b>" not in text
    assert "default-src 'none'; img-src data:" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_page_shows_which_stage_was_slow():
    """A bar for each run that began, and in words which one took longest."""
    text = page()
    assert "the longest is chunk 0 with 7.0 s. Pale" in text
    assert all(f">{name}<" in text for name in ("probe", "chunk 0", "chunk 1"))
    assert ">assemble<" not in text
    assert "&lt;no&gt;" in text


def test_page_of_an_asset_that_has_nothing_yet():
    """What is not there is left out."""
    bare = {**ASSET, "duration_ms": None, "width": None, "error": {"code": "media_empty", "message": "no bytes & all"}}
    text = page(asset=bare, spans=[], timings=[])
    assert "no bytes &amp; all (media_empty)" in text
    assert "No text was found." in text
    assert "<svg" not in text


def test_report_sums_up_and_keeps_its_columns():
    """Sentences with bars and line ends stay in their cell."""
    good = {"status": "ready", "duration_ms": 1500, "reused": True, "error": None}
    bad = {
        "status": "failed", "duration_ms": None, "reused": False,
        "error": {"code": "media_empty", "message": "zero | bytes\nin it"}, "about": {"kind": "unknown"},
    }  # fmt: skip
    text = render_report([("a.mp4", good), ("dir/b.mp4", bad)])
    lines = text.splitlines()
    assert lines[0] == "2 files: 1 ready, 1 failed."
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:]} == {9}
    assert "zero \\| bytes in it (`media_empty`)" in lines[-1]
    assert "ready (was here already)" in lines[-2]
