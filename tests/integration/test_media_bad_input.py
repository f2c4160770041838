"""Bad input ends as an error with a stable code and a sentence; it reaches nothing beyond itself."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from mediaplane import errors
from mediaplane.pipeline.tools.audio import encode_audio
from mediaplane.pipeline.tools.child import Limits, run_child
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.ffmpeg import QUIET, ffmpeg_path
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import AudioStream, Chunk, Probe
from tests.services import made_media as media

LIMITS = Limits(seconds=60, address_space_mb=8192, output_mb=1024)


def ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is a shopping list, not a film\n" * 50)


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def without_index(path: Path) -> None:
    whole = media.make_pattern(path.with_name("whole.mp4"), seconds=2).read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])


def cut_within_index(path: Path) -> None:
    whole = media.make_pattern(path.with_name("whole.mp4"), seconds=2)
    path.write_bytes(whole.read_bytes()[:-2000])


def cut_short(path: Path) -> None:
    whole = media.make_pattern(path.with_name("whole.mp4"), seconds=3, encode=["-movflags", "+faststart"])
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])


def cut_short_matroska(path: Path) -> None:
    whole = media.make_pattern(path.with_name("whole.mkv"), seconds=3)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])


def subtitles_only(path: Path) -> None:
    path.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nhello\n")
    media.ffmpeg("-i", path.with_suffix(".srt"), "-f", "matroska", path)


def huge_picture(path: Path) -> None:
    big = ["-f", "lavfi", "-i", "color=size=16400x16:rate=1:duration=1", "-c:v", "mjpeg", "-f", "mov"]
    media.ffmpeg(*big, path)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (empty, errors.MediaEmpty),
        (text, errors.MediaUnreadable),
        (noise, errors.MediaUnreadable),
        (without_index, errors.MediaTruncated),
        (cut_within_index, errors.MediaTruncated),
        (cut_short, errors.MediaTruncated),
        (cut_short_matroska, errors.MediaTruncated),
        (subtitles_only, errors.MediaUnsupported),
        (huge_picture, errors.MediaTooLarge),
    ],
)
async def test_bad_media_is_named_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], None], kind: type[errors.MediaError]
) -> None:
    """Each kind of bad file has its own error, which is not retried and says what is wrong."""
    path = tmp_path / "video.mp4"
    make(path)
    with pytest.raises(kind) as caught:
        await probe(str(path), limits=LIMITS)
    assert not caught.value.retryable
    assert len(caught.value.message.split()) >= 5
    assert "Traceback" not in caught.value.message


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A socket that notes who connects."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
        thread.join(2)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT6S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
async def test_a_playlist_named_mp4_reaches_no_file_and_no_host(
    tmp_path: Path, listener: tuple[int, list[object]], kind: str
) -> None:
    """A playlist uploaded as a video is refused by the probe and by ffmpeg itself, without following it."""
    port, came = listener
    canary = media.make_pattern(tmp_path / "canary.ts", seconds=1)
    for target in (str(canary), f"http://127.0.0.1:{port}/canary.ts", f"tcp://127.0.0.1:{port}"):
        path = tmp_path / "video.mp4"
        path.write_text(PLAYLISTS[kind].format(target=target, port=port))
        with pytest.raises((errors.MediaUnreadable, errors.MediaUnsupported)):
            await probe(str(path), limits=LIMITS)
        sound = AudioStream(index=0, codec="aac", sample_rate=44100, channels=1, language="", start_us=0)
        believed = Probe("audio", "mov", 1000, 1000, seekable=False, video=None, audio=[sound])
        with pytest.raises(errors.MediaplaneError):
            await encode_audio(str(path), believed, out_dir=tmp_path / "audio", limits=LIMITS, on_progress=ignore)
        assert not list((tmp_path / "audio").glob("*.m4s"))
    assert came == []


async def test_a_path_that_looks_like_a_protocol_is_a_path(tmp_path: Path) -> None:
    """`concat:a|b` names a file, not ffmpeg's protocol of that name."""
    plain = media.make_pattern(tmp_path / "plain.mp4", seconds=1)
    with pytest.raises(errors.ObjectNotFound):
        await probe(f"concat:{plain}", limits=LIMITS)


async def test_the_cover_of_an_album_is_no_video(tmp_path: Path) -> None:
    """Sound with a cover picture in its file is sound."""
    media.ffmpeg(
        "-f", "lavfi", "-i", "color=red:size=64x64:rate=1:duration=1", "-frames:v", "1", tmp_path / "cover.png"
    )
    tone = ["-f", "lavfi", "-i", "sine=duration=1", "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v"]
    media.ffmpeg(*tone, "-c:a", "aac", "-c:v", "copy", "-disposition:v:0", "attached_pic", tmp_path / "song.m4a")
    found = await probe(str(tmp_path / "song.m4a"), limits=LIMITS)
    assert (found.kind, found.video, len(found.audio)) == ("audio", None, 1)


async def test_time_that_runs_out_is_an_error_of_the_media(tmp_path: Path) -> None:
    """More time than allowed ends as media_too_large, which is not tried again."""
    source = media.make_pattern(tmp_path / "long.mp4", seconds=12, size="960x720", sound=False)
    found = await probe(str(source), limits=LIMITS)
    with pytest.raises(errors.MediaTooLarge, match="1 second") as caught:
        await encode_chunk(
            str(source), found, Chunk(0, 0, None, None, None), out_dir=tmp_path / "out", short_sides=[720],
            frames_per_second=10, ocr=None, limits=Limits(1, 8192, 1024), on_progress=ignore,
        )  # fmt: skip
    assert not caught.value.retryable


async def test_space_and_memory_have_limits(tmp_path: Path) -> None:
    """A child that writes or takes more than it may ends as media_too_large."""
    endless = ["-f", "lavfi", "-i", "testsrc2=size=640x480", "-f", "rawvideo", str(tmp_path / "raw.yuv")]
    with pytest.raises(errors.MediaTooLarge):
        await run_child([ffmpeg_path(), *QUIET, *endless], limits=Limits(30, 8192, 1))
    assert (tmp_path / "raw.yuv").stat().st_size <= 1 << 20
    with pytest.raises(errors.MediaTooLarge):
        await run_child([sys.executable, "-c", "bytearray(1 << 30)"], limits=Limits(30, 500, 1))
