"""One decode of a chunk: HLS renditions, sampled frames, and the text that is read on them.

A python process of its own starts ffmpeg, which decodes once, encodes the renditions and sends sampled frames
through a pipe. When reading text is slower than decoding the pipe fills and ffmpeg waits.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from mediaplane.errors import ToolFailed
from mediaplane.pipeline.tools import ffmpeg
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.audio import progress_reader
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.encode import OFFSET_US, FrameGrid, chunk_arguments, frame_grid, still_grid
from mediaplane.pipeline.tools.fragments import first_time_us, read_rendition
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.results import (
    Candidate,
    Chunk,
    ChunkResult,
    EncodedRendition,
    OcrOptions,
    Probe,
    SpriteSheet,
    VideoStream,
)
from mediaplane.pipeline.tools.sizes import RenditionSize, even_side, rendition_ladder
from mediaplane.pipeline.tools.source import input_arguments

if TYPE_CHECKING:  # numpy, OpenCV and PyAV take most of a second to import, and only reading text needs them
    import numpy as np
    from numpy.typing import NDArray

    from mediaplane.pipeline.tools.pictures import YuvFrame

__all__ = ["Chunk", "ChunkResult", "OcrOptions", "encode_chunk"]

FIRST_FRAME_TOLERANCE_US = 2_000
SEEK_EARLY_US = 30_000_000  # for a second try where the first landed behind the keyframe


async def encode_chunk(
    source: str,
    probe: Probe,
    chunk: Chunk,
    *,
    out_dir: Path,
    short_sides: Sequence[int],
    frames_per_second: float,
    ocr: OcrOptions | None,
    limits: Limits,
    on_progress: Callable[[float], None],
    ca_file: str | None = None,
    threads: int = 2,
) -> ChunkResult:
    """Encode and read one chunk into `out_dir`: `{rendition}/`, `frames/{timestamp_ms}.jpg`, `sprites/`, `debug/`.

    `threads` is for each encoder and the decoder. Without `ocr` no frame is looked at and none is kept.

    Raises:
        MediaError: the source cannot be decoded, or needs more than `limits`.
        ToolFailed, StorageError: reading or a tool failed for a reason that may pass.
    """
    request = {
        "source": source,
        "probe": probe.to_json(),
        "chunk": chunk.to_json(),
        "out_dir": str(out_dir),
        "short_sides": list(short_sides),
        "frames_per_second": frames_per_second,
        "ocr": ocr.to_json() if ocr else None,
        "ca_file": ca_file,
        "threads": threads,
    }
    return ChunkResult.from_json(await ask("chunk", request, limits=limits, on_progress=on_progress))


class Reader(Protocol):
    """What looks at sampled frames: `ScreenReader`, or a stand-in of a test."""

    def look(self, luma: "NDArray[np.uint8]", timestamp_ms: int) -> bool: ...  # True: keep this frame
    def finish(self, end_ms: int) -> list[Line]: ...


def _work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    probe = Probe.from_json(request["probe"])
    ocr = OcrOptions.from_json(request["ocr"]) if request["ocr"] else None
    assert probe.video is not None
    reader = open_reader(probe.video, ocr) if ocr else None
    encoding = Encoding(request, probe, report)
    try:
        result = encoding.run(reader)
    except _LandedLate:
        reader = open_reader(probe.video, ocr) if ocr else None
        result = encoding.run(reader, seek_early_us=SEEK_EARLY_US)
    data = result.to_json()
    if ocr and ocr.debug_pictures:
        from mediaplane.pipeline.tools.pictures import debug_pictures

        data["debug_frames"] = debug_pictures(Path(request["out_dir"]), result.frames, result.lines)
    return data


def open_reader(video: VideoStream, ocr: OcrOptions) -> Reader:
    """Return who reads frames of this size, with its models loaded."""
    import cv2

    from mediaplane.pipeline.tools.engine import open_engine
    from mediaplane.pipeline.tools.screen import ScreenReader

    cv2.setNumThreads(1)
    engine = open_engine(ocr.engine, ocr.languages)
    return ScreenReader(video.width, video.height, engine, min_confidence=ocr.min_confidence, languages=ocr.languages)


class _LandedLate(ToolFailed):
    """The first frame is not the chunk's: the seek went too far."""


