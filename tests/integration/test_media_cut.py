"""Clips begin with the frame that is on the screen at their start, copied or re-encoded; posters and proxies."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from mediaplane.errors import InvalidRange
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.cut import cut_exact, cut_fast
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.proxy import make_proxy
from tests.services import made_media as media

LIMITS = Limits(seconds=60, address_space_mb=8192, output_mb=1024)
RANGES = [(0, 1500), (2000, 3000), (3333, 4700)]  # the beginning, a keyframe, between frames


def numbered(path: Path) -> Path:
    return media.make_numbered(path / "n.mp4")


def ntsc(path: Path) -> Path:
    return media.make_numbered(path / "n.mp4", rate="30000/1001")


def uneven(path: Path) -> Path:
    return media.make_numbered(path / "n.mp4", keep="lt(mod(n\\,40)\\,15)")


def matroska(path: Path) -> Path:
    return media.make_numbered(path / "n.mkv")


def transport(path: Path) -> Path:
    return media.make_numbered(path / "n.ts")


def old(path: Path) -> Path:
    return media.make_numbered(path / "n.webm", extra=["-c:v", "libvpx", "-deadline", "realtime", "-b:v", "2M"])


@pytest.mark.parametrize("make", [numbered, ntsc, uneven, matroska, transport, old])
@pytest.mark.parametrize("mode", ["fast", "exact"])
async def test_a_clip_begins_on_the_right_frame(tmp_path: Path, make: Callable[[Path], Path], mode: str) -> None:
    """The first frame that a player shows is the one on the screen at the start; exact clips end right as well."""
    source = make(tmp_path)
    found = await probe(str(source), limits=LIMITS)
    shown = media.numbers(source)
    begin = shown[0][0]
    for start_ms, wanted_end_ms in RANGES:
        end_ms = min(wanted_end_ms, found.duration_ms or 0)
        cut = cut_fast if mode == "fast" else cut_exact
        made = await cut(str(source), found, tmp_path / "clip.mp4", start_ms, end_ms, limits=LIMITS)
        clip = media.numbers(tmp_path / "clip.mp4")
        assert clip[0] == (0, [number for time, number in shown if (time - begin) * 1000 <= start_ms][-1])
        wanted = [number for time, number in shown if (time - begin) * 1000 < end_ms]
        if made.mode == "exact":
            assert clip[-1][1] == wanted[-1]
        # A copy ends by decoding order: a few frames more, and it begins where its first frame does.
        slack_ms = 80 if made.mode == "exact" else 1100
        assert end_ms - start_ms - 80 <= made.duration_ms <= end_ms - start_ms + slack_ms
        assert made.mode == (mode if make not in (transport, old) else "exact")
        assert made.size_bytes == (tmp_path / "clip.mp4").stat().st_size


@pytest.mark.parametrize("cut", [cut_fast, cut_exact])
async def test_sound_stays_with_the_picture(tmp_path: Path, cut: Callable[..., object]) -> None:
    """A sound that begins with a certain frame begins with that frame in the clip."""
    source = media.make_numbered(tmp_path / "silent.mp4")
    beep = "aevalsrc=exprs='0.5*sin(2*PI*880*t)*gte(t,3)':sample_rate=48000:duration=5"
    media.ffmpeg("-i", source, "-f", "lavfi", "-i", beep, "-c:v", "copy", "-c:a", "aac", tmp_path / "beep.mp4")
    found = await probe(str(tmp_path / "beep.mp4"), limits=LIMITS)
    await cut(str(tmp_path / "beep.mp4"), found, tmp_path / "clip.mp4", 2500, 4500, limits=LIMITS)  # type: ignore[misc]
    picture = next(time for time, number in media.numbers(tmp_path / "clip.mp4") if number >= 90)
    loud = (
        frame.time for frame in media._frames(tmp_path / "clip.mp4", "audio") if abs(frame.to_ndarray()).max() > 0.2
    )
    assert next(loud) == pytest.approx(float(picture), abs=0.03)


async def test_sound_alone_is_cut_too(tmp_path: Path) -> None:
    """A clip of a recording without a picture has the length that was asked for."""
    media.ffmpeg("-f", "lavfi", "-i", "sine=duration=6", tmp_path / "a.wav")
    found = await probe(str(tmp_path / "a.wav"), limits=LIMITS)
    made = await cut_fast(str(tmp_path / "a.wav"), found, tmp_path / "clip.mp4", 1000, 3000, limits=LIMITS)
    assert made.mode == "exact"  # MP4 holds no plain samples
    assert made.duration_ms == pytest.approx(2000, abs=50)


async def test_an_empty_range_is_refused(tmp_path: Path) -> None:
    """A range that is empty or begins behind the end cannot be cut."""
    source = media.make_pattern(tmp_path / "short.mp4", seconds=2, sound=False)
    found = await probe(str(source), limits=LIMITS)
    for start_ms, end_ms in ((1000, 1000), (5000, 6000), (-5, 10)):
        with pytest.raises(InvalidRange):
            await cut_fast(str(source), found, tmp_path / "clip.mp4", start_ms, end_ms, limits=LIMITS)


async def test_a_poster_is_not_black(tmp_path: Path) -> None:
    """Where a video begins in the dark, a later picture stands for it; it is upright and at most 1280 wide."""
    dark = "color=black:size=1600x900:rate=5:duration=3[a];testsrc2=size=1600x900:rate=5:duration=7[b];[a][b]concat"
    media.ffmpeg("-f", "lavfi", "-i", dark, "-c:v", "libx264", "-preset", "ultrafast", "-g", "5", tmp_path / "dark.mp4")
    found = await probe(str(tmp_path / "dark.mp4"), limits=LIMITS)
    made = await make_poster(str(tmp_path / "dark.mp4"), found, tmp_path / "poster.jpg", limits=LIMITS)
    picture = cv2.imread(str(tmp_path / "poster.jpg"))
    assert (made.width, made.height) == (1280, 720) == picture.shape[1::-1]
    assert picture.var() > 500


async def test_a_proxy_is_one_file_with_its_index_in_front(tmp_path: Path) -> None:
    """The proxy has every frame and the sound, and begins with the index."""
    source = media.make_pattern(tmp_path / "source.mkv", seconds=3)
    found = await probe(str(source), limits=LIMITS)
    await make_proxy(str(source), found, tmp_path / "proxy.mp4", limits=LIMITS)
    data = (tmp_path / "proxy.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(media.times(tmp_path / "proxy.mp4")) == len(media.times(source))
    assert media.times(tmp_path / "proxy.mp4", "audio")
