"""Playlists say what players need, and cost little."""

import itertools
import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.playlists import master_playlist, media_playlist


@dataclass(frozen=True, slots=True)
class Rendition:
    name: str
    kind: str
    width: int | None
    height: int | None
    frame_rate: float | None
    bandwidth: int
    codecs: str
    language: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    key: str
    init_key: str
    duration_us: int


LARGE = Rendition("1080p", "video", 1920, 1080, 29.97, 4_000_000, "avc1.640028")
SMALL = Rendition("360p", "video", 640, 360, 29.97, 400_000, "avc1.64001e")
SOUND = Rendition("audio", "audio", None, None, None, 100_000, "mp4a.40.2")


def test_master_of_picture_and_sound_names_both_codecs() -> None:
    """Each variant says bandwidth and codecs of picture and sound together, and uses the sound's group."""
    text = master_playlist([LARGE, SMALL, SOUND], lambda name: f"{name}.m3u8?token=t")
    assert text.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,URI="audio.m3u8?token=t"',
        (
            '#EXT-X-STREAM-INF:BANDWIDTH=4100000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,'
            'FRAME-RATE=29.970,AUDIO="sound"'
        ),
        "1080p.m3u8?token=t",
        (
            '#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=640x360,'
            'FRAME-RATE=29.970,AUDIO="sound"'
        ),
        "360p.m3u8?token=t",
    ]


def test_master_of_a_silent_video_has_no_audio_group() -> None:
    """Without sound no variant speaks of sound."""
    text = master_playlist([SMALL], lambda name: name)
    assert "AUDIO" not in text
    assert 'CODECS="avc1.64001e"' in text


def test_master_of_sound_alone_is_one_variant() -> None:
    """Sound alone is a variant by itself, in no group."""
    text = master_playlist([SOUND], lambda name: name)
    assert text.splitlines()[3:] == ['#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="mp4a.40.2"', "audio"]


@given(st.lists(st.tuples(st.integers(1, 9_000_000), st.integers(0, 3)), min_size=1))
def test_media_playlist_says_every_segment_with_its_length(drawn: list[tuple[int, int]]) -> None:
    """Lengths add up to the microsecond, none rounds above the target, and each init section stands where it begins."""
    rows = [Segment(f"s{place}", f"init{init}", length_us) for place, (length_us, init) in enumerate(drawn)]
    text = media_playlist(rows, lambda key: f"/{key}")
    lengths = [round(float(seconds) * 1_000_000) for seconds in re.findall(r"#EXTINF:([0-9.]+),", text)]
    assert lengths == [row.duration_us for row in rows]
    target = int(re.findall(r"TARGETDURATION:(\d+)", text)[0])
    assert all(int(length / 1_000_000 + 0.5) <= target for length in lengths)
    init, played = None, []
    for line in text.splitlines():
        if line.startswith("#EXT-X-MAP"):
            init = line.split('"')[1].strip("/")
        elif line.startswith("/"):
            played.append((line.strip("/"), init))
    assert played == [(row.key, row.init_key) for row in rows]
    assert text.count("#EXT-X-MAP") == 1 + sum(a.init_key != b.init_key for a, b in itertools.pairwise(rows))
    assert text.endswith("#EXT-X-ENDLIST\n")
