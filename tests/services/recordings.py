"""Recordings made for tests: pages of known text, each shown for a while, with a tone as sound."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

SIZE = (1280, 720)
RATE = 10


def make_recording(path: Path, pages: Sequence[tuple[float, Sequence[str]]], *, sound: bool = True) -> Path:
    """Write a recording: `pages` are (seconds, lines), shown one after the other."""
    seconds = sum(duration for duration, _ in pages)
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac", "-shortest"] if sound else []
    picture = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", str(RATE), "-i", "pipe:0"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-g", str(RATE * 2)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *picture, *tone, *encode, str(path)]
    frames = b"".join(render(lines) * round(duration * RATE) for duration, lines in pages)
    subprocess.run(command, input=frames, check=True)
    return path


def render(lines: Sequence[str]) -> bytes:
    """Return one gray frame with the lines, dark on light."""
    frame = np.full((SIZE[1], SIZE[0]), 245, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(frame, line, (60, 90 + number * 70), cv2.FONT_HERSHEY_SIMPLEX, 1.3, 20, 2, cv2.LINE_AA)
    return frame.tobytes()
