"""The text of a chunk without encoding anything: one decode, sampled frames, lines; in a child process."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mediaplane.pipeline.tools import ffmpeg
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.chunk import SEEK_EARLY_US, open_reader, read_frames
from mediaplane.pipeline.tools.encode import FrameGrid, frame_grid, reading_arguments
from mediaplane.pipeline.tools.results import Chunk, OcrOptions, Probe, ReadingResult
from mediaplane.pipeline.tools.source import input_arguments

DECODER_THREADS = 2
EXACT = ("mp4", "mov", "matroska", "webm")  # containers whose index leads to a keyframe at or before a time


async def read_chunk(
    source: str,
    probe: Probe,
    chunk: Chunk,
    *,
    out_dir: Path,
    ocr: OcrOptions,
    known_ms: Sequence[int],
    limits: Limits,
    on_progress: Callable[[float], None],
    ca_file: str | None = None,
) -> ReadingResult:
    """Read one chunk; frames that are kept go to `out_dir`/frames/, but for those of `known_ms`, which are stored.

    Raises:
        MediaError: the source cannot be decoded, or needs more than `limits`.
        ToolFailed, StorageError: reading or a tool failed for a reason that may pass.
    """
    request = {
        "source": source,
        "probe": probe.to_json(),
        "chunk": chunk.to_json(),
        "out_dir": str(out_dir),
        "ocr": ocr.to_json(),
        "known_ms": list(known_ms),
        "ca_file": ca_file,
    }
    return ReadingResult.from_json(await ask("reading", request, limits=limits, on_progress=on_progress))


def _work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    from mediaplane.pipeline.tools.pictures import debug_pictures, write_jpeg

    probe, chunk = Probe.from_json(request["probe"]), Chunk.from_json(request["chunk"])
    ocr, out_dir = OcrOptions.from_json(request["ocr"]), Path(request["out_dir"])
    video = probe.video
    assert video is not None
    reader = open_reader(video, ocr)
    grid = frame_grid(video, chunk, ocr.frames_per_second)
    # A seek that lands late would go unnoticed here: with no other container is it sure to land in time.
    early_us = 0 if any(name in probe.container for name in EXACT) else SEEK_EARLY_US
    source = input_arguments(request["source"], request["ca_file"])
    arguments = reading_arguments(source, video, chunk, grid, threads=DECODER_THREADS, seek_early_us=early_us)
    (out_dir / "frames").mkdir(parents=True, exist_ok=True)
    known = () if ocr.debug_pictures else frozenset(request["known_ms"])  # they are drawn on, so they are needed here
    kept: list[int] = []
    written: list[int] = []
    end_ms = 0
    with ffmpeg.running(arguments) as output:
        for position, frame in enumerate(read_frames(output, video)):
            if grid.end is not None and grid.first + position >= grid.end:
                continue  # ffmpeg holds the last frame until a time that belongs to the next chunk
            timestamp_ms = grid.timestamp_ms(position)
            end_ms = grid.timestamp_ms(position + 1)
            if reader.look(frame.luma, timestamp_ms):
                kept.append(timestamp_ms)
                if timestamp_ms not in known:
                    write_jpeg(frame, video, out_dir / "frames" / f"{timestamp_ms}.jpg")
                    written.append(timestamp_ms)
            _tell(report, chunk, grid, position)
    lines = reader.finish((chunk.end_us + 999) // 1000 if chunk.end_us is not None else end_ms)
    debug = debug_pictures(out_dir, kept, lines) if ocr.debug_pictures else []
    return ReadingResult(frames=kept, written=written, lines=lines, debug_frames=debug).to_json()


def _tell(report: Report, chunk: Chunk, grid: FrameGrid, position: int) -> None:
    if chunk.end_us is not None and position % 5 == 0:
        expected = Fraction(chunk.end_us - chunk.start_us, 1_000_000) * grid.rate
        report(float(min(Fraction(1), position / max(Fraction(1), expected))))


if __name__ == "__main__":
    answer(_work)
