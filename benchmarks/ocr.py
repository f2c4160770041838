"""What reading a recording costs and finds, against OCR of every frame.

`ocr_cpu`: our sampling and OCR ÷ OCR of every frame at 10 a second, from 50 frames spread over the recording.
`ocr_found`: phrases found ÷ phrases that OCR of one frame of each phrase's time finds.
`ocr_follows_change`: a page of which a line changes each second ÷ one that changes altogether.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from benchmarks import figures, phrases
from benchmarks.recordings import HEIGHT, WIDTH, make_recording, read_truth
from mediaplane.pipeline.tools.engine import Engine, open_engine
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.screen import ScreenReader

RATE, SAMPLES = 10, 50
ENGINE = "rapidocr"


def frames(video: Path, *, start_ms: int = 0, most: int | None = None) -> Iterator[tuple[int, Luma]]:
    """Yield (timestamp_ms, luma) ten times a second."""
    size = WIDTH * HEIGHT
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "2", "-ss", f"{start_ms / 1000:.3f}"]
    command += ["-i", str(video), "-vf", f"fps={RATE}", *(["-frames:v", str(most)] if most else [])]
    with subprocess.Popen(
        [*command, "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"], stdout=subprocess.PIPE, bufsize=size
    ) as tool:
        assert tool.stdout is not None
        number = 0
        while len(data := tool.stdout.read(size)) == size:
            yield start_ms + number * 1000 // RATE, np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)
            number += 1


def frame_at(video: Path, at_ms: int) -> Luma:
    """Return what is on the screen at a time."""
    return next(frames(video, start_ms=at_ms, most=1))[1]


def read_recording(video: Path, engine: str = ENGINE) -> tuple[float, list[Line]]:
    """Return the processor seconds of decoding, sampling and OCR, and the lines."""
    opened = open_engine(engine)
    began, at_ms = figures.spent_seconds(), 0
    reader = ScreenReader(WIDTH, HEIGHT, opened)
    for at_ms, luma in frames(video):
        reader.look(luma, at_ms)
    lines = reader.finish(at_ms + 1000 // RATE)
    return figures.spent_seconds() - began, lines


def read_frame(engine: str, luma: Luma) -> list[str]:
    """Return the lines of a whole frame."""
    opened = _engine(engine)
    boxes = opened.detect(luma)
    crops = [luma[box.y : box.bottom, box.x : box.right] for box in boxes]
    return [reading.text for reading in opened.recognise(crops)]


@cache
def _engine(name: str) -> Engine:
    return open_engine(name)


def every_frame_seconds(video: Path, seconds: int, samples: int) -> float:
    """Return the processor seconds that OCR of every frame would cost, from a spread sample."""
    costs = []
    for sample in range(samples):
        luma = frame_at(video, (2 * sample + 1) * seconds * 1000 // (2 * samples))
        began = time.process_time()
        read_frame(ENGINE, luma)
        costs.append(time.process_time() - began)
    return statistics.mean(costs) * seconds * RATE


def run_text(runs: int, seconds: int) -> None:
    """Print `ocr_cpu` and `ocr_found`."""
    video = make_recording(phrases.folder(), "text", seed=1, seconds=seconds)
    truth = read_truth(video)
    lines: list[Line] = []

    def ours() -> float:
        nonlocal lines
        spent, lines = read_recording(video)
        return spent

    spent, every = figures.alternate(runs, ours, lambda: every_frame_seconds(video, seconds, SAMPLES))
    figures.report(
        "ocr_cpu", ours=spent, peer=every, peer_name=f"{ENGINE} on every frame", unit="processor s", runs=runs
    )
    hits = phrases.found(lines, truth)
    peer = phrases.readable(truth, lambda at_ms: frame_at(video, at_ms), lambda luma: read_frame(ENGINE, luma))
    print(f"ours {phrases.shown(truth, hits)}; frames {phrases.shown(truth, peer)}", file=sys.stderr)
    figures.report("ocr_found", ours=len(hits), peer=len(peer), peer_name="one frame a phrase", unit="phrases", runs=1)


def run_change(runs: int, seconds: int) -> None:
    """Print `ocr_follows_change`."""
    videos = [make_recording(phrases.folder(), name, seed=1, seconds=seconds) for name in ("line", "page")]
    line, page = figures.alternate(runs, lambda: read_recording(videos[0])[0], lambda: read_recording(videos[1])[0])
    figures.report(
        "ocr_follows_change", ours=line, peer=page, peer_name="a whole page a second", unit="processor s", runs=runs
    )
