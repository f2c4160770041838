"""Highlights of one recording: measured and chosen in a child process, by our detector or by a package's.

A package registers a detector as an entry point of the group `mediaplane.highlights`: a function that takes a
`Recording` (`pipeline/tools/detect.py`) and returns moments. It runs here, under the limits of all that decodes.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mediaplane.errors import InvalidHighlights, ToolFailed
from mediaplane.media.highlights import Moment, check
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.detect import Detector, Recording, find_highlights
from mediaplane.pipeline.tools.signals import measure_changes, measure_loudness

GROUP = "mediaplane.highlights"
DEFAULT = "default"


async def detect(
    recording: Recording, *, detector: str, limits: Limits, on_progress: Callable[[float], None] | None = None
) -> list[dict[str, Any]]:
    """Measure the recording's files and return its moments as they stand in highlights.json, best first.

    Raises:
        MediaError: its files cannot be decoded, or need more than `limits`.
        ToolFailed: there is no such detector, it broke down, or gave what is no list of moments.
    """
    request = {"recording": recording.to_json(), "detector": detector}
    found: list[dict[str, Any]] = await ask("highlights", request, limits=limits, on_progress=on_progress)
    return found


def open_detector(name: str) -> Detector:
    """Return the detector of this name.

    Raises:
        ToolFailed: no package registers it.
    """
    if name == DEFAULT:
        return find_highlights
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join([DEFAULT, *sorted(found)])
        raise ToolFailed(f"there is no detector {name!r} (HIGHLIGHTS): there are {known}", retryable=False)
    detector: Detector = found[name].load()
    return detector


def _work(request: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    recording = Recording.from_json(request["recording"])
    name = request["detector"]
    detector = open_detector(name)
    measured = _measured(recording, report)
    try:
        found = [_plain(moment) for moment in detector(measured)][: recording.count]
        checked = check("", recording.duration_ms, found)
    except InvalidHighlights as error:
        raise ToolFailed(
            f"the detector {name!r} gave moments that cannot be: {error.message}", retryable=False
        ) from error
    except Exception as error:
        if name == DEFAULT:
            raise
        raise ToolFailed(f"the detector {name!r} broke down: {error!r}", retryable=False) from error
    return [asdict(moment) for moment in checked.moments]


def _measured(recording: Recording, report: Report) -> Recording:
    seconds = -(-recording.duration_ms // 1000)
    if recording.sound_path:
        recording = replace(recording, loudness=measure_loudness(Path(recording.sound_path), seconds))
    report(0.4)
    if recording.picture_paths:
        changes, cuts_ms = measure_changes([Path(path) for path in recording.picture_paths], seconds)
        recording = replace(recording, changes=changes, cuts_ms=cuts_ms)
    report(0.9)
    return recording


def _plain(moment: Any) -> Any:
    return asdict(moment) if isinstance(moment, Moment) else moment


if __name__ == "__main__":
    answer(_work)
