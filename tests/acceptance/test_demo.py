"""`make demo` on the recording that comes with the project: at least 95% of its phrases are found where they are."""

import json
import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.plane import clean_environ

ROOT = Path(__file__).resolve().parents[2]
FOUND_SHARE = 0.95
WIDENED_MS = 1000
LONGER_MS = 3000


@pytest.fixture
def demo(tmp_path):
    """Run the demo, kept running; give its environment and its report."""
    state = tmp_path / "state"
    environ = clean_environ(state)
    finished = run_demo(environ, "--keep")
    try:
        assert finished.returncode == 0, finished.stdout + finished.stderr
        yield environ, json.loads((state / "demo.json").read_text()), json.loads((state / "up.json").read_text())
    finally:
        if (state / "up.json").exists():
            os.kill(json.loads((state / "up.json").read_text())["pid"], signal.SIGINT)


def run_demo(environ, *arguments):
    command = [sys.executable, "scripts/demo.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=900, check=False)


def test_demo_shows_the_main_job(demo):
    """The report has what a person wants to see, and the phrases of the recording are found."""
    _, report, running = demo
    assert report["ingest"]["status"] == "ready"
    assert {"original", "segment", "playlist", "frame", "poster"} <= {
        entry["role"] for entry in report["asset"]["objects"]
    }
    assert [search["kind"] for search in report["searches"]] == ["a phrase", "a misspelt word", "a hashtag"]
    assert all(search["hits"] for search in report["searches"])
    assert report["playback"]["seconds"] == pytest.approx(report["ingest"]["duration_ms"] / 1000, abs=0.2)
    assert report["clip"]["size_bytes"] > 0

    truth = json.loads((ROOT / "samples" / "demo.truth.json").read_text())
    missed = [phrase for phrase in truth if not is_found(running["url"], phrase)]
    share = 1 - len(missed) / len(truth)
    print(f"found {share:.1%} of {len(truth)} phrases; missed: {[phrase['text'] for phrase in missed]}")
    assert share >= FOUND_SHARE, missed


def is_found(url: str, phrase: dict[str, object]) -> bool:
    """Tell whether a hit overlaps the phrase's time, widened by a second, and is at most three seconds longer."""
    start, end = int(phrase["t_start_ms"]), int(phrase["t_end_ms"])
    query = urllib.parse.urlencode({"q": f'"{phrase["text"]}"', "limit": 50})
    with urllib.request.urlopen(f"{url}/v1/search?{query}", timeout=30) as answer:
        hits = json.load(answer)["hits"]
    return any(
        hit["t_start_ms"] <= end + WIDENED_MS
        and hit["t_end_ms"] >= start - WIDENED_MS
        and hit["t_end_ms"] - hit["t_start_ms"] <= end - start + LONGER_MS
        for hit in hits
    )
