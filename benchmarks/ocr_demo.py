"""Read the text on a recording with ScreenReader: lines as JSON, what it cost, and how many known phrases were found.

    python benchmarks/ocr_demo.py samples/demo.mp4 --truth samples/demo.truth.json

A phrase is found when its words stand in a row in one line (folded, spaces aside), at a time that overlaps the
phrase's by no more than a second off, in an interval no more than 3 s longer.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np

from mediaplane.media.words import fold, shape
from mediaplane.pipeline.tools.debug import draw_lines
from mediaplane.pipeline.tools.engine import open_engine
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.screen import ScreenReader

WIDER_MS, LONGER_MS = 1_000, 3_000


def frames(video: Path, rate: int, width: int, height: int) -> Iterator[tuple[int, Luma]]:
    """Yield (timestamp_ms, luma) `rate` times a second."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-vf", f"fps={rate}"]
    with subprocess.Popen(
        [*command, "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"], stdout=subprocess.PIPE, bufsize=width * height
    ) as tool:
        assert tool.stdout is not None
        number = 0
        while len(data := tool.stdout.read(width * height)) == width * height:
            yield number * 1000 // rate, np.frombuffer(data, np.uint8).reshape(height, width)
            number += 1


def letters(text: str) -> str:
    return shape(re.sub(r"\W|_", "", fold(text)))


def is_hit(line: Line, phrase: dict) -> bool:
    start, end = phrase["t_start_ms"], phrase["t_end_ms"]
    near = line.t_start_ms <= end + WIDER_MS and line.t_end_ms >= start - WIDER_MS
    short = line.t_end_ms - line.t_start_ms <= end - start + LONGER_MS
    return near and short and letters(phrase["text"]) in letters(line.text)


def report_truth(lines: list[Line], truth: list[dict]) -> None:
    missed = [phrase for phrase in truth if not any(is_hit(line, phrase) for line in lines)]
    for phrase in missed:
        wanted = letters(phrase["text"])
        seen = [(line.t_start_ms, line.t_end_ms, line.text) for line in lines if wanted in letters(line.text)]
        print("missed", json.dumps(phrase), "elsewhere:", seen, file=sys.stderr)
    share = 1 - len(missed) / len(truth)
    print(json.dumps({"phrases": len(truth), "found": len(truth) - len(missed), "share": round(share, 4)}))


def read(video: Path, rate: int, pictures: Path | None) -> tuple[list[Line], dict]:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
    reader = ScreenReader(width, height, open_engine("rapidocr"), languages=("en",))
    cpu, wall, kept, timestamp_ms = time.process_time(), time.monotonic(), {}, 0
    count = 0
    for timestamp_ms, luma in frames(video, rate, width, height):
        count += 1
        if reader.look(luma, timestamp_ms):
            kept[timestamp_ms] = luma if pictures else None
    lines = reader.finish(timestamp_ms + 1000 // rate)
    cost = {"frames": count, "kept": len(kept), "lines": len(lines), "cpu_s": round(time.process_time() - cpu, 1)}
    cost |= {"wall_s": round(time.monotonic() - wall, 1)}
    cost |= {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for at_ms, luma in kept.items():
            colour = cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)
            cv2.imwrite(str(pictures / f"{at_ms:07}.jpg"), draw_lines(colour, lines, at_ms))
    return lines, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--truth", type=Path, help='JSON: [{"text", "t_start_ms", "t_end_ms"}]')
    parser.add_argument("--rate", type=int, default=10, help="frames per second that are looked at")
    parser.add_argument("--pictures", type=Path, help="a folder for the kept frames with boxes and text drawn in")
    parser.add_argument("--quiet", action="store_true", help="no lines")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    lines, cost = read(options.video, options.rate, options.pictures)
    for line in [] if options.quiet else lines:
        print(json.dumps(line.to_json(), ensure_ascii=False))
    print(json.dumps(cost))
    if options.truth:
        report_truth(lines, json.loads(options.truth.read_text()))


if __name__ == "__main__":
    main()
