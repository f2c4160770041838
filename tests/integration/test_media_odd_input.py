"""Odd input gets right results: turned, uneven, deep, fast, silent, many-voiced, endless, late, jumping, still."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mediaplane.media.playlists import master_playlist, media_playlist
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.image import make_pictures
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Chunk, ChunkResult, Probe, SoundResult
from tests.services import made_media as media

LIMITS = Limits(seconds=120, address_space_mb=8192, output_mb=1024)
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Made:
    """What a source gave, and playlists of it that play from the directory."""

    found: Probe
    parts: list[tuple[Chunk, ChunkResult]]
    sound: SoundResult | None
    picture: Path | None
    tracks: list[Path]

    @property
    def rendition(self) -> Any:
        return self.parts[0][1].renditions[0]


async def make(source: Path, out: Path, *, chunk_seconds: int = 60, sides: Sequence[int] = (360,)) -> Made:
    """Probe, plan and encode all of `source` into `out`."""
    found = await probe(str(source), limits=LIMITS)
    parts = []
    if found.video is not None:
        for chunk in await plan_chunks(str(source), found, chunk_seconds=chunk_seconds, limits=LIMITS):
            result = await encode_chunk(
                str(source), found, chunk, out_dir=out / str(chunk.index), short_sides=sides, frames_per_second=10,
                ocr=None, limits=LIMITS, on_progress=ignore,
            )  # fmt: skip
            parts.append((chunk, result))
    sound = None
    if found.audio:
        (out / "sound").mkdir()
        sound = await encode_sound(str(source), found, out_dir=out / "sound", limits=LIMITS, on_progress=ignore)
    picture = None
    if parts:
        picture = media.write_playlist(out / "all.m3u8", parts, parts[0][1].renditions[0].name, "{index}")
    return Made(
        found, parts, sound, picture, [_sound_playlist(out, made) for made in (sound.renditions if sound else [])]
    )


def _sound_playlist(out: Path, made: Any) -> Path:
    place = f"sound/{made.name}"
    rows = [media.Row(f"{place}/{part.file}", f"{place}/{made.init_file}", part.duration_us) for part in made.segments]
    (out / f"{made.name}.m3u8").write_text(media_playlist(rows, lambda key: key))
    return out / f"{made.name}.m3u8"


def first_picture(path: Path) -> np.ndarray[Any, Any]:
    """Return the first frame as RGB."""
    return next(media._frames(path)).to_ndarray(format="rgb24").astype(int)


def samples(path: Path) -> tuple[np.ndarray[Any, Any], int, float]:
    """Return the sound as one channel, its rate, and the time of its first sample."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    joined = np.concatenate([frame.to_ndarray().reshape(frame.to_ndarray().shape[0], -1)[0] for frame in frames])
    return joined, frames[0].sample_rate, float(frames[0].pts * frames[0].time_base)


