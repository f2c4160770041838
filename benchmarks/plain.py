"""Whole ingest against the way that the pages of `cortana-vision` describe.

That way: an ffmpeg run for each rendition, one that writes ten JPEGs a second, a perceptual hash that drops a frame
which is 0.95 like the last one kept, and tesseract on each frame that is left.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from benchmarks import figures, phrases
from benchmarks.encoding import encode_and_read
from benchmarks.recordings import make_recording, read_truth
from mediaplane.pipeline.tools.lines import Line

SEEDS, RATE = (1, 2, 3), 10
SIDES = (1080, 720, 360)
SAME = 0.95
HASH_SIDE, DCT_SIDE = 8, 32


def look_hash(picture: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of a picture: 64 bits, the signs of its slowest waves."""
    small = cv2.resize(picture, (DCT_SIDE, DCT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE]
    return (waves > np.median(waves)).ravel()


def ingest_plainly(video: Path, folder: Path) -> list[Line]:
    """Encode and read a recording as described; return a line for each frame and line of text."""
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(video)]
    for side in SIDES:
        (folder / str(side)).mkdir()
        h264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        hls = ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod"]
        output = [*h264, "-b:a", "96k", *hls, str(folder / str(side) / "index.m3u8")]
        subprocess.run([*tool, "-vf", f"scale=-2:{side}", *output], check=True)
    (folder / "frames").mkdir()
    subprocess.run([*tool, "-vf", f"fps={RATE}", "-q:v", "3", str(folder / "frames" / "%06d.jpg")], check=True)
    return [line for path in _kept(folder / "frames") for line in _read(path)]


def _kept(folder: Path) -> list[Path]:
    kept: list[Path] = []
    last: np.ndarray | None = None
    for path in sorted(folder.iterdir()):
        look = look_hash(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        if last is None or np.mean(look == last) < SAME:
            kept.append(path)
            last = look
    return kept


def _read(path: Path) -> list[Line]:
    at_ms = (int(path.stem) - 1) * 1000 // RATE
    command = ["tesseract", str(path), "stdout", "--psm", "6", "-l", "eng"]
    environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    return [Line(at_ms, at_ms, text, (0, 0, 1, 1), 1.0, "en", at_ms) for text in said.splitlines() if text.strip()]


def measure(name: str, seed: int, seconds: int) -> tuple[float, float, int, int]:
    """Return processor seconds and phrases found, ours and the plain way's."""
    video = make_recording(phrases.folder(), name, seed=seed, seconds=seconds)
    truth = read_truth(video)
    with tempfile.TemporaryDirectory() as ours_in, tempfile.TemporaryDirectory() as plain_in:
        began = figures.spent_seconds()
        ours = phrases.found(encode_and_read(video, Path(ours_in)), truth)
        between = figures.spent_seconds()
        plain = phrases.found(ingest_plainly(video, Path(plain_in)), truth)
        ended = figures.spent_seconds()
    print(f"{video.name}: ours {phrases.shown(truth, ours)}; plain {phrases.shown(truth, plain)}", file=sys.stderr)
    return between - began, ended - between, len(ours), len(plain)


def run_text(_runs: int, seconds: int) -> None:
    """Print `plain_cpu` and `plain_found`: of three recordings the worst for us."""
    seen = [measure("text", seed, seconds) for seed in SEEDS]
    cost = max(seen, key=lambda one: one[0] / one[1])
    share = min(seen, key=lambda one: one[2] / max(1, one[3]))
    about = {"peer_name": "run per rendition, pHash, tesseract", "runs": 1}
    figures.report("plain_cpu", ours=cost[0], peer=cost[1], unit="processor s, worst of 3", **about)
    figures.report("plain_found", ours=share[2], peer=share[3], unit="phrases, worst of 3", **about)


def run_pictures(_runs: int, seconds: int) -> None:
    """Print `pictures_cpu`: a recording that is mostly moving pictures."""
    ours, plain, _, _ = measure("film", 1, seconds)
    figures.report(
        "pictures_cpu", ours=ours, peer=plain, peer_name="run per rendition, pHash, tesseract", unit="processor s",
        runs=1,
    )  # fmt: skip
