"""A fast clip out of HLS segments: its frames at their times and its sound, without the original."""

from fractions import Fraction
from pathlib import Path

import pytest

from mediaplane.catalog.playback import HlsSegment
from mediaplane.pipeline.clip_source import make_excerpt, pick
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.cut import cut_fast
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from tests.services.made_media import make_pattern, times
from tests.services.segments import rows_of

LIMITS = Limits(seconds=600, address_space_mb=8192, output_mb=4096)


async def encode(source: Path, folder: Path) -> list[list[HlsSegment]]:
    """Encode a recording in chunks of some seconds as the pipeline does; return its rows, picture and sound."""
    found = await probe(str(source), limits=LIMITS)
    frames: list[HlsSegment] = []
    for chunk in await plan_chunks(str(source), found, chunk_seconds=5, limits=LIMITS):
        out_dir = folder / str(chunk.index)
        out_dir.mkdir(parents=True)
        result = await encode_chunk(
            str(source), found, chunk, out_dir=out_dir, short_sides=(96,), frames_per_second=0, ocr=None,
            limits=LIMITS, on_progress=lambda _fraction: None,
        )  # fmt: skip
        frames += rows_of(result.renditions[0], chunk.index, out_dir)
    (folder / "sound").mkdir()
    sound = await encode_sound(
        str(source), found, out_dir=folder / "sound", limits=LIMITS, on_progress=lambda _fraction: None
    )
    return [frames, rows_of(sound.renditions[0], 0, folder / "sound")]


async def read(_store: str, key: str) -> bytes:
    return Path(key).read_bytes()


@pytest.mark.parametrize(("start_ms", "end_ms"), [(5500, 8500), (700, 3100), (9000, 14_900)])
async def test_clip_out_of_segments_has_its_frames_at_their_times(tmp_path, start_ms, end_ms):
    """Across the edges of chunks, at the beginning and to the end."""
    source = make_pattern(tmp_path / "a.mp4", seconds=15)
    listed = await encode(source, tmp_path / "hls")
    part = await make_excerpt(
        read, listed, start_ms=start_ms, end_ms=end_ms, directory=tmp_path / "part", limits=LIMITS
    )
    assert part is not None
    start, end = (round(at_ms - part.first_ms) for at_ms in (start_ms, end_ms))
    clip = tmp_path / "clip.mp4"
    made = await cut_fast(str(part.path), part.probe, clip, start, end, limits=LIMITS)
    assert made.mode == "fast"
    frames, sounds = times(clip), times(clip, "audio")
    expected = [Fraction(number, 30) for number in range((end_ms - start_ms) * 30 // 1000)]
    assert len(frames) == len(expected)
    assert all(abs(one - other) < Fraction(1, 500) for one, other in zip(frames, expected, strict=True))
    assert abs(sounds[0]) < Fraction(1, 20)
    assert abs(sounds[-1] - Fraction(end_ms - start_ms, 1000)) < Fraction(1, 20)


async def test_chunks_that_begin_differently_are_left_alone(tmp_path):
    """Segments of another encoding do not stand behind this one's beginning."""
    rows = []
    for chunk in (0, 1):
        (tmp_path / f"init{chunk}").write_bytes(b"init" + bytes([chunk]))
        (tmp_path / f"body{chunk}").write_bytes(b"body")
        rows.append(
            HlsSegment(
                "96p", chunk, 0, "here", str(tmp_path / f"body{chunk}"), str(tmp_path / f"init{chunk}"), 10**6, 4
            )
        )
    assert await make_excerpt(read, [rows], start_ms=500, end_ms=1500, directory=tmp_path / "x", limits=LIMITS) is None


@pytest.mark.parametrize(
    ("start_us", "end_us", "first_us", "picked"),
    [(0, 1, 0, [0]), (6, 12, 6, [1]), (5, 13, 0, [0, 1, 2]), (17, 99, 12, [2]), (18, 20, 0, [])],
)
def test_segments_of_a_range_are_those_that_hold_something_of_it(start_us, end_us, first_us, picked):
    """Ends that only touch do not count."""
    rows = [HlsSegment("96p", 0, place, "here", str(place), "init", 6, 1) for place in range(3)]
    assert pick(rows, start_us, end_us) == (first_us, [rows[place] for place in picked])
