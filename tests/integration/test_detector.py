"""Highlights of a real recording: measured by ffmpeg in a child, by our detector and by one that a package brings."""

from dataclasses import replace
from pathlib import Path

import pytest

from mediaplane.errors import MediaError, ToolFailed
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.detect import Recording
from mediaplane.pipeline.tools.highlights import detect
from tests.services.made_media import ffmpeg

LIMITS = Limits(seconds=120, address_space_mb=4096, output_mb=256)
SECONDS = 30
LOUD = (12, 18)
# As the pipeline writes them: time 0 of the recording lies a second after the file's.
ENCODE = ["-output_ts_offset", "1", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+frag_discont"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Make a recording with one loud and fast passage, and one that is quiet and still all along."""
    directory = tmp_path_factory.mktemp("media")
    begin, end = LOUD
    loud = f"if(between(t,{begin},{end}),0.6*random(0)-0.3,0.01*sin(2764*t))"
    for name, sound in (("loud", loud), ("quiet", "0.01*sin(2764*t)")):
        source = f"aevalsrc='{sound}':s=48000:d={SECONDS}"
        ffmpeg("-f", "lavfi", "-i", source, "-c:a", "aac", *ENCODE, directory / f"{name}.m4a")
    still = "color=c=gray:s=160x90:r=10:d="
    flash = "drawbox=enable='lt(mod(2*t\\,2)\\,1)':w=160:h=90:color=white:t=fill"
    graph = f"{still}{begin}[a];testsrc2=s=160x90:r=10:d={end - begin},{flash}[f];"
    graph += f"{still}{SECONDS - end}[b];[a][f][b]concat=n=3:v=1:a=0[v]"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-pix_fmt", "yuv420p", *ENCODE]
    ffmpeg("-filter_complex", graph, "-map", "[v]", *encode, directory / "fast.mp4")
    ffmpeg("-f", "lavfi", "-i", f"{still}{SECONDS}", *encode, directory / "still.mp4")
    return directory


def recording(files: Path, sound: str, *pictures: str) -> Recording:
    return Recording(
        duration_ms=SECONDS * 1000,
        sound_path=str(files / sound) if sound else "",
        picture_paths=[str(files / name) for name in pictures],
        shortest_ms=3000,
        longest_ms=10_000,
    )


@pytest.mark.parametrize(("sound", "picture"), [("loud.m4a", ""), ("", "fast.mp4"), ("loud.m4a", "fast.mp4")])
async def test_loud_and_fast_passage_is_the_highlight(files, sound, picture):
    """By its sound, by its picture, or by both, the passage is found where it is."""
    made = recording(files, sound, *filter(None, [picture]))
    (found,) = await detect(made, detector="default", limits=LIMITS)
    begin, end = (1000 * at for at in LOUD)
    assert abs(found["start_ms"] - begin) <= 2000, found
    assert abs(found["end_ms"] - end) <= 2000, found


async def test_quiet_recording_has_none(files):
    """Where nothing happens there is nothing to cut."""
    assert await detect(recording(files, "quiet.m4a", "still.mp4"), detector="default", limits=LIMITS) == []


async def test_broken_files_are_an_error(files, tmp_path):
    """What cannot be decoded ends as an error with a reason, not as no highlights."""
    (tmp_path / "broken.m4a").write_bytes(b"\0" * 4000)
    with pytest.raises(MediaError):
        await detect(
            replace(recording(files, ""), sound_path=str(tmp_path / "broken.m4a")), detector="default", limits=LIMITS
        )


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package beside ours that registers detectors."""
    (tmp_path / "their_detectors.py").write_text(
        "def first(recording):\n"
        "    assert len(recording.loudness) == 30\n"
        "    return [{'start_ms': 0, 'end_ms': 4000, 'score': 1, 'title': 'theirs', 'style': 'vertical'}]\n"
        "def wrong(recording):\n    return [{'start_ms': 5, 'end_ms': 1}]\n"
        "def broken(recording):\n    raise ValueError('no model')\n"
        "def many(recording):\n    return [{'start_ms': n, 'end_ms': n + 9} for n in range(500)]\n"
    )
    info = tmp_path / "their_detectors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-detectors\nVersion: 1.0\n")
    names = "".join(f"{name} = their_detectors:{name}\n" for name in ("first", "wrong", "broken", "many"))
    (info / "entry_points.txt").write_text(f"[mediaplane.highlights]\n{names}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("package")
async def test_detector_of_a_package(files):
    """A package's detector is asked by its name, is given what was measured, and is held to the count."""
    made = recording(files, "loud.m4a")
    (found,) = await detect(made, detector="first", limits=LIMITS)
    assert found["title"] == "theirs"
    assert (found["style"], found["reasons"]) == ("vertical", [])
    assert len(await detect(made, detector="many", limits=LIMITS)) == made.count


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "problem"),
    [("wrong", "moment 1: start_ms and end_ms"), ("broken", "no model"), ("none", "there are default, broken, first")],
)
async def test_detector_that_fails_says_why(files, name, problem):
    """A detector that is not there, breaks down or talks nonsense is an error that is not tried again."""
    with pytest.raises(ToolFailed, match=problem) as error:
        await detect(recording(files, "quiet.m4a"), detector=name, limits=LIMITS)
    assert not error.value.retryable
