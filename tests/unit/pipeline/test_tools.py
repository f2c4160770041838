"""Sources are opened narrowly, failures become sentences without secrets, records survive JSON."""

import signal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane import errors
from mediaplane.pipeline.tools.containers import matroska_end
from mediaplane.pipeline.tools.failures import Tail, describe, failure, rebuild
from mediaplane.pipeline.tools.fragments import first_time_us, peak_bandwidth, read_codecs
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.results import ChunkResult, EncodedRendition, EncodedSegment, OcrOptions, Probe
from mediaplane.pipeline.tools.source import DEMUXERS, av_options, input_arguments, read_head
from tests.unit.pipeline.test_encode import probed


def test_protocols_are_only_those_of_the_source() -> None:
    """A file may open files, a URL only what HTTP needs; playlists are no demuxer of ours."""
    assert av_options("/media/a.mp4", None)["protocol_whitelist"] == "file"
    assert av_options("http://store/a", None)["protocol_whitelist"] == "http,tcp"
    secure = av_options("https://store/a", "/etc/ca.pem")
    assert (secure["protocol_whitelist"], secure["ca_file"], secure["tls_verify"]) == (
        "https,tls,tcp",
        "/etc/ca.pem",
        "1",
    )
    assert not set(DEMUXERS.split(",")) & {"hls", "dash", "concat", "image2", "lavfi", "sdp", "rtsp", "tty", "imf"}


def test_a_path_is_never_an_option_or_a_protocol() -> None:
    """Whatever a path looks like, ffmpeg gets it as a file."""
    for path in ("-y", "concat:a|b", "/media/http://x.mp4"):
        assert input_arguments(path, None)[-2:] == ["-i", f"file:{path}"]


def test_the_head_of_a_file_is_its_bytes_and_its_size(tmp_path: Path) -> None:
    """The first bytes tell images apart; what is missing is named."""
    (tmp_path / "a").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    head = read_head(str(tmp_path / "a"), None, length=16)
    assert (len(head.data), head.size_bytes, head.is_image) == (16, 108, True)
    assert not read_head(str(tmp_path / "a"), None, start=8, length=16).is_image
    with pytest.raises(errors.ObjectNotFound):
        read_head(str(tmp_path / "b"), None)
    with pytest.raises(errors.MediaUnreadable):
        read_head(str(tmp_path), None)


def tail(text: str) -> Tail:
    """Return the last words of a child that said `text`."""
    words = Tail()
    words.feed(text.encode())
    return words


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (1, "[mov @ 0x1] Invalid data found when processing input", errors.MediaUnreadable),
        (1, "Server returned 403 Forbidden", errors.ToolFailed),
        (1, "Error opening input: Input/output error", errors.ToolFailed),
        (1, "x264 [error]: malloc failed\nCannot allocate memory", errors.MediaTooLarge),
        (-signal.SIGXFSZ, "", errors.MediaTooLarge),
        (-signal.SIGKILL, "", errors.ToolFailed),
        (0, "[in#0] Error during demuxing: Input/output error", errors.ToolFailed),
    ],
)
def test_the_end_of_a_child_is_named(status: int, said: str, kind: type[errors.MediaplaneError]) -> None:
    """Bad media is not tried again, a broken connection is, and ffmpeg's status 0 after one is no success."""
    problem = failure("ffmpeg", status, tail(said))
    assert type(problem) is kind
    assert "0x1" not in problem.message


def test_all_is_well_after_damaged_frames() -> None:
    """Frames that cannot be decoded are skipped; that is no failure of the whole."""
    assert failure("ffmpeg", 0, tail("[h264] error while decoding MB 3 4\n[dec] Invalid data found")) is None


def test_an_error_crosses_processes_as_itself() -> None:
    """Class, sentence and whether it may pass survive; signatures do not."""
    for error in (
        errors.MediaTruncated("it ends early"),
        errors.ObjectNotFound("videos/a.mp4"),
        errors.StorageError("https://store/a?X-Amz-Signature=abc is slow", retryable=True),
    ):
        again = rebuild(describe(error))
        assert (type(again), again.code, again.retryable) == (type(error), error.code, error.retryable)
        assert "abc" not in again.message
    assert getattr(rebuild(describe(errors.ObjectNotFound("videos/a.mp4"))), "key", "") == "videos/a.mp4"


def test_records_survive_json() -> None:
    """What a child found is the same in its parent."""
    about = probed(frame_rate=Fraction(30000, 1001))
    assert Probe.from_json(about.to_json()) == about
    assert Probe.from_json(about.to_json() | {"new": 1}) == about
    line = Line(0, 1000, "hello", (1, 2, 3, 4), 0.9, "en", 0)
    made = EncodedRendition("360p", 640, 360, 29.97, 1, "avc1", "i.mp4", [EncodedSegment("a.m4s", 6_000_000, 10)])
    result = ChunkResult(6_000_000, [made], [0, 100], [line])
    assert ChunkResult.from_json(result.to_json()) == result
    assert OcrOptions.from_json({"engine": "rapidocr", "languages": ["en", "de"]}).languages == ("en", "de")


def test_bandwidth_is_the_peak_of_whole_segments() -> None:
    """A last segment of one frame, which is all keyframe, does not count."""
    parts = [EncodedSegment("a", 6_000_000, 600_000), EncodedSegment("b", 6_000_000, 750_000)]
    assert peak_bandwidth(parts) == 1_000_000
    assert peak_bandwidth([*parts, EncodedSegment("c", 33_333, 90_000)]) == 1_000_000


def test_codecs_and_first_time_are_read_from_the_boxes() -> None:
    """Profile and level stand in avcC, times in mdhd and tfdt."""
    assert read_codecs(b"....avcC\x01\x64\x00\x28....") == "avc1.640028"
    assert read_codecs(b"....esds....") == "mp4a.40.2"
    mdhd = b"mdhd" + bytes(4) + bytes(8) + (15360).to_bytes(4, "big")
    tfdt = b"tfdt" + b"\x01\0\0\0" + (15360 * 61).to_bytes(8, "big")
    assert first_time_us(mdhd, tfdt) == 61_000_000


@given(st.integers(0, 2**48))
def test_the_end_of_a_matroska_segment_is_read(size: int) -> None:
    """The size of eight bytes is added to where it ends; one of all ones is unknown."""
    data = b"\x1a\x45\xdf\xa3\x18\x53\x80\x67\x01" + size.to_bytes(7, "big") + bytes(8)
    assert matroska_end(data) == 16 + size
    assert matroska_end(b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(8)) == 0
    assert matroska_end(b"\x18\x53\x80\x67\xff" + bytes(20)) == 0
