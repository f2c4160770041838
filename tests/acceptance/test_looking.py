"""A directory goes in; a report tells how each file ended; what came out can be looked at, in terminal and browser."""

import os
import shutil
import subprocess
import tempfile

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.plane import running_plane
from tests.services import made_media as media
from tests.services.missing import give_up
from tests.services.recordings import make_recording

PAPER = {"light": 255, "dark": 20}  # red of the page's ground
BLUE = (74, 134, 207)  # of the waveform


@pytest.fixture
def directory(tmp_path):
    """Make a directory of media: a recording, one of a browser without a length, sound, and what is no media."""
    inside = tmp_path / "media"
    (inside / "phone").mkdir(parents=True)
    make_recording(inside / "talk.mp4", [(3.0, ("Everything is fine here",)), (3.0, ("Second page of it",))])
    vp8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    media.make_pattern(inside / "browser.webm", seconds=4, encode=[*vp8, "-f", "webm", "-live", "1"])
    media.ffmpeg("-f", "lavfi", "-i", "sine=duration=3", "-c:a", "libmp3lame", inside / "phone" / "memo.mp3")
    (inside / "notes.txt").write_text("milk, eggs | bread\n" * 30)
    (inside / ".hidden").write_text("not for anybody")
    return inside


def test_directory_goes_in_and_is_looked_at(directory, tmp_path):
    """Each file ends as it should, the page of a recording has pictures, sound, text and stages."""
    report = tmp_path / "report.md"
    with running_plane(tmp_path / "state", STORAGE_MODE="local") as plane:
        finished = plane.run("ingest", str(directory), "--report", str(report), check=False)
        assert finished.returncode == 1, "one file is no media"
        rows = [line.split(" | ") for line in report.read_text().splitlines() if line.startswith("| `")]
        ended = {row[0].strip("| `"): row[1] for row in rows}
        assert ended == {
            "browser.webm": "ready", "notes.txt": "failed", "phone/memo.mp3": "ready", "talk.mp4": "ready",
        }, (report.read_text(), plane.logs())  # fmt: skip
        assert report.read_text().startswith("4 files: 3 ready, 1 failed.")
        assert "(`media_unreadable`)" in report.read_text()

        ids = {asset["title"]: asset["asset_id"] for asset in plane.json("ls")["assets"]}
        browser = plane.json("show", ids["browser.webm"])
        assert browser["duration_ms"] == pytest.approx(4000, abs=100), "no header says so"
        plane.run("clip", ids["browser.webm"], "1", "2")
        talk = plane.json("show", ids["talk.mp4"])
        roles = {entry["role"]: entry for entry in talk["objects"]}
        assert {"poster", "sprite", "waveform", "peaks"} <= set(roles)
        memo = {entry["role"] for entry in plane.json("show", ids["memo.mp3"])["objects"]}
        assert {"waveform", "peaks"} <= memo
        assert not {"poster", "sprite"} & memo

        store = tmp_path / "state" / "media"
        track = next(store.rglob(f"{ids['talk.mp4']}/thumbnails.vtt"))
        pictures = {line.partition("#")[0] for line in track.read_text().splitlines() if ".jpg#" in line}
        assert pictures
        assert all((track.parent / name).is_file() for name in pictures), "relative names lead to the sheets"

        shown = plane.run("show", ids["talk.mp4"]).stdout
        assert "Second page of it" in shown
        assert "····█" in shown, "it lies in the second half"
        page = tmp_path / "page.html"
        plane.run("show", ids["talk.mp4"], "--html", str(page))
    text = page.read_text()
    assert "Second page of it" in text
    assert all(f">{stage}" in text for stage in ("probe", "plan", "chunk 0", "audio", "assemble"))
    assert text.count("data:image/jpeg") > 5
    for scheme, paper in PAPER.items():
        seen = screenshot(page, tmp_path / f"{scheme}.png", scheme)
        assert seen[2, 2, 0] == pytest.approx(paper, abs=4), scheme
        assert (np.abs(seen - np.array(BLUE)).max(axis=2) < 6).sum() > 1000, "the waveform is drawn"


def screenshot(page, path, scheme):
    """Return what Chromium shows of a page, as light or dark as is asked for."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        give_up("there is no chromium: apt-get install chromium (make services does)")
    with tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True) as short:
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-breakpad",
            f"--user-data-dir={short}/profile", "--window-size=1140,1600", f"--screenshot={path}",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        ]  # fmt: skip
        environ = {**os.environ, "HOME": short, "TMPDIR": short, "XDG_RUNTIME_DIR": short}
        subprocess.run([program, *flags, page.as_uri()], env=environ, capture_output=True, timeout=120, check=True)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)
