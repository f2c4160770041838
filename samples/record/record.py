"""Record samples/demo.mp4 and samples/demo.truth.json: one command, real programs, nothing left running.

The script opens a virtual screen, plays the tour of tour.py on it (terminal, editor, browser), records the screen
with ffmpeg, lays an espeak-ng narration under the picture at the times it was due, encodes the result, and derives
the truth file (which phrase can be read when) from the recorded frames themselves; truth.py says how.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from itertools import pairwise
from pathlib import Path

from desktop import CONTENT, HEIGHT, WIDTH, Desktop
from tour import Narrator, narration_lines, open_windows, play
from truth import check_truth, find_truth

SAMPLES = Path(__file__).resolve().parent.parent
FPS = 30
MAX_BYTES = 3_800_000
PACKAGES = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "xsetroot": "x11-xserver-utils",
    "xdotool": "xdotool",
    "xterm": "xterm",
    "gvim": "vim-gtk3",
    "chromium": "chromium",
    "ffmpeg": "ffmpeg",
    "espeak-ng": "espeak-ng",
}
FONTS = "fonts-dejavu"


def missing_packages() -> list[str]:
    """Name the Debian packages of the programs that are not installed."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def speak(work: Path) -> dict[str, Path]:
    """Turn every narration line into a wave file."""
    files = {}
    for name, text in narration_lines().items():
        files[name] = work / f"voice-{name}.wav"
        subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "165", "-w", str(files[name]), text], check=True)
    return files


def wave_seconds(path: Path) -> float:
    with wave.open(str(path)) as sound:
        return float(sound.getnframes() / sound.getframerate())


def start_capture(desk: Desktop, raw: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start ffmpeg on the virtual screen, without loss and as cheap as possible."""
    command = f"ffmpeg -nostdin -f x11grab -framerate {FPS} -video_size {WIDTH}x{HEIGHT} -i {desk.env['DISPLAY']}"
    codec = "-fps_mode passthrough -c:v libx264rgb -preset ultrafast -qp 0 -g 60 -y"
    with log.open("wb") as stream:
        return desk.start([*command.split(), *codec.split(), str(raw)], stderr=stream.fileno())


def wait_for_start(log: Path) -> float:
    """Return the wall-clock of the first frame, as ffmpeg reports it."""
    for _ in range(100):
        found = re.search(r"start: (\d+\.\d+)", log.read_text(errors="replace"))
        if found:
            return float(found[1])
        time.sleep(0.1)
    raise RuntimeError("ffmpeg did not start to record")


def record(work: Path, voices: dict[str, Path]) -> dict[str, float]:
    """Record the tour to raw.mkv; return when each narration line is due, in seconds of the video."""
    narrator = Narrator({name: wave_seconds(path) for name, path in voices.items()})
    with Desktop(work) as desk:
        windows = open_windows(desk)
        capture = start_capture(desk, work / "raw.mkv", work / "capture.log")
        first_frame = wait_for_start(work / "capture.log")
        play(desk, windows, narrator)
        Desktop.stop(capture, signal.SIGINT)
    return {name: start - first_frame for name, start in narrator.starts.items()}


def late_frames(raw: Path) -> tuple[int, float]:
    """Count the gaps that are longer than a frame and a half, and measure the longest (seconds)."""
    query = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    times = subprocess.run([*query, str(raw)], check=True, capture_output=True, text=True).stdout.split()
    stamps = sorted(float(stamp.strip(",")) for stamp in times)
    gaps = [after - before for before, after in pairwise(stamps)]
    return sum(gap > 1.5 / FPS for gap in gaps), max(gaps)


def mix_voice(work: Path, voices: dict[str, Path], due: dict[str, float]) -> Path:
    """Lay all narration lines on one track, each at its time."""
    names = list(due)
    inputs = [word for name in names for word in ("-i", str(voices[name]))]
    delays = [f"[{i}]aresample=48000,adelay={round(due[name] * 1000)}:all=1[v{i}]" for i, name in enumerate(names)]
    together = "".join(f"[v{i}]" for i in range(len(names)))
    graph = ";".join([*delays, f"{together}amix=inputs={len(names)}:normalize=0,volume=0.8[out]"])
    track = work / "voice.wav"
    run_ffmpeg([*inputs, "-filter_complex", graph, "-map", "[out]", "-ac", "1", str(track)])
    return track


def run_ffmpeg(arguments: list[str]) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def encode(work: Path, track: Path) -> Path:
    """Encode for publication: the best quality whose file is small enough."""
    target = work / "demo.mp4"
    for crf in (18, 20, 22, 24, 26, 28, 30):
        picture = f"-r {FPS} -fps_mode cfr -c:v libx264 -preset slow -crf {crf} -g 120 -pix_fmt yuv420p".split()
        colour = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
        scale = ["-vf", f"fps={FPS},scale=out_color_matrix=bt709:out_range=tv"]
        sound = ["-c:a", "aac", "-b:a", "56k", "-ac", "1", "-af", "apad", "-shortest"]
        end = ["-map_metadata", "-1", "-movflags", "+faststart", str(target)]
        sources = ["-i", str(work / "raw.mkv"), "-i", str(track)]
        run_ffmpeg([*sources, *scale, *picture, *colour, *sound, *end])
        print(f"crf {crf}: {target.stat().st_size} bytes", flush=True)
        if target.stat().st_size <= MAX_BYTES:
            return target
    raise RuntimeError(f"the video does not fit in {MAX_BYTES} bytes")


def write_truth(entries: list[dict[str, str | int]], path: Path) -> None:
    rows = ",\n".join("  " + json.dumps(entry) for entry in entries)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def make(work: Path, *, keep_capture: bool) -> None:
    """Record (unless told to keep the capture), encode, find the truth, check it, and put both files in place."""
    voices = speak(work)
    due_file = work / "due.json"
    if not keep_capture:
        due_file.write_text(json.dumps(record(work, voices)))
    late, longest = late_frames(work / "raw.mkv")
    print(f"capture: {late} late frames, longest gap {longest * 1000:.0f} ms", flush=True)
    if longest > 0.15:
        raise SystemExit("the machine was too busy to record smoothly; please run this again")
    phrases = (CONTENT / "phrases.txt").read_text(encoding="utf-8").splitlines()
    entries, trackers = find_truth(work / "raw.mkv", phrases, work)
    video = encode(work, mix_voice(work, voices, json.loads(due_file.read_text())))
    entries = check_truth(video, entries, trackers)
    shutil.copyfile(video, SAMPLES / "demo.mp4")
    write_truth(entries, SAMPLES / "demo.truth.json")
    print(f"{len(entries)} entries, {len({entry['text'] for entry in entries})} phrases")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, help="folder for intermediate files, kept (default: a temporary one)")
    parser.add_argument("--keep-capture", action="store_true", help="use the capture that is already in --work")
    options = parser.parse_args()
    missing = missing_packages()
    if missing:
        sys.exit(f"please install these Debian packages: {' '.join([*missing, FONTS])}")
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        make(options.work.resolve(), keep_capture=options.keep_capture)
    else:
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            make(Path(folder), keep_capture=False)


if __name__ == "__main__":
    main()