def loudest_hertz(path: Path) -> float:
    """Return the frequency that a sound has most of."""
    wave, rate, _ = samples(path)
    spectrum = np.abs(np.fft.rfft(wave[rate // 2 : rate // 2 + rate]))
    return float(np.argmax(spectrum[1:]) + 1)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
async def test_recording_turned_by_its_matrix_is_upright_everywhere(tmp_path, rotation, corner):
    """A phone's picture is upright in playlist, poster and scrubbing preview: a red mark is where a player shows it."""
    marked = "color=0x2040A0:s=320x180:r=10:d=2,drawbox=x=0:y=0:w=80:h=60:c=red:t=fill"
    media.ffmpeg("-f", "lavfi", "-i", marked, *H264, tmp_path / "plain.mp4")
    source = tmp_path / "turned.mp4"
    media.ffmpeg("-display_rotation", str(360 - rotation), "-i", tmp_path / "plain.mp4", "-c", "copy", source)
    made = await make(source, tmp_path, sides=(180,))
    assert made.found.video is not None
    assert made.found.video.rotation == rotation
    assert made.picture is not None
    await make_poster(str(source), made.found, tmp_path / "poster.jpg", limits=LIMITS)
    (sheet,) = made.parts[0][1].sheets
    with Image.open(tmp_path / "0" / "sprites" / sheet.file) as picture:
        tile = np.asarray(picture.crop((0, 0, sheet.tile_width, sheet.tile_height))).astype(int)
    upright = (320, 180) if rotation != 180 else (180, 320)
    for picture in (first_picture(made.picture), first_picture(tmp_path / "poster.jpg"), tile):
        assert (picture.shape[0] > picture.shape[1]) == (upright[0] > upright[1])
        red = picture[corner[0] * 8, corner[1] * 8]
        assert red[0] > 150 > red[2], "the mark is in its corner"
        assert picture[picture.shape[0] // 2, picture.shape[1] // 2][2] > 100, "and nowhere else"


async def test_portrait_keeps_its_shape(tmp_path):
    """A recording that is stored upright stays so; its rendition is named by the short side."""
    source = media.make_pattern(tmp_path / "portrait.mp4", seconds=2, size="360x640", sound=False)
    made = await make(source, tmp_path)
    assert [(entry.name, entry.width, entry.height) for entry in made.parts[0][1].renditions] == [("360p", 360, 640)]
    (sheet,) = made.parts[0][1].sheets
    assert (sheet.tile_width, sheet.tile_height) == (134, 240)


async def test_sound_of_a_variable_rate_stays_in_step(tmp_path):
    """In ten minutes of uneven frames flash and tone of every minute are within 40 ms of one another, to the end."""
    flash = "color=black:s=32x32:r=30:d=600,drawbox=c=white:t=fill:enable='lt(mod(t\\,60)\\,0.5)'"
    uneven = "select='lt(mod(t\\,60)\\,0.1)+not(mod(n\\,7))*lt(mod(t\\,13)\\,6)+not(mod(n\\,3))*gte(mod(t\\,13)\\,6)'"
    tone = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t\\,60)\\,0.3)':s=8000:d=600"
    source = tmp_path / "uneven.mp4"
    media.ffmpeg(
        "-f", "lavfi", "-i", f"{flash},{uneven}", "-f", "lavfi", "-i", tone, *H264, "-fps_mode", "vfr",
        "-enc_time_base", "1:90000", "-g", "100", "-c:a", "aac", source,
    )  # fmt: skip
    made = await make(source, tmp_path, chunk_seconds=300)
    assert made.found.video is not None
    assert made.found.video.variable_frame_rate
    assert len(made.parts) == 3  # the first of two is halved
    assert made.picture is not None
    bright = [
        (float(f.pts * f.time_base), f.to_ndarray()[: f.height].mean() > 128) for f in media._frames(made.picture)
    ]
    flashes = [
        time for (time, now), (_, before) in zip(bright, [(0.0, False), *bright], strict=False) if now and not before
    ]
    wave, rate, start = samples(made.tracks[0])
    loud = np.abs(wave) > 0.1
    tones = [start + number * 60.0 for number in range(10)]
    heard = [
        float(np.argmax(loud[max(0, int((t - start - 1) * rate)) :])) / rate + max(0.0, t - start - 1) + start
        for t in tones
    ]
    assert len(flashes) == 10
    drifts = [abs(seen - sounded) * 1000 for seen, sounded in zip(flashes, heard, strict=True)]
    assert max(drifts) <= 40, drifts


async def test_ten_bits_are_played_as_eight(tmp_path):
    """A 10-bit recording becomes one that every browser plays, as bright as it was."""
    source = tmp_path / "deep.mkv"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"]
    media.ffmpeg("-f", "lavfi", "-i", "smptebars=s=160x120:r=10:d=1", *encode, source)
    made = await make(source, tmp_path)
    assert made.found.video is not None
    assert made.picture is not None
    assert made.found.video.bit_depth == 10
    frame = next(media._frames(made.picture))
    assert frame.format.name == "yuv420p"
    assert first_picture(made.picture).mean() == pytest.approx(first_picture(source).mean(), abs=3)


async def test_wide_pixels_become_square(tmp_path):
    """PAL of 720 x 576 for 16:9 is played, previewed and shown as wide as it is meant."""
    media.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=1", "-vf", "setsar=64/45", *H264, tmp_path / "pal.mp4")
    made = await make(tmp_path / "pal.mp4", tmp_path, sides=(576,))
    assert (made.rendition.width, made.rendition.height) == (1024, 576)
    (sheet,) = made.parts[0][1].sheets
    assert sheet.tile_width / sheet.tile_height == pytest.approx(16 / 9, rel=0.02)
    picture = await make_poster(str(tmp_path / "pal.mp4"), made.found, tmp_path / "poster.jpg", limits=LIMITS)
    assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.02)


async def test_frames_of_120_a_second_are_all_played(tmp_path):
    """None is lost or doubled, and the level is one that players take for such a rate."""
    source = media.make_pattern(tmp_path / "fast.mp4", rate="120", seconds=2, size="320x180", sound=False)
    made = await make(source, tmp_path, sides=(180,))
    assert made.picture is not None
    wanted, played = media.times(source), media.times(made.picture)
    assert len(played) == len(wanted) == 240
    assert np.allclose(np.diff([float(time) for time in played]), 1 / 120, atol=0.0005)
    assert made.rendition.frame_rate == 120
    assert made.sound is None
    assert made.found.audio == []


async def test_default_of_several_sounds_plays_and_the_others_can_be_chosen(tmp_path):
    """The track marked as default is first, commentary last, each with its language and title in the playlist."""
    tones = [("500", "eng", "Director", "comment"), ("700", "deu", "", "0"), ("900", "fra", "Original", "default")]
    inputs = [word for hertz, *_ in tones for word in ("-f", "lavfi", "-i", f"sine={hertz}:d=3")]
    maps = [word for number in range(3) for word in ("-map", f"{number + 1}:a")]
    about = [
        word
        for number, (_, language, title, disposition) in enumerate(tones)
        for word in (
            f"-metadata:s:a:{number}", f"language={language}", f"-metadata:s:a:{number}", f"title={title}",
            f"-disposition:a:{number}", disposition,
        )
    ]  # fmt: skip
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=3"]
    media.ffmpeg(*picture, *inputs, "-map", "0:v", *maps, *H264, "-c:a", "aac", *about, tmp_path / "many.mkv")
    made = await make(tmp_path / "many.mkv", tmp_path)
    assert made.sound is not None
    assert [(entry.name, entry.language, entry.title) for entry in made.sound.renditions] == [
        ("audio", "fra", "Original"), ("audio-2", "deu", ""), ("audio-3", "eng", "Director"),
    ]  # fmt: skip
    assert [round(loudest_hertz(path), -1) for path in made.tracks] == [900, 700, 500]
    rows: Any = [
        _Listed(entry.name, "audio" if entry.width is None else "video", entry)
        for entry in [made.rendition, *made.sound.renditions]
    ]
    listed = [line for line in master_playlist(rows, lambda name: f"{name}.m3u8").splitlines() if "TYPE=AUDIO" in line]
    assert [('LANGUAGE="fra",DEFAULT=YES' in line, 'DEFAULT=NO' in line) for line in listed] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    assert len({line.partition('NAME="')[2].partition('"')[0] for line in listed}) == 3


class _Listed:
    """A rendition as the master playlist wants it."""

    def __init__(self, name: str, kind: str, entry: Any) -> None:
        self.name, self.kind, self._entry = name, kind, entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)


