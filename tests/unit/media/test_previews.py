"""The scrubbing preview shows each time once, in order, and where its picture lies."""

import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.previews import cue_time, preview_track


@dataclass(frozen=True)
class Sheet:
    first_ms: int
    tile_ms: int
    tiles: int
    columns: int
    tile_width: int = 240
    tile_height: int = 136


def test_preview_names_the_part_of_the_sheet():
    """Pictures lie row by row; the last is shown until the end, each other until the next."""
    text = preview_track([Sheet(0, 1000, 3, 2), Sheet(3000, 1000, 1, 1)], 4500, lambda sheet: f"s{sheet.first_ms}?a=b")
    assert text == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.000\ns0?a=b#xywh=0,0,240,136\n\n"
        "00:00:01.000 --> 00:00:02.000\ns0?a=b#xywh=240,0,240,136\n\n"
        "00:00:02.000 --> 00:00:03.000\ns0?a=b#xywh=0,136,240,136\n\n"
        "00:00:03.000 --> 00:00:04.500\ns3000?a=b#xywh=0,0,240,136\n"
    )


@given(st.lists(st.integers(1, 30), max_size=6), st.integers(100, 20_000), st.integers(1, 10))
def test_preview_has_no_hole_and_no_overlap(counts, tile_ms, columns):
    """Cues follow one another over all sheets."""
    sheets, number = [], 0
    for count in counts:
        sheets.append(Sheet(number * tile_ms, tile_ms, count, columns))
        number += count
    text = preview_track(sheets, number * tile_ms, lambda _sheet: "s.jpg")
    cues = re.findall(r"(\S+) --> (\S+)\ns\.jpg#xywh=(\d+),(\d+),240,136", text)
    assert len(cues) == number
    assert [start for start, *_ in cues[1:]] == [end for _, end, *_ in cues[:-1]]
    assert all(int(x) < columns * 240 for _, _, x, _ in cues)


def test_cue_time_has_hours():
    """WebVTT wants two digits and milliseconds; hours may have more."""
    assert [cue_time(ms) for ms in (0, 61_005, 360_000_000)] == ["00:00:00.000", "00:01:01.005", "100:00:00.000"]
