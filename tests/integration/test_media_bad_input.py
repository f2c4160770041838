"""Bad input ends as an error with a stable code and a sentence; it reaches nothing beyond itself."""

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from mediaplane import errors
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits, run_child
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.ffmpeg import QUIET, ffmpeg_path
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import AudioStream, Chunk, Probe
from tests.services import made_media as media
from tests.services.disks import small_disk

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


def huge_image(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path, "PNG")


def huge_video(path: Path, side: int = 20_000) -> None:
    """Write a video whose header says 20,000 x 20,000; its data would be a gigabyte a frame."""
    small = ["-f", "lavfi", "-i", "color=size=64x48:rate=5:duration=1", "-c:v", "rawvideo", "-pix_fmt", "bgr24"]
    media.ffmpeg(*small, "-f", "avi", path)
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12  # BITMAPINFOHEADER: size, width, height
    data[at : at + 8] = struct.pack("<ii", side, side)
    path.write_bytes(data)


def large_video(path: Path) -> None:
    """Write a video whose header says as much as libavformat believes."""
    huge_video(path, 16_000)


def scrambled_index(path: Path) -> None:
    """Overwrite where the index says that frames lie: far behind the end."""
    media.make_pattern(path, seconds=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"stco") + 8
    count = int.from_bytes(data[at : at + 4], "big")
    data[at + 4 : at + 4 + 4 * count] = b"\x7f\xff\xff\x00" * count
    path.write_bytes(data)


def index_of_sizes_gone_mad(path: Path) -> None:
    """Overwrite the sizes of frames: each would be two gigabytes."""
    media.make_pattern(path, seconds=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"stsz") + 12
    count = int.from_bytes(data[at : at + 4], "big")
    data[at + 4 : at + 4 + 4 * count] = b"\x7f\xff\xff\x00" * count
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (huge_image, errors.MediaTooLarge),
        (huge_video, errors.MediaUnreadable),
        (large_video, errors.MediaTooLarge),
        (scrambled_index, errors.MediaTruncated),
        (index_of_sizes_gone_mad, errors.MediaTruncated),
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
            await encode_sound(str(path), believed, out_dir=tmp_path, limits=LIMITS, on_progress=ignore)
        assert not list((tmp_path / "audio").glob("*.m4s"))
    assert came == []


async def test_a_container_that_points_elsewhere_reaches_no_file_and_no_host(
    tmp_path: Path, listener: tuple[int, list[object]]
) -> None:
    """An MP4 whose samples are said to lie in another file, or at a URL, is not followed there."""
    port, came = listener
    secret = media.make_pattern(tmp_path / "secret.mp4", seconds=1, sound=False)
    for target in (f"file://{secret}", f"http://127.0.0.1:{port}/secret.mp4"):
        path = tmp_path / "video.mp4"
        media.make_pattern(path, seconds=1, sound=False)
        path.write_bytes(_pointing_elsewhere(path.read_bytes(), target))
        believed = await probe(str(secret), limits=LIMITS)
        with pytest.raises(errors.MediaError):
            await encode_chunk(
                str(path), await probe(str(path), limits=LIMITS), Chunk(0, 0, None, None, None),
                out_dir=tmp_path / "out", short_sides=[96], frames_per_second=10, ocr=None, limits=LIMITS,
                on_progress=ignore,
            )  # fmt: skip
        assert believed.video is not None
    assert came == []


def _pointing_elsewhere(data: bytes, target: str) -> bytes:
    """Replace the data reference of the only track, and overwrite the frames that the file has itself.

    The index lies behind the data, so that nothing else moves. Source: ISO/IEC 14496-12, section 8.7.2.
    """
    reference = b"\0\0\0\x0curl \0\0\0\x01"  # flag 1: the data is in this file
    at = data.index(reference)
    url = b"url \0\0\0\0" + target.encode() + b"\0"
    changed = bytearray(data[:at] + struct.pack(">I", len(url) + 4) + url + data[at + len(reference) :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = changed.index(name, changed.index(b"moov") if name != b"moov" else 0) - 4
        (size,) = struct.unpack_from(">I", changed, place)
        struct.pack_into(">I", changed, place, size + len(url) + 4 - len(reference))
    frames = changed.index(b"mdat") + 4
    changed[frames : changed.index(b"moov") - 4] = bytes(changed.index(b"moov") - 4 - frames)
    return bytes(changed)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
async def test_eight_hours_of_one_frame_are_refused_at_once(tmp_path: Path, container: str) -> None:
    """One picture that is shown for hours is not looked at ten times a second; the sentence says what to do."""
    source = tmp_path / f"standing.{container}"
    moments = "setpts='if(eq(N,0),0,28800/TB)'"
    encode = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0", "-fps_mode", "passthrough"]
    media.ffmpeg("-f", "lavfi", "-i", "color=s=64x48:r=1:d=2", "-vf", moments, *encode, source)
    found = await probe(str(source), limits=LIMITS)
    with pytest.raises(errors.MediaUnsupported, match="image") as caught:
        await plan_chunks(str(source), found, chunk_seconds=60, limits=LIMITS)
    assert "8:00:0" in caught.value.message
    assert not caught.value.retryable


async def test_a_full_disk_is_tried_again_later(tmp_path: Path) -> None:
    """A scratch directory without room is no fault of the media: the work is tried again, and works once there is."""
    source = media.make_pattern(tmp_path / "video.mp4", seconds=6, size="640x480")
    found = await probe(str(source), limits=LIMITS)
    (chunk,) = await plan_chunks(str(source), found, chunk_seconds=60, limits=LIMITS)
    with small_disk(tmp_path / "disk", "256k") as disk:
        for attempt in (_encode_picture, _encode_sound):
            with pytest.raises(errors.ToolFailed, match=r"(?i)no space left") as caught:
                await attempt(source, found, chunk, disk)
            assert caught.value.retryable
    for attempt in (_encode_picture, _encode_sound):
        await attempt(source, found, chunk, tmp_path / "roomy")


async def _encode_picture(source: Path, found: Probe, chunk: Chunk, out: Path) -> None:
    await encode_chunk(
        str(source), found, chunk, out_dir=out / "picture", short_sides=[480], frames_per_second=10, ocr=None,
        limits=LIMITS, on_progress=ignore,
    )  # fmt: skip


async def _encode_sound(source: Path, found: Probe, _chunk: Chunk, out: Path) -> None:
    if out.name == "disk":  # sound is small: leave it nothing
        with suppress(OSError):
            (out / "filler").write_bytes(bytes(1 << 20))
    await encode_sound(str(source), found, out_dir=out, limits=LIMITS, on_progress=ignore)


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