SOUNDS: dict[str, list[str]] = {
    "memo.m4a": ["-c:a", "aac"],
    "song.mp3": ["-c:a", "libmp3lame"],
    "take.wav": ["-c:a", "pcm_s24le"],
    "take.flac": ["-ar", "96000"],
    "voice.ogg": ["-c:a", "libopus"],
    "browser.weba": ["-c:a", "libopus", "-f", "webm", "-live", "1"],
    "raw.aac": ["-c:a", "aac", "-f", "adts"],
    "phone.amr": ["-ar", "8000", "-ac", "1", "-c:a", "pcm_s16le", "-f", "caf"],
    "lying.mp4": ["-c:a", "libmp3lame", "-f", "mp3"],
}


@pytest.mark.parametrize("name", sorted(SOUNDS))
async def test_sound_alone_plays_and_is_drawn(tmp_path, name):
    """Sound of any kind, whatever its name: one rendition of its length, peaks and a waveform that show its pause."""
    quiet = "sine=440:d=6,volume=enable='between(t,2,4)':volume=0"
    media.ffmpeg("-f", "lavfi", "-i", quiet, *SOUNDS[name], tmp_path / name)
    made = await make(tmp_path / name, tmp_path)
    assert (made.found.kind, made.parts) == ("audio", [])
    assert made.sound is not None
    (rendition,) = made.sound.renditions
    assert rendition.codecs == "mp4a.40.2"
    assert sum(part.duration_us for part in rendition.segments) == pytest.approx(6_000_000, abs=150_000)
    assert made.sound.length_us == pytest.approx(6_000_000, abs=150_000)
    peaks = json.loads((tmp_path / "sound" / "peaks.json").read_text())
    assert (peaks["version"], peaks["channels"], peaks["bits"]) == (2, 1, 8)
    assert len(peaks["data"]) == 2 * peaks["length"]
    seconds = peaks["samples_per_pixel"] / peaks["sample_rate"]
    highest = np.array(peaks["data"][1::2])
    assert highest[int(1 / seconds)] > 8
    assert highest[int(3 / seconds)] <= 1
    assert highest[int(5 / seconds)] > 8
    with Image.open(tmp_path / "sound" / "waveform.png") as picture:
        drawn = np.asarray(picture.convert("RGBA"))[..., 3] > 0
    tall = drawn.sum(axis=0)
    assert tall[drawn.shape[1] // 6] > 0.8 * drawn.shape[0]
    assert tall[drawn.shape[1] // 2] < 5


def browser_recording(path: Path) -> Path:
    """Write what MediaRecorder writes: WebM without duration, cues and sizes."""
    vp8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    return media.make_pattern(path / "recorded.webm", seconds=4, encode=[*vp8, "-f", "webm", "-live", "1"])


def late_start(path: Path) -> Path:
    """Write a transport stream whose clock is at 20 hours when it begins."""
    plain = media.make_pattern(path / "plain.mp4", seconds=4)
    media.ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", "72000", path / "late.ts")
    return path / "late.ts"


def joined(path: Path, *, offset: str) -> Path:
    """Write two transport streams into one file; the second begins at another time."""
    first = media.make_pattern(path / "first.ts", seconds=2)
    plain = media.make_pattern(path / "plain.mp4", seconds=2)
    media.ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", offset, path / "second.ts")
    (path / "joined.ts").write_bytes(first.read_bytes() + (path / "second.ts").read_bytes())
    return path / "joined.ts"


def jump_back(path: Path) -> Path:
    return joined(path, offset="0")


def jump_ahead(path: Path) -> Path:
    return joined(path, offset="5000")


@pytest.mark.parametrize("source", [browser_recording, late_start, jump_back, jump_ahead])
async def test_times_that_are_missing_late_or_jump_play_through(tmp_path, source: Callable[[Path], Path]):
    """Four seconds are played as four seconds, frame after frame, with the sound as long as the picture."""
    made = await make(source(tmp_path), tmp_path)
    assert made.picture is not None
    played = [float(time) for time in media.times(made.picture)]
    assert len(played) == 120
    assert played[0] == pytest.approx(1.0, abs=0.05)
    assert np.allclose(np.diff(played), 1 / 30, atol=0.021)
    wave, rate, _ = samples(made.tracks[0])
    assert len(wave) / rate == pytest.approx(4.0, abs=0.15)
    if source is browser_recording:
        assert made.found.duration_ms is None
    assert len(made.parts) == 1
    (sheet,) = made.parts[0][1].sheets
    assert sheet.tiles in ((8, 9) if source is browser_recording else (2, 3)), "one each half second, or each two"


async def test_pause_in_a_recording_stays(tmp_path):
    """A hole in the timeline of a container that has one timeline is a pause: what comes behind keeps its time."""
    plain = media.make_pattern(tmp_path / "plain.mkv", seconds=6, encode=["-g", "30"])
    kept = "setpts='if(gte(N,60),PTS+20/TB,PTS)'"
    media.ffmpeg("-i", plain, "-vf", kept, *H264, "-fps_mode", "passthrough", "-an", tmp_path / "hole.mkv")
    made = await make(tmp_path / "hole.mkv", tmp_path)
    assert made.picture is not None
    played = [float(time) for time in media.times(made.picture)]
    assert max(np.diff(played)) == pytest.approx(20 + 1 / 30, abs=0.01)


async def test_gif_moves_or_is_a_picture(tmp_path):
    """An animated GIF is a video without sound; one picture in a GIF is an image."""
    media.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=161x91:r=10:d=2", tmp_path / "moving.gif")
    media.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-frames:v", "1", tmp_path / "still.gif")
    made = await make(tmp_path / "moving.gif", tmp_path)
    assert (made.found.kind, made.found.audio) == ("video", [])
    assert made.picture is not None
    assert len(media.times(made.picture)) == 20
    still = await probe(str(tmp_path / "still.gif"), limits=LIMITS)
    await make_pictures(str(tmp_path / "still.gif"), out_dir=tmp_path, ocr=None, limits=LIMITS)
    assert (tmp_path / "poster.jpg").exists()
    assert (still.kind, still.video and still.video.width) == ("image", 160)


async def test_odd_sides_of_every_kind(tmp_path):
    """Sizes that no encoder takes are evened; the smallest picture there is still gives one."""
    for size in ("1x1", "3x177", "1999x3"):
        source = tmp_path / f"{size}.mkv"
        media.ffmpeg("-f", "lavfi", "-i", f"color=red:s={size}:r=10:d=1", "-c:v", "ffv1", "-pix_fmt", "bgr0", source)
        out = tmp_path / size
        out.mkdir()
        made = await make(source, out)
        assert made.picture is not None
        assert len(media.times(made.picture)) == 10
        assert made.rendition.width % 2 == made.rendition.height % 2 == 0
