"""Chunks join without a gap: every frame of the source is played once, at one constant offset, with its sound."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import Encoding, encode_chunk
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Chunk, ChunkResult, Probe
from tests.services import made_media as media

LIMITS = Limits(seconds=60, address_space_mb=8192, output_mb=1024)


def ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


async def encode_all(
    source: Path, out: Path, *, chunk_seconds: int = 3
) -> tuple[Probe, list[tuple[Chunk, ChunkResult]]]:
    """Encode a whole source in chunks into `out`/{index}."""
    found = await probe(str(source), limits=LIMITS)
    parts = []
    for chunk in await plan_chunks(str(source), found, chunk_seconds=chunk_seconds, limits=LIMITS):
        result = await encode_chunk(
            str(source), found, chunk, out_dir=out / str(chunk.index), short_sides=[1080, 720, 360],
            frames_per_second=10, ocr=None, limits=LIMITS, on_progress=ignore,
        )  # fmt: skip
        parts.append((chunk, result))
    return found, parts


def cfr(path: Path) -> Path:
    return media.make_pattern(path / "cfr.mp4", rate="30")


def ntsc(path: Path) -> Path:
    return media.make_pattern(path / "ntsc.mp4", rate="30000/1001")


def vfr(path: Path) -> Path:
    uneven = ["-vf", "select='not(mod(n\\,3))+lt(mod(n\\,50)\\,20)'", "-fps_mode", "vfr", "-enc_time_base", "1:90000"]
    return media.make_pattern(path / "vfr.mp4", encode=uneven)


def matroska(path: Path) -> Path:
    return media.make_pattern(path / "rounded-to-ms.mkv", rate="30000/1001")


def late(path: Path) -> Path:
    plain = media.make_pattern(path / "plain.mkv")
    media.ffmpeg(
        "-itsoffset", "2.5", "-i", plain, "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", path / "late.mkv"
    )
    return path / "late.mkv"


def cut(path: Path) -> Path:
    plain = media.make_pattern(path / "plain.mp4")
    media.ffmpeg("-ss", "1.7", "-i", plain, "-c", "copy", path / "hidden-start.mp4")
    return path / "hidden-start.mp4"


def transport(path: Path) -> Path:
    return media.make_pattern(path / "no-index.ts", seconds=6)


def live(path: Path) -> Path:
    return media.make_pattern(
        path / "no-cues.webm", seconds=6, encode=["-f", "matroska", "-live", "1", "-cluster_time_limit", "500"]
    )


@pytest.mark.parametrize(
    ("make", "chunks"), [(cfr, 3), (ntsc, 3), (vfr, 3), (matroska, 3), (late, 3), (cut, 3), (transport, 1), (live, 1)]
)
async def test_chunks_hold_every_frame_once(tmp_path: Path, make: Callable[[Path], Path], chunks: int) -> None:
    """The playlist over all chunks shows each frame of the source once, all at the same offset, sound included."""
    source = make(tmp_path)
    found, parts = await encode_all(source, tmp_path)
    assert len(parts) == chunks
    playlist = media.write_playlist(tmp_path / "all.m3u8", parts, "96p", "{index}")
    wanted, played = media.times(source), media.times(playlist)
    assert len(played) == len(wanted)
    tick = float(found.video.time_base if found.video else 0)
    first = wanted[0]
    assert [float(time - first) for time in wanted] == pytest.approx(
        [float(time) - 1 for time in played], abs=tick + 1e-5
    )

    await check_sound(source, found, tmp_path, float(first))
    total_us = sum(segment.duration_us for _, result in parts for segment in result.renditions[0].segments)
    assert total_us == pytest.approx(float(wanted[-1] - first) * 1e6, abs=250_000)  # the last frame's stay is a guess
    assert [chunk.start_us for chunk, _ in parts[1:]] == [result.end_us for _, result in parts[:-1]]


async def check_sound(source: Path, found: Probe, out: Path, first: float) -> None:
    """The sound lies at the same offset: its first whole frame is played with the first frame of the picture."""
    result = await encode_sound(str(source), found, out_dir=out, limits=LIMITS, on_progress=ignore)
    (sound,) = result.renditions
    rows = [media.Row(f"audio/{part.file}", f"audio/{sound.init_file}", part.duration_us) for part in sound.segments]
    from mediaplane.media.playlists import media_playlist

    (out / "sound.m3u8").write_text(media_playlist(rows, lambda key: key))
    played = media.times(out / "sound.m3u8", "audio")
    assert float(played[1]) == pytest.approx(1.0, abs=0.0005)  # the first is the encoder's run-up
    source_end = float(media.times(source, "audio")[-1])
    assert float(played[-1]) - 1 == pytest.approx(source_end - first, abs=0.05)


class NumberReader:
    """Stands in for the reader of text: notes which frame it saw when, and keeps one in ten."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def look(self, luma, timestamp_ms):
        self.seen.append((timestamp_ms, media.read_number(luma)))
        return timestamp_ms % 1000 == 0

    def finish(self, _end_ms):
        return []


