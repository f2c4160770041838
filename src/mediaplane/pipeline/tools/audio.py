"""The sound as HLS renditions of its own, one a track, and its peaks: one pass over the whole file, in a child.

AAC on the picture's timeline. The default track is also sent through a pipe as plain samples, from which the peaks
and the picture of the waveform are made (`waveform.py`).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mediaplane.errors import MediaUnsupported
from mediaplane.pipeline.tools import ffmpeg
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.encode import OFFSET_US, audio_arguments, channels_kept, sound_names, sound_rate
from mediaplane.pipeline.tools.fragments import read_rendition
from mediaplane.pipeline.tools.results import EncodedRendition, Probe, SoundResult
from mediaplane.pipeline.tools.source import input_arguments

PEAKS_FILE, WAVEFORM_FILE = "peaks.json", "waveform.png"
_OUT_TIME = re.compile(r"out_time_us=(\d+)")


async def encode_sound(
    source: str,
    probe: Probe,
    *,
    out_dir: Path,
    limits: Limits,
    on_progress: Callable[[float], None],
    ca_file: str | None = None,
) -> SoundResult:
    """Encode the sound tracks into `out_dir`: `audio/`, `audio-2/` …, `peaks.json` and `waveform.png` of the first.

    Raises:
        MediaUnsupported: there is no sound.
        MediaError, ToolFailed: it cannot be read or decoded.
    """
    request = {"source": source, "probe": probe.to_json(), "out_dir": str(out_dir), "ca_file": ca_file}
    return SoundResult.from_json(await ask("audio", request, limits=limits, on_progress=on_progress))


def _work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    from mediaplane.pipeline.tools.waveform import Peaks, draw_waveform

    probe, out_dir = Probe.from_json(request["probe"]), Path(request["out_dir"])
    if not probe.audio:
        raise MediaUnsupported("there is no sound in this file")
    for name in sound_names(probe):
        (out_dir / name).mkdir(parents=True, exist_ok=True)
    arguments = audio_arguments(input_arguments(request["source"], request["ca_file"]), probe)
    peaks = Peaks(sound_rate(probe.audio[0].sample_rate), channels_kept(probe.audio[0]))
    with ffmpeg.running(arguments, cwd=out_dir) as output:
        for seconds in peaks.read(output):
            if probe.duration_ms:
                report(min(1.0, seconds * 1000 / probe.duration_ms))
    pairs = peaks.write(out_dir / PEAKS_FILE)
    draw_waveform(pairs, out_dir / WAVEFORM_FILE)
    renditions = _renditions(probe, out_dir)
    return SoundResult(renditions, len(pairs), round(peaks.seconds * 1_000_000)).to_json()


def _renditions(probe: Probe, out_dir: Path) -> list[EncodedRendition]:
    """Return what was made; a track without a single packet is no track that can be chosen."""
    made: list[EncodedRendition] = []
    for name, track in zip(sound_names(probe), probe.audio, strict=False):
        if made and not any((out_dir / name).glob("*.m4s")):
            continue
        made.append(read_rendition(out_dir / name, language=track.language, title=track.title))
    return made


def progress_reader(on_progress: Callable[[float], None], *, start_us: int, length_us: int) -> Callable[[str], None]:
    """Return what turns ffmpeg's `-progress` lines into the fraction that is done."""

    def read(line: str) -> None:
        if length_us > 0 and (match := _OUT_TIME.match(line)):
            on_progress(min(1.0, max(0.0, (int(match[1]) - OFFSET_US - start_us) / length_us)))

    return read


if __name__ == "__main__":
    answer(_work)
