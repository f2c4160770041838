"""Ingest through a running plane: how long, how much processor, how much memory, and how soon something is found.

`ingest_wall`, `ingest_cpu`: with OCR off until playable ÷ one plain ffmpeg run that makes the same renditions.
`first_minute`: until phrases of all four quarters of the first minute are found ÷ until all is ready, of ten minutes.
`two_workers`: wall of two workers ÷ one worker's. `up_seconds`: the second start of `mediaplane up`.
`worker_mb`, `api_mb`, `children_mb`: the most seen while a recording is worked on.
"""

import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import figures, phrases
from benchmarks.figures import report
from benchmarks.plane import Running, running_plane
from benchmarks.recordings import make_recording, read_truth

MINUTE, MEMORY_SECONDS = 60, 60
POLL_SECONDS = 0.5


def looped(seconds: int) -> Path:
    """Return a text recording of so many whole minutes, or of less than one: a minute of it again and again, copied."""
    minute = make_recording(phrases.folder(), "text", seed=1, seconds=min(seconds, MINUTE))
    if seconds <= MINUTE:
        return minute
    path = minute.with_name(f"looped-{seconds}s.mp4")
    if not path.exists():
        tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-stream_loop", str(seconds // MINUTE - 1)]
        copy = ["-i", str(minute), "-c", "copy", "-f", "mp4"]
        subprocess.run([*tool, *copy, str(path.with_suffix(".part"))], check=True)
        path.with_suffix(".part").rename(path)
    return path


def encode_plainly(video: Path) -> None:
    """Make the same renditions with the same encoder settings in one ffmpeg run."""
    graph = "[0:v]split=3[a][t][u];[t]scale=1280:720[b];[u]scale=640:360[c]"
    h264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-bf", "0"]
    keys = ["-sc_threshold", "0", "-g", "100000", "-force_key_frames", "expr:gte(t,n_forced*6)", "-threads:v", "2"]
    hls = ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    streams = "v:0,name:1080p v:1,name:720p v:2,name:360p a:0,name:audio"
    with tempfile.TemporaryDirectory() as folder:
        maps = ["-map", "[a]", "-map", "[b]", "-map", "[c]", "-map", "0:a", "-c:a", "aac", "-b:a", "96k"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-filter_complex", graph, *maps]
        output = [*h264, *keys, *hls, "-var_stream_map", streams, f"{folder}/%v/index.m3u8"]
        subprocess.run([*command, *output], check=True)


def ingest(plane: Running, video: Path) -> tuple[float, float]:
    """Return wall and processor seconds of an ingest, from the command to `ready`."""
    began, before = time.monotonic(), plane.spent_seconds() + figures.spent_seconds()
    plane.ask("ingest", str(video))
    return time.monotonic() - began, plane.spent_seconds() + figures.spent_seconds() - before


def run_ingest(runs: int, seconds: int) -> None:
    """Print `ingest_wall` and `ingest_cpu`."""
    video = looped(seconds)
    walls: list[tuple[float, float]] = []
    spents: list[tuple[float, float]] = []
    for _ in range(runs):
        with running_plane(OCR_ENGINE="off") as plane:
            wall, spent = ingest(plane, video)
        began, before = time.monotonic(), figures.spent_seconds()
        encode_plainly(video)
        walls.append((wall, time.monotonic() - began))
        spents.append((spent, figures.spent_seconds() - before))
    for name, pairs, unit in (("ingest_wall", walls, "s"), ("ingest_cpu", spents, "processor s")):
        ours, peer = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        report(name, ours=ours, peer=peer, peer_name="one ffmpeg run", unit=unit, runs=runs)


def run_first_minute(_runs: int, seconds: int) -> None:
    """Print `first_minute`: one phrase of each quarter of the minute must be found, so that all of it is there."""
    video = looped(seconds)
    truth = read_truth(looped(MINUTE))
    waiting = [_clearest(truth, quarter * MINUTE * 250, (quarter + 1) * MINUTE * 250) for quarter in range(4)]
    with running_plane() as plane:
        began = time.monotonic()
        ingesting = plane.start("ingest", str(video))
        first: float | None = None
        whole: float | None = None
        while whole is None:
            whole = None if ingesting.poll() is None else time.monotonic() - began
            waiting = [phrase for phrase in waiting if not _is_found(plane, phrase)]
            if first is None and not waiting:
                first = time.monotonic() - began
            time.sleep(POLL_SECONDS)
    if waiting or ingesting.returncode:
        raise SystemExit(f"ingest ended with status {ingesting.returncode}; not found: {waiting}")
    report("first_minute", ours=first, peer=whole, peer_name="all of it ready", unit="s", runs=1)


def _clearest(truth: list[dict[str, Any]], start_ms: int, end_ms: int) -> str:
    """Return the phrase in the largest letters that is on the screen within a range only."""
    inside = [phrase for phrase in truth if start_ms <= phrase["t_start_ms"] and phrase["t_end_ms"] <= end_ms]
    return str(max(inside, key=lambda phrase: phrase["px"])["text"])


def _is_found(plane: Running, phrase: str) -> bool:
    query = urllib.parse.urlencode({"q": f'"{phrase}"', "limit": 20})
    return any(hit["t_start_ms"] < MINUTE * 1000 for hit in plane.get(f"/v1/search?{query}")["hits"])


def run_two_workers(_runs: int, seconds: int) -> None:
    """Print `two_workers`, with processor seconds and who did how many chunks on stderr."""
    video = looped(seconds)
    walls = {}
    for workers in ("2", "1"):
        slots = {"MEDIAPLANE_WORKER_SLOTS": "1", "MEDIAPLANE_CHUNK_SECONDS": str(max(10, seconds // 4))}
        with running_plane(MEDIAPLANE_WORKERS=workers, **slots) as plane:
            walls[workers], spent = ingest(plane, video)
            asset = plane.ask("ls")["assets"][0]["asset_id"]
            did = Counter(run["worker"] for run in plane.ask("show", asset)["stages"] if run["stage"] == "chunk")
        print(f"{workers} workers: {spent:.1f} processor s, chunks {sorted(did.values())}", file=sys.stderr)
    report("two_workers", ours=walls["2"], peer=walls["1"], peer_name="one worker", unit="s", runs=1)


def run_memory(_runs: int) -> None:
    """Print `worker_mb`, `api_mb` and `children_mb`."""
    video = looped(MEMORY_SECONDS)
    most = Counter[str]()
    with running_plane(MEDIAPLANE_CHUNK_SECONDS="30") as plane:
        ingesting = plane.start("ingest", str(video))
        while ingesting.poll() is None:
            plane.get("/v1/assets")
            most |= Counter(plane.memory_mb())
            time.sleep(POLL_SECONDS)
        plane.get("/v1/search?q=harbour")
        most |= Counter(plane.memory_mb())
    for name in ("worker", "api", "children"):
        report(f"{name}_mb", ours=most[name], unit="MiB, unique", runs=1)


def run_up(_runs: int) -> None:
    """Print `up_seconds`."""
    with tempfile.TemporaryDirectory() as directory:
        with running_plane(Path(directory)):
            pass
        with running_plane(Path(directory)) as plane:
            report("up_seconds", ours=plane.started_seconds, unit="s", runs=1)
