"""Arguments for ffmpeg, the ladder of renditions and the grid of samples hold for every picture and chunk."""

import re
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mediaplane.pipeline.tools.encode import (
    audio_arguments,
    chunk_arguments,
    exact_cut_arguments,
    fast_cut_arguments,
    frame_grid,
    segment_seconds,
)
from mediaplane.pipeline.tools.plan import LEAST_HALVED_SECONDS, choose_boundaries, chunks_between
from mediaplane.pipeline.tools.results import AudioStream, Chunk, Probe, VideoStream
from mediaplane.pipeline.tools.sizes import cropped_size, h264_level, rendition_ladder

SIDES = (1080, 720, 360)
TIME_BASES = st.sampled_from([Fraction(1, 90000), Fraction(1, 15360), Fraction(1, 1000), Fraction(1001, 30000)])


def video(**changes: object) -> VideoStream:
    """Return a plain video stream, with changes."""
    plain: dict[str, object] = {
        "index": 0, "codec": "h264", "width": 1920, "height": 1080, "rotation": 0, "pixel_format": "yuv420p",
        "bit_depth": 8, "hdr": "", "color_matrix": 1, "full_range": False, "frame_rate": Fraction(30),
        "variable_frame_rate": False, "sample_aspect": Fraction(1), "time_base": Fraction(1, 15360), "start_pts": 0,
        "frame_count": None, "has_b_frames": True,
    }  # fmt: skip
    return VideoStream(**(plain | changes))  # type: ignore[arg-type]


def probed(**changes: object) -> Probe:
    """Return what a probe of a plain video with sound gives."""
    sound = AudioStream(index=1, codec="aac", sample_rate=44100, channels=2, language="", start_us=0)
    return Probe("video", "mov", 60_000, 1_000_000, seekable=True, video=video(**changes), audio=[sound])


@given(st.integers(2, 9000), st.integers(2, 9000))
def test_renditions_are_even_and_never_larger_than_the_source(width: int, height: int) -> None:
    """Sides are even, nothing is enlarged, names are short sides and differ, the shape stays."""
    found = rendition_ladder(width, height, short_sides=SIDES)
    assert found
    assert len({size.name for size in found}) == len(found)
    for size in found:
        assert size.width % 2 == size.height % 2 == 0
        assert size.width <= width + 1
        assert size.height <= height + 1
        assert size.name == f"{min(size.width, size.height)}p"
        assert (size.width >= size.height) == (width >= height) or size.width == size.height
        if min(size.width, size.height) >= 100:
            assert abs(size.width / size.height * height / width - 1) < 0.03