@pytest.mark.parametrize(
    ("rate", "keep", "frames_per_second"),
    [("30", "1", 10), ("30000/1001", "1", 10), ("30", "lt(mod(n,40),15)", 10), ("30", "1", 4), ("25", "1", 30)],
)
async def test_sampled_frames_are_those_on_the_screen(
    tmp_path: Path, rate: str, keep: str, frames_per_second: float
) -> None:
    """A sample shows the last frame begun by its time; samples of all chunks are even, none is missing or double."""
    source = media.make_numbered(tmp_path / "numbered.mp4", rate=rate, keep=keep.replace(",", "\\,"))
    found = await probe(str(source), limits=LIMITS)
    chunks = await plan_chunks(str(source), found, chunk_seconds=2, limits=LIMITS)
    assert len(chunks) >= 2
    reader = NumberReader()
    for chunk in chunks:
        request = {
            "chunk": chunk.to_json(), "source": str(source), "ca_file": None, "out_dir": str(tmp_path / "out"),
            "threads": 1, "short_sides": [360], "frames_per_second": frames_per_second,
        }  # fmt: skip
        Encoding(request, found, ignore).run(reader)
    shown = media.numbers(source)
    for timestamp_ms, number in reader.seen:
        # A time cut down to whole milliseconds may lie just before the frame it stands for.
        possible = {[n for time, n in shown if time * 1000 <= timestamp_ms + late_ms][-1] for late_ms in (0, 1)}
        assert number in possible, timestamp_ms
    end_ms = float(shown[-1][0]) * 1000
    expected = [int(number * 1000 / frames_per_second) for number in range(int(end_ms * frames_per_second / 1000) + 1)]
    assert [timestamp_ms for timestamp_ms, _ in reader.seen][: len(expected)] == expected
    assert len(reader.seen) <= len(expected) + frames_per_second / 2
    picture = cv2.imread(str(tmp_path / "out" / "frames" / "1000.jpg"), cv2.IMREAD_GRAYSCALE)
    # JPEG has the full range of levels, the stream had 16 to 235.
    assert picture.shape == (media.SIZE[1], media.SIZE[0])


async def test_renditions_of_a_portrait_recording_are_upright(tmp_path: Path) -> None:
    """A recording that players turn by 90 degrees is encoded upright, named by its short side."""
    plain = media.make_pattern(tmp_path / "plain.mp4", seconds=2, size="640x360", sound=False)
    media.ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", tmp_path / "turned.mp4")
    found, parts = await encode_all(tmp_path / "turned.mp4", tmp_path)
    assert found.video is not None
    assert (found.video.width, found.video.height, found.video.rotation) == (360, 640, 270)
    assert [(made.name, made.width, made.height) for made in parts[0][1].renditions] == [("360p", 360, 640)]
    assert found.audio == []
    playlist = media.write_playlist(tmp_path / "all.m3u8", parts, "360p", "{index}")
    frame = next(media._frames(playlist))
    assert (frame.width, frame.height, frame.rotation) == (360, 640, 0)


async def test_odd_sides_and_wide_pixels_are_evened(tmp_path: Path) -> None:
    """Renditions have even sides and square pixels, whatever the source has; sampled frames keep its size."""
    sampled = ["-vf", "format=yuv444p,crop=127:95,setsar=4/3", "-pix_fmt", "yuv444p"]
    source = media.make_pattern(tmp_path / "odd.mkv", seconds=1, sound=False, encode=sampled)
    found, parts = await encode_all(source, tmp_path)
    made = parts[0][1].renditions[0]
    assert (made.name, made.height, (made.width or 0) % 2) == ("94p", 94, 0)
    assert (made.width or 0) / 94 == pytest.approx(127 / 95 * 4 / 3, rel=0.02)
    reader = NumberReader()
    shapes = []
    reader.look = lambda luma, _time: bool(shapes.append(luma.shape)) or True  # type: ignore[method-assign]
    request = {
        "chunk": parts[0][0].to_json(), "source": str(source), "ca_file": None, "out_dir": str(tmp_path / "o"),
        "threads": 1, "short_sides": [360], "frames_per_second": 2,
    }  # fmt: skip
    Encoding(request, found, ignore).run(reader)
    assert set(shapes) == {(95, 127)}
    assert cv2.imread(str(tmp_path / "o" / "frames" / "0.jpg")).shape == (95, 127, 3)


async def test_sound_alone_and_gaps_in_it(tmp_path: Path) -> None:
    """Sound without a picture is encoded at the same offset, and a hole in it is filled with silence."""
    media.ffmpeg("-f", "lavfi", "-i", "sine=duration=4", "-ss", "0", "-t", "2", tmp_path / "a.mka")
    gap = "aselect='lt(t,1)+gte(t,3)'"
    media.ffmpeg("-f", "lavfi", "-i", "sine=duration=5", "-af", gap, "-c:a", "aac", tmp_path / "gap.mka")
    found = await probe(str(tmp_path / "gap.mka"), limits=LIMITS)
    assert (found.kind, found.video, len(found.audio)) == ("audio", None, 1)
    result = await encode_sound(str(tmp_path / "gap.mka"), found, out_dir=tmp_path, limits=LIMITS, on_progress=ignore)
    (sound,) = result.renditions
    assert sound.codecs == "mp4a.40.2"
    assert sum(part.duration_us for part in sound.segments) == pytest.approx(5_000_000, abs=100_000)
