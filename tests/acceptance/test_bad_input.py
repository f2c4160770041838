"""What bad input gets: `failed` with a code and a sentence, and the worker goes on."""

import json
import shutil
import subprocess

import imageio_ffmpeg
import psutil
import pytest

from tests.acceptance.plane import running_plane
from tests.services.recordings import make_recording


@pytest.fixture
def files(tmp_path):
    """Make one file of each kind of bad input, and good ones."""
    good = make_recording(tmp_path / "good.mp4", [(2.0, ("Everything is fine here",))])
    (tmp_path / "text.mp4").write_text("this is no video at all\n" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "truncated.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    (tmp_path / "playlist.mp4").write_text(playlist)
    shutil.copy(good, tmp_path / "lying.mp3")
    tone = ["-f", "lavfi", "-i", "sine=duration=3", "-c:a", "libmp3lame", str(tmp_path / "tone.mp3")]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *tone], check=True)
    return tmp_path


def test_bad_input_fails_with_a_sentence_and_the_worker_goes_on(files, tmp_path):
    """Each bad file says what is wrong with it; a good one afterwards is ready; no child of the worker is left."""
    with running_plane(tmp_path / "state", STORAGE_MODE="local") as plane:
        names = (
            "text.mp4",
            "empty.mp4",
            "truncated.mp4",
            "playlist.mp4",
            "missing.mp4",
            "good.mp4",
            "lying.mp3",
            "tone.mp3",
        )
        finished = plane.run("ingest", *(str(files / name) for name in names), "--json", check=False)
        outcomes = dict(zip(names, json.loads(finished.stdout)["assets"], strict=True))
        assert finished.returncode == 1, "something failed"
        codes = {name: (outcome["error"] or {}).get("code") for name, outcome in outcomes.items()}
        assert codes["text.mp4"] == "media_unreadable"
        assert codes["empty.mp4"] == "media_empty"
        assert codes["truncated.mp4"] == "media_truncated"
        assert codes["playlist.mp4"] in ("media_unreadable", "media_unsupported")
        assert codes["missing.mp4"] == "file_unreadable"
        for name in names[:5]:
            assert outcomes[name]["status"] == "failed"
            assert len(outcomes[name]["error"]["message"].split()) > 3, "a sentence a person understands"
        assert outcomes["good.mp4"]["status"] == "ready", outcomes["good.mp4"]
        assert outcomes["lying.mp3"] == {**outcomes["good.mp4"], "reused": True}, "the same bytes, whatever the name"
        assert outcomes["tone.mp3"]["status"] == "ready", outcomes["tone.mp3"]
        assert outcomes["tone.mp3"]["duration_ms"] == pytest.approx(3000, abs=150)
        assert plane.json("search", '"everything is fine"')["hits"]

        worker = next(child for child in psutil.Process(plane.process.pid).children() if "worker" in child.cmdline())
        assert [child.cmdline() for child in worker.children(recursive=True)] == []
        plane.run("rm", outcomes["good.mp4"]["asset_id"])
        assert plane.json("search", "everything")["hits"] == []
        assert plane.run("show", outcomes["good.mp4"]["asset_id"], check=False).returncode == 1