@given(st.integers(2, 9000), st.integers(2, 9000))
def test_renditions_are_the_sides_asked_for_and_the_source_below_the_largest(width: int, height: int) -> None:
    """Each side that the source reaches is there, and its own where that is below 1080."""
    short = min(width, height)
    wanted = {side for side in SIDES if side <= short} | ({short // 2 * 2} if short < 1080 else set())
    found = rendition_ladder(width, height, short_sides=SIDES)
    assert {min(size.width, size.height) for size in found} == wanted
    assert [min(size.width, size.height) for size in found] == sorted(wanted, reverse=True)


def test_wide_pixels_become_square() -> None:
    """A 4:3 picture of 720 x 576 stored pixels is shown 768 wide."""
    found = rendition_ladder(720, 576, short_sides=SIDES, sample_aspect=Fraction(16, 15))
    assert [(size.name, size.width, size.height) for size in found] == [("576p", 768, 576), ("360p", 480, 360)]


def test_levels_are_those_of_the_standard() -> None:
    """Common pictures get the level that players know them by, whatever rate a header claims."""
    assert h264_level(640, 360, Fraction(30)) == "3.0"
    assert h264_level(1280, 720, Fraction(30)) == "3.1"
    assert h264_level(1920, 1080, Fraction(30)) == "4.0"
    assert h264_level(1920, 1080, Fraction(60)) == "4.2"
    assert h264_level(3840, 2160, Fraction(60)) == "5.2"
    assert h264_level(16384, 16384, Fraction(120)) == "6.2"


@given(
    TIME_BASES,
    st.integers(-100_000, 100_000),
    st.lists(st.integers(1, 400_000), min_size=1, max_size=6),
    st.sampled_from([0.5, 1, 4, 10.0, 29.97, 30]),
)
def test_samples_of_neighbouring_chunks_neither_overlap_nor_leave_a_hole(
    time_base: Fraction, start_pts: int, lengths: list[int], frames_per_second: float
) -> None:
    """Where one chunk's samples end the next one's begin, and each lies within its chunk."""
    stream = video(time_base=time_base, start_pts=start_pts)
    boundaries = [start_pts + sum(lengths[: place + 1]) for place in range(len(lengths))]
    chunks = chunks_between(stream, 10**9, boundaries)
    grids = [frame_grid(stream, chunk, frames_per_second) for chunk in chunks]
    assert grids[0].first == 0
    for chunk, grid, following in zip(chunks, grids, grids[1:], strict=False):
        assert grid.end == following.first
        assert chunk.end_pts is not None
        end = (chunk.end_pts - start_pts) * time_base
        assert following.first / following.rate >= end
        assert (following.first - 1) / following.rate < end


@given(
    st.integers(1, 400), st.integers(6, 120), st.lists(st.integers(1, 3000), min_size=1, max_size=60), TIME_BASES,
)  # fmt: skip
def test_boundaries_are_rising_keyframes_and_chunks_cover_all(
    seconds: int, chunk_seconds: int, steps: list[int], time_base: Fraction
) -> None:
    """Whatever the keyframes, chunks meet, each begins on a keyframe, and none but the last resort is long."""
    stream = video(time_base=time_base, start_pts=7)
    keyframes = [7 + sum(steps[:place]) for place in range(len(steps))]

    def find(target: int) -> list[int]:
        before = [pts for pts in keyframes if pts <= target]
        after = [pts for pts in keyframes if pts > target]
        return [*before[-1:], *after[:1]]

    boundaries = choose_boundaries(stream, seconds * 1_000_000, chunk_seconds, find)
    assert boundaries == sorted(set(boundaries))
    assert set(boundaries) <= set(keyframes)
    chunks = chunks_between(stream, seconds * 1_000_000, boundaries)
    assert (chunks[0].start_pts, chunks[-1].end_pts) == (None, None)
    assert [chunk.end_pts for chunk in chunks[:-1]] == [chunk.start_pts for chunk in chunks[1:]]
    assert [chunk.end_us for chunk in chunks[:-1]] == [chunk.start_us for chunk in chunks[1:]]
    assert len(chunks) <= seconds / chunk_seconds + 2.75  # one more: the first may be halved


@given(st.integers(13, 20_000), st.integers(10, 120))
def test_chunks_are_even_where_keyframes_are_many(seconds: int, chunk_seconds: int) -> None:
    """With a keyframe each second no chunk is tiny, and none is much longer than asked."""
    stream = video(time_base=Fraction(1, 1000))
    assume(seconds > chunk_seconds)

    def find(target: int) -> list[int]:
        return [target // 1000 * 1000, target // 1000 * 1000 + 1000]

    chunks = chunks_between(
        stream, seconds * 1_000_000, choose_boundaries(stream, seconds * 1_000_000, chunk_seconds, find)
    )
    lengths = [((chunk.end_us or 0) - chunk.start_us) / 1_000_000 for chunk in chunks]
    assert sum(lengths) == seconds
    assert max(lengths) <= chunk_seconds * 1.25 + 2
    if lengths[0] * 1.5 < lengths[-1]:  # the first of even shares was halved
        assert lengths[-1] >= LEAST_HALVED_SECONDS - 2
        assert abs(lengths[0] - lengths[1]) <= 2.001
        lengths = [lengths[0] + lengths[1], *lengths[2:]]
    assert max(lengths) - min(lengths) <= 2.001


@given(st.integers(1, 400_000_000))
def test_segments_of_a_chunk_are_equal_and_at_most_six_seconds(length_us: int) -> None:
    """A chunk is cut into equal segments, so that none is tiny."""
    seconds = segment_seconds(Chunk(0, 0, length_us, None, 1))
    assert seconds <= 6
    assert (Fraction(length_us, 1_000_000) / seconds).denominator == 1
    assert length_us < 6_000_000 or seconds >= 3


def test_a_chunk_is_cut_by_ticks_and_sampled_on_the_same_decode() -> None:
    """Frames are chosen by their own ticks; one input, one graph, renditions and samples out of it."""
    chunk = Chunk(2, 60_000_000, 120_000_000, 921_600, 1_843_200)
    about = probed()
    sizes = rendition_ladder(1920, 1080, short_sides=SIDES)
    assert about.video is not None
    arguments = chunk_arguments(["-i", "SOURCE"], about, chunk, sizes, frame_grid(about.video, chunk, 10), threads=2)
    assert arguments.count("-i") == 1
    graph = arguments[arguments.index("-filter_complex") + 1]
    assert "trim=start_pts=921600:end_pts=1843200,split=4" in graph
    assert "fps=10/1:round=up:start_time=60.000000000" in graph
    assert arguments[arguments.index("-ss") + 1] == "60.000000"
    assert arguments[arguments.index("-output_ts_offset") + 1] == "1.000000"
    assert arguments[-1] == "pipe:1"
    assert "-avoid_negative_ts" not in arguments


def test_the_offset_moves_a_late_start_to_one_second() -> None:
    """Whatever time the container begins at, the first frame is played at one second, and so is the sound."""
    about = probed(start_pts=15360 * 5 // 2)
    chunk = Chunk(0, 0, None, None, None)
    sizes = rendition_ladder(320, 240, short_sides=SIDES)
    picture = chunk_arguments(["-i", "SOURCE"], about, chunk, sizes, None, threads=1)
    sound = audio_arguments(["-i", "SOURCE"], about)
    for arguments in (picture, sound):
        assert arguments[arguments.index("-output_ts_offset") + 1] == "-1.500000"
    graph = sound[sound.index("-filter_complex") + 1]
    assert graph.startswith(f"[0:1]aresample=44100:async=1:first_pts={44100 * 5 // 2},")


def test_clips_never_move_negative_times() -> None:
    """The one option that makes a copied clip begin with what should be hidden is never given."""
    source = ["-i", "SOURCE"]
    fast = fast_cut_arguments(source, probed(), start_us=2_000_000, end_us=3_000_000, seek_us=0, copy_sound=True)
    exact = exact_cut_arguments(source, probed(), start_us=2_000_000, end_us=3_000_000, shown_pts=30_000, seek_us=0)
    for arguments in (fast, exact):
        assert "-avoid_negative_ts" not in arguments
        assert "+faststart" in arguments


@pytest.mark.parametrize(
    ("size", "aspect", "cropped"),
    [
        ((1920, 1080), Fraction(9, 16), (608, 1080)),
        ((1080, 1920), Fraction(9, 16), (1080, 1920)),
        ((1280, 720), Fraction(1), (720, 720)),
        ((720, 1280), Fraction(16, 9), (720, 404)),
        ((2, 400), Fraction(1), (2, 2)),
    ],
)
def test_clips_are_cropped_to_a_shape(size, aspect, cropped) -> None:
    """The largest even picture of the shape that lies within the whole one."""
    assert cropped_size(*size, aspect) == cropped


def test_cropped_clips_lose_their_sides_last() -> None:
    """The crop follows the scaling: what is cut off does not depend on how the picture is stored."""
    arguments = exact_cut_arguments(
        ["-i", "SOURCE"],
        probed(),
        start_us=0,
        end_us=1_000_000,
        shown_pts=0,
        seek_us=0,
        aspect=Fraction(9, 16),
    )
    graph = arguments[arguments.index("-filter_complex") + 1]
    assert re.search(r"scale=\d+:\d+,.*,crop=\d+:\d+\[v\]", graph)
