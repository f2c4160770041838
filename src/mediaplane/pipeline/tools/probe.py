"""What a file is: looks at the headers and decodes one frame, in a child process."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import av
import av.error
import av.logging

from mediaplane.errors import (
    MediaEmpty,
    MediaError,
    MediaTooLarge,
    MediaTruncated,
    MediaUnreadable,
    MediaUnsupported,
    StorageError,
)
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.containers import check_boxes, check_end, matroska_end
from mediaplane.pipeline.tools.results import AudioStream, Probe, VideoStream
from mediaplane.pipeline.tools.source import Head, av_options, read_head, shown

MAX_SIDE = 16_384  # what H.264 can hold
MAX_VIDEO_PIXELS = 8_192 * 4_320
_TRANSFERS = {16: "pq", 18: "hlg"}  # Source: ITU-T H.273, table 3
_READ_ERRORS = (av.error.HTTPError, av.error.OSError, av.error.ConnectionRefusedError, av.error.TimeoutError)
_UNREADABLE = "this file is no video, audio or image that we can read"
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: the cover of an album
_DEFAULT, _SPECIAL = 0x0001, 0x0008 | 0x0080 | 0x0100  # default; comment, hearing and visually impaired
MAX_TITLE = 80
_SAMPLED_ENTRIES = 3000  # of an index: enough to see that the rate varies


async def probe(source: str, *, limits: Limits, ca_file: str | None = None) -> Probe:
    """Return what `source` is. Reads its headers and its first frame, never all of it.

    Raises:
        MediaEmpty: zero bytes.
        MediaUnreadable: it is no media, or its first frame cannot be decoded.
        MediaTruncated: its index is missing, or names data beyond its end.
        MediaUnsupported: it has no picture and no sound.
        MediaTooLarge: the picture has too many pixels.
        ObjectNotFound, AccessDenied, StorageError: the store said so.
    """
    return Probe.from_json(await ask("probe", {"source": source, "ca_file": ca_file}, limits=limits))


def _work(request: dict[str, Any], _report: Report) -> dict[str, Any]:
    source, ca_file = request["source"], request["ca_file"]
    head = read_head(source, ca_file)
    if head.size_bytes == 0:
        raise MediaEmpty("the file has zero bytes: the upload may have been cut off; send it again")
    if head.is_image:
        return _describe_image(source, ca_file, head)
    check_boxes(source, ca_file, head)
    if head.data.startswith(b"GIF8") and _stands_still(source, ca_file):
        return _describe_image(source, ca_file, head)
    with opened(source, ca_file) as container:
        return _describe(container, head).to_json()


def _describe_image(source: str, ca_file: str | None, head: Head) -> dict[str, Any]:
    from mediaplane.pipeline.tools.image import describe_image  # with numpy and Pillow, which recordings do without

    return describe_image(source, ca_file, head).to_json()


def _stands_still(source: str, ca_file: str | None) -> bool:
    """Tell whether a GIF has one picture only."""
    with opened(source, ca_file) as container:
        return sum(1 for _ in islice((packet for packet in container.demux(video=0) if packet.size), 2)) == 1


@contextmanager
def opened(source: str, ca_file: str | None) -> Iterator[Any]:
    """Open `source` with libavformat; its errors become ours, those of the block too.

    Raises:
        MediaUnreadable, MediaTruncated: it cannot be opened, or what was read in the block makes no sense.
        StorageError: reading failed.
    """
    av.logging.set_level(None)  # it would write to our stderr, which is for our own last words
    with _translated(source):
        try:
            options = av_options(source, ca_file)
            container = av.open(source, options=options, metadata_errors="ignore")
        except av.error.InvalidDataError as error:
            raise _not_opened(source, ca_file, error) from error
        with container:
            yield container


@contextmanager
def _translated(source: str) -> Iterator[None]:
    try:
        yield
    except _READ_ERRORS as error:
        raise StorageError(f"{shown(source)} cannot be read: {error.strerror}", retryable=True) from error
    except av.error.FFmpegError as error:
        raise MediaUnreadable(f"{_UNREADABLE}: {error.strerror}") from error


def _not_opened(source: str, ca_file: str | None, error: av.error.FFmpegError) -> MediaError:
    head = read_head(source, ca_file)
    if head.data[4:8] == b"ftyp":
        return MediaTruncated(
            "this MP4 has no index (moov): the recording was broken off, or the file is not whole; "
            "record or send it again, or repair it first"
        )
    return MediaUnreadable(f"{_UNREADABLE}: {error.strerror}")


def _describe(container: Any, head: Head) -> Probe:
    _check_whole(container, head)
    pictures = [stream for stream in container.streams.video if not int(stream.disposition) & _ATTACHED_PICTURE]
    sounds = [stream for stream in container.streams.audio if stream.codec_context and stream.codec_context.sample_rate]
    if not pictures and not sounds:
        raise MediaUnsupported("this file has no picture and no sound that we can use")
    return Probe(
        kind="video" if pictures else "audio",
        container=container.format.name,
        duration_ms=round(container.duration / 1000) if container.duration and container.duration > 0 else None,
        size_bytes=head.size_bytes,
        seekable=bool(pictures) and _is_seekable(container, pictures[0], head),
        audio=[_audio(stream) for stream in sorted(sounds, key=_is_second_choice)],
        video=_video(container, pictures[0]) if pictures else None,
    )


def _is_second_choice(stream: Any) -> tuple[bool, bool]:
    """Order sound tracks: the one meant to be heard first; commentaries and those for the hard of hearing last."""
    return bool(int(stream.disposition) & _SPECIAL), not int(stream.disposition) & _DEFAULT


def _audio(stream: Any) -> AudioStream:
    return AudioStream(
        index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        sample_rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.channels,
        language="" if stream.language in (None, "und") else stream.language,
        start_us=round((stream.start_time or 0) * stream.time_base * 1_000_000),
        title=str(stream.metadata.get("title", ""))[:MAX_TITLE],
    )


def _video(container: Any, stream: Any) -> VideoStream:
    context = stream.codec_context
    if context is None:
        raise MediaUnsupported("no decoder for the picture is known")
    if not context.width:  # libavformat believes no header that says more than it can hold
        raise MediaUnreadable(
            "the header says no size of the picture that can be believed: "
            f"at most {MAX_VIDEO_PIXELS:,} pixels and {MAX_SIDE:,} a side are taken"
        )
    _check_size(context.width, context.height)
    frame = _first_frame(container, stream)
    rotation = -frame.rotation % 360 // 90 * 90 if frame.rotation % 90 == 0 else 0
    width, height = (frame.height, frame.width) if rotation in (90, 270) else (frame.width, frame.height)
    aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
    rate = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    return VideoStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=width,
        height=height,
        rotation=rotation,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in frame.format.components),
        hdr=_TRANSFERS.get(int(context.color_trc), ""),  # type: ignore[arg-type]
        color_matrix=int(frame.colorspace),
        full_range=int(frame.color_range) == 2 or frame.format.name.startswith("yuvj"),
        frame_rate=rate,
        variable_frame_rate=_varies(stream),
        sample_aspect=1 / aspect if rotation in (90, 270) else aspect,
        time_base=Fraction(stream.time_base),
        start_pts=frame.pts if frame.pts is not None else (stream.start_time or 0),
        frame_count=stream.frames or None,
        has_b_frames=bool(context.has_b_frames),
        interlaced=bool(frame.interlaced_frame),
    )


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_VIDEO_PIXELS or max(width, height) > MAX_SIDE:
        raise MediaTooLarge(
            f"the picture has {width} x {height} pixels; at most {MAX_VIDEO_PIXELS:,} and {MAX_SIDE:,} a side are taken"
        )


def _first_frame(container: Any, stream: Any) -> Any:
    stream.codec_context.thread_count = 1
    try:
        for frame in container.decode(stream):
            _check_size(frame.width, frame.height)
            return frame
    except av.error.FFmpegError as error:
        raise MediaUnreadable(f"the picture cannot be decoded: {error.strerror}") from error
    raise MediaTruncated("the file has a picture track but not one whole frame")


def _varies(stream: Any) -> bool:
    """Tell whether frames come at uneven times: by the index where there is one, else by the header's two rates."""
    entries = stream.index_entries
    if stream.frames and len(entries) >= 3:
        times = [entry.timestamp for entry in entries[: min(len(entries), _SAMPLED_ENTRIES)]]
        steps = [later - earlier for earlier, later in pairwise(times[:-1])]
        return bool(steps) and max(steps) - min(steps) > 1 + max(steps) // 50
    average, base = stream.average_rate, stream.base_rate
    return bool(average and base and abs(Fraction(average) / Fraction(base) - 1) > Fraction(1, 100))