class Encoding:
    """One chunk being encoded, in the child process."""

    def __init__(self, request: dict[str, Any], probe: Probe, report: Report) -> None:
        assert probe.video is not None
        self._probe, self._video, self._report = probe, probe.video, report
        self._chunk = Chunk.from_json(request["chunk"])
        self._source = input_arguments(request["source"], request["ca_file"])
        self._out_dir = Path(request["out_dir"])
        self._threads: int = request["threads"]
        self._frames_per_second: float = request["frames_per_second"]
        video = self._video
        self._sizes = rendition_ladder(
            video.width, video.height, short_sides=request["short_sides"], sample_aspect=video.sample_aspect
        )

    def run(self, reader: Reader | None, *, seek_early_us: int = 0) -> ChunkResult:
        """Encode, let `reader` look at the sampled frames, and return what there is."""
        grid = frame_grid(self._video, self._chunk, self._frames_per_second) if reader else None
        stills = still_grid(self._video, self._chunk)
        arguments = chunk_arguments(
            self._source, self._probe, self._chunk, self._sizes, grid,
            threads=self._threads, stills=stills, seek_early_us=seek_early_us,
        )  # fmt: skip
        for folder in [*(size.name for size in self._sizes), "frames", "stills"]:
            (self._out_dir / folder).mkdir(parents=True, exist_ok=True)
        with ffmpeg.running(arguments, cwd=self._out_dir) as output:
            kept = self._look(output, grid, reader) if grid and reader else self._listen(output)
        renditions = [self._rendition(size) for size in self._sizes]
        if self._chunk.start_pts is not None:
            self._check_first(renditions[0])
        end_us = self._chunk.start_us + sum(segment.duration_us for segment in renditions[0].segments)
        lines = reader.finish((end_us + 999) // 1000) if reader else []
        sheets, candidates = self._preview(stills) if stills else ([], [])
        return ChunkResult(
            end_us=end_us, renditions=renditions, frames=kept, lines=lines, sheets=sheets, candidates=candidates
        )

    def _preview(self, grid: FrameGrid) -> tuple[list[SpriteSheet], list[Candidate]]:
        from mediaplane.pipeline.tools.stills import find_candidates, make_sheets, read_stills

        found = read_stills(self._out_dir / "stills", grid)
        prefix = f"c{self._chunk.index:05d}"
        sheets = make_sheets(found, self._out_dir / "sprites", prefix=prefix, tile_ms=self._chunk.still_ms)
        return sheets, find_candidates(found)

    def _look(self, output: IO[bytes], grid: FrameGrid, reader: Reader) -> list[int]:
        from mediaplane.pipeline.tools.pictures import write_jpeg

        kept = []
        expected = self._expected_frames(grid)
        for position, frame in enumerate(read_frames(output, self._video)):
            timestamp_ms = grid.timestamp_ms(position)
            if grid.end is not None and grid.first + position >= grid.end:
                continue  # ffmpeg holds the last frame until a time that belongs to the next chunk
            if reader.look(frame.luma, timestamp_ms):
                write_jpeg(frame, self._video, self._out_dir / "frames" / f"{timestamp_ms}.jpg")
                kept.append(timestamp_ms)
            if position % 5 == 0 and expected:
                self._report(min(1.0, position / expected))
        return kept

    def _expected_frames(self, grid: FrameGrid) -> int:
        if self._chunk.end_us is None:
            return 0
        return int(Fraction(self._chunk.end_us - self._chunk.start_us, 1_000_000) * grid.rate)

    def _listen(self, output: IO[bytes]) -> list[int]:
        length_us = (self._chunk.end_us or 0) - self._chunk.start_us
        read = progress_reader(self._report, start_us=self._chunk.start_us, length_us=length_us)
        for line in output:
            read(line.decode(errors="replace"))
        return []

    def _rendition(self, size: RenditionSize) -> EncodedRendition:
        ends_at_next = self._chunk.end_pts is not None and self._chunk.end_us is not None
        length_us = (self._chunk.end_us or 0) - self._chunk.start_us if ends_at_next else None
        rate = round(float(self._video.frame_rate), 3)
        folder = self._out_dir / size.name
        return read_rendition(folder, length_us=length_us, width=size.width, height=size.height, frame_rate=rate)

    def _check_first(self, rendition: EncodedRendition) -> None:
        folder = self._out_dir / rendition.name
        with (folder / rendition.segments[0].file).open("rb") as segment:
            first_us = first_time_us((folder / rendition.init_file).read_bytes(), segment.read(4096))
        if abs(first_us - OFFSET_US - self._chunk.start_us) > FIRST_FRAME_TOLERANCE_US:
            raise _LandedLate(
                f"chunk {self._chunk.index} begins at {first_us - OFFSET_US} us, not {self._chunk.start_us}"
            )


def read_frames(output: IO[bytes], video: VideoStream) -> "Iterator[YuvFrame]":
    """Yield the raw frames of a pipe, each in memory of its own.

    Raises:
        ToolFailed: the last one is not whole: ffmpeg was killed, whatever the source is like.
    """
    import numpy as np

    from mediaplane.pipeline.tools.pictures import YuvFrame

    width, height = even_side(video.width), even_side(video.height)
    size = width * height * 3 // 2
    while True:
        data = np.empty(size, np.uint8)
        view, filled = data.data, 0
        while filled < size and (count := output.readinto(view[filled:])):  # type: ignore[attr-defined]
            filled += count
        if filled == 0:
            return
        if filled < size:
            raise ToolFailed("ffmpeg was ended within a frame")
        yield YuvFrame(data.reshape(height * 3 // 2, width), video.width, video.height)


if __name__ == "__main__":
    answer(_work)
