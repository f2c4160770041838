"""The main job on a real recording, from nothing: what `make demo` runs.

Starts `mediaplane up`, ingests the recording, shows its objects, finds words, plays it, cuts a clip; prints after each
how to repeat it by hand, and writes the same to `.mediaplane/demo.json`. Uses the command line only, as a user would.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import imageio_ffmpeg

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("MEDIAPLANE_STATE_DIR") or ".mediaplane")
DEMO = Path("samples/demo.mp4")
CLI = [str(Path(sys.executable).with_name("mediaplane"))]
START_SECONDS = 240
SEARCHES = (
    ("a phrase", '"harbour lights went on"'),
    ("a misspelt word", "gratitde"),
    ("a hashtag", "#plumseason"),
)


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, default=DEMO, help="recording to use")
    parser.add_argument("--keep", action="store_true", help="leave mediaplane up running")
    options = parser.parse_args()
    os.chdir(ROOT)
    began = time.monotonic()
    up = start_up()
    try:
        report = run(options.video)
    finally:
        if not options.keep:
            stop(up)
    report["seconds"] = round(time.monotonic() - began, 1)
    (STATE / "demo.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    say(f"\nDone in {report['seconds']:.0f} s; the same as JSON: {STATE}/demo.json")
    if options.keep:
        say(f"mediaplane up still runs (process {up.pid}): stop it with  kill {up.pid}")
    else:
        say("Nothing is left running: begin with .venv/bin/mediaplane up (make demo KEEP=1 leaves it on)")
    return 0


def run(video: Path) -> dict[str, Any]:
    """Do the main job on the running plane and return what was seen."""
    title("1. A recording goes in")
    ingested = call("ingest", str(video))["assets"][0]
    if ingested["status"] != "ready":
        raise SystemExit(f"the recording could not be processed: {ingested['error']}")
    asset = ingested["asset_id"]
    say(f"{asset} is ready{' (the same bytes were here: nothing was done again)' if ingested['reused'] else ''}")
    repeat("ingest", str(video))

    title("2. The asset and its objects")
    shown = call("show", asset)
    subprocess.run([*CLI, "show", asset], check=True)
    repeat("show", asset)

    title("3. Its words are found")
    searches = [search(kind, query, asset) for kind, query in choose_searches(asset, video)]

    title("4. It plays")
    url = call("url", asset)["url"]
    seconds = play(url)
    say(f"{url}\nffmpeg played it to the end: {seconds:.1f} s of {ingested['duration_ms'] / 1000:.1f} s")
    repeat("url", asset)

    title("5. It is cut")
    hit = next((found["hits"][0] for found in searches if found["hits"]), {"t_start_ms": 0, "t_end_ms": 3000})
    start, end = f"{hit['t_start_ms']}ms", f"{min(hit['t_end_ms'], hit['t_start_ms'] + 5000)}ms"
    file = STATE / "demo-clip.mp4"
    clip = call("clip", asset, start, end, "--output", str(file))
    say(f"{file}: {clip['size_bytes']} bytes, {play(str(file)):.1f} s")
    repeat("clip", asset, start, end, "--output", str(file))

    return {
        "ingest": ingested,
        "asset": shown,
        "searches": searches,
        "playback": {"url": url, "seconds": seconds},
        "clip": clip,
    }


def choose_searches(asset: str, video: Path) -> list[tuple[str, str]]:
    """Return the demo's own searches, or, for another video, some made from its words."""
    if video == DEMO:
        return list(SEARCHES)
    with urllib.request.urlopen(f"{gateway()}/v1/assets/{asset}/segments?limit=200") as answer:
        texts = [segment["text"] for segment in json.load(answer)["segments"]]
    words = max((text.split()[:3] for text in texts), key=lambda found: len(" ".join(found)), default=["hello"])
    longest = max((word for text in texts for word in text.split() if word.isalpha()), key=len, default="hello")
    hashtag = next((word for text in texts for word in text.split() if word.startswith("#")), "#hashtag")
    return [
        ("a phrase", f'"{" ".join(words)}"'),
        ("a misspelt word", longest[:2] + longest[3:]),
        ("a hashtag", hashtag),
    ]


def announced() -> int | None:
    """Return the process that wrote where everything is, which it does once all of it is ready."""
    try:
        pid: int = json.loads((STATE / "up.json").read_text())["pid"]
    except FileNotFoundError:
        return None
    return pid


def gateway() -> str:
    """Return the URL of the running gateway."""
    url: str = json.loads((STATE / "up.json").read_text())["url"]
    return url


def search(kind: str, query: str, asset: str) -> dict[str, Any]:
    """Search and print the moments."""
    say(f"\n{kind}: {query}")
    subprocess.run([*CLI, "search", "--limit", "3", "--asset", asset, query], check=True)
    repeat("search", query)
    return {"kind": kind, "query": query, **call("search", "--limit", "3", "--asset", asset, query)}


def start_up() -> subprocess.Popen[bytes]:
    """Start `mediaplane up` on a free port and wait until the other commands find it."""
    STATE.mkdir(parents=True, exist_ok=True)
    log = (STATE / "up.log").open("wb")
    up = subprocess.Popen(
        [*CLI, "up", "--port", "0"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
    )
    say(f"starting mediaplane up (state in {STATE}/, log in {STATE}/up.log) …")
    repeat("up")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if up.poll() is not None:
            raise SystemExit(f"mediaplane up did not start:\n{(STATE / 'up.log').read_text()}")
        if announced() == up.pid:
            return up
        time.sleep(0.1)
    stop(up)
    raise SystemExit(f"mediaplane up was not ready within {START_SECONDS} s: see {STATE}/up.log")


def stop(up: "subprocess.Popen[bytes]") -> None:
    """End `mediaplane up` as Ctrl-C would."""
    if up.poll() is None:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def call(*arguments: str) -> Any:
    """Run a command with `--json` and return its document; bars go to standard error."""
    finished = subprocess.run([*CLI, *arguments, "--json"], stdout=subprocess.PIPE, check=False)
    if finished.returncode and not finished.stdout:
        raise SystemExit(finished.returncode)
    return json.loads(finished.stdout)


def play(url: str) -> float:
    """Decode everything behind the URL with ffmpeg; return the seconds it played."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-progress", "pipe:1", "-i", url, "-f", "null", "-"]
    # Its remarks are kept back: it cuts off the renditions it does not play, and then complains of their last packet.
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"ffmpeg could not play {url}:\n{finished.stderr}")
    times = [line.partition("=")[2] for line in finished.stdout.splitlines() if line.startswith("out_time_us=")]
    return int(times[-1]) / 1e6


def repeat(*arguments: str) -> None:
    """Print how to do it by hand."""
    say(f"   by hand:  .venv/bin/mediaplane {shlex.join(arguments)}")


def title(text: str) -> None:
    """Print a heading."""
    say(f"\n── {text} " + "─" * max(0, 70 - len(text)))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