def _is_seekable(container: Any, stream: Any, head: Head) -> bool:
    """Tell whether the container has an index of keyframes, so that seeking reads little and lands where it should.

    MPEG-TS, AVI, FLV and others are searched by guessing at byte positions: they are worked on in one piece.
    """
    if not container.duration:
        return False
    if "matroska" in container.format.name:
        seek_entry_of_cues = b"\x53\xab\x84\x1c\x53\xbb\x6b"  # SeekID, size 4, the id of Cues. Source: RFC 9559
        return seek_entry_of_cues in head.data[:8192]
    if "mov" not in container.format.name:
        return False
    entries = stream.index_entries
    if len(entries) < 2:
        return False
    covered = (entries[-1].timestamp - entries[0].timestamp) * stream.time_base * 1_000_000
    return bool(covered >= container.duration * 0.8 or len(entries) == stream.frames)


def _check_whole(container: Any, head: Head) -> None:
    """Check that what the index names is there."""
    ends = [entries[-1].pos + entries[-1].size for stream in container.streams if len(entries := stream.index_entries)]
    check_end(max(ends, default=0) if "mov" in container.format.name else 0, head)
    check_end(matroska_end(head.data) if "matroska" in container.format.name else 0, head)


if __name__ == "__main__":
    answer(_work)
