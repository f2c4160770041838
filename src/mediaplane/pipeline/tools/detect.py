"""Which moments of a recording are worth a clip: where it is louder, faster and fuller of text or talk than elsewhere.

Every signal is taken against the recording itself: what is loud in a lecture is quiet in a match. A signal that hardly
changes says nothing, so that a recording without highlights has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaplane.media.highlights import Moment
from mediaplane.pipeline.tools.results import Record

Curve = NDArray[np.float64]

SMOOTHED_SECONDS = 5
GAP_SECONDS = 2  # between two highlights
ENOUGH = 0.25  # of a moment's lift, 0 to 1: below, nothing happens
NEAR_BEST = 0.4  # of the best moment's lift
EDGE = 0.5  # of a highlight's own best second: where it begins and ends
SNAP_MS = 1500  # a highlight begins with a new picture, where one is so near
TOLD = 0.4  # of a signal's lift in a highlight: it is a reason
TITLE_CHARS = 60
LONGEST_COUNTED_TEXT = 200
CUT_WEIGHT = 0.5  # against motion: three cuts within seconds say something, the next slide says nothing


@dataclass(frozen=True, slots=True)
class Text(Record):
    """Text that is read (`ocr`) or heard (`speech`) from one time to another."""

    start_ms: int
    end_ms: int
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Recording(Record):
    """All that a detector is given. Lists are by second; one that is empty could not be measured."""

    duration_ms: int
    loudness: list[float] = field(default_factory=list)  # LUFS, the loudest moment of each second
    changes: list[float] = field(default_factory=list)  # of the picture, 0 to 1
    cuts_ms: list[int] = field(default_factory=list)  # when it became another one
    texts: list[Text] = field(default_factory=list)
    sound_path: str = ""  # AAC, the whole of it
    picture_paths: list[str] = field(default_factory=list)  # H.264, small, a file a chunk, with the recording's times
    count: int = 10  # highlights that are wanted at most
    shortest_ms: int = 15_000
    longest_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Signal:
    """One curve, what it counts for, from which difference on it says something, and how to say it."""

    weight: float
    least: float
    curve: Curve
    tell: Callable[[float, float], str]  # of the mean in the highlight and the median of all


Detector = Callable[[Recording], Sequence[Any]]  # gives Moments, or mappings with their entries


def find_highlights(recording: Recording) -> list[Moment]:
    """Return the highlights of a recording, best first."""
    seconds = -(-recording.duration_ms // 1000)
    signals = _signals(recording, seconds)
    total_weight = sum(signal.weight for signal in signals)
    if not seconds or not total_weight:
        return []
    lifts = [_lift(signal) for signal in signals]
    total: Curve = (
        sum((s.weight * lift for s, lift in zip(signals, lifts, strict=True)), np.zeros(seconds)) / total_weight
    )
    ranges = _choose(total, recording)
    lifted = list(zip(signals, lifts, strict=True))
    return [_describe(recording, lifted, total, chosen) for chosen in ranges]


def _signals(recording: Recording, seconds: int) -> list[Signal]:
    found = []
    if recording.loudness:
        found.append(Signal(0.4, 3.0, _smoothed(_fitted(recording.loudness, seconds)), _tell_loudness))
    if recording.changes:
        cuts = np.bincount([ms // 1000 for ms in recording.cuts_ms if ms < seconds * 1000], minlength=seconds)
        moving = _fitted(recording.changes, seconds) + CUT_WEIGHT * cuts[:seconds]
        found.append(Signal(0.3, 0.25, _smoothed(moving), _tell_changes))
    read = [text for text in recording.texts if text.source == "ocr"]
    heard = [text for text in recording.texts if text.source == "speech"]
    if read:
        found.append(Signal(0.3, 4.0, _smoothed(_new_letters(read, seconds)), _tell_text))
    if heard:
        found.append(Signal(0.2, 0.7, _smoothed(_words(heard, seconds)), _tell_speech))
    return found


def _fitted(values: Sequence[float], seconds: int) -> Curve:
    curve = np.zeros(seconds)
    known = np.asarray(values[:seconds], dtype=np.float64)
    curve[: len(known)] = known
    if len(known):
        curve[len(known) :] = known[-1]
    return curve


def _new_letters(texts: Sequence[Text], seconds: int) -> Curve:
    curve = np.zeros(seconds)
    for text in texts:
        second = text.start_ms // 1000
        if second < seconds:
            curve[second] += min(len(text.text), LONGEST_COUNTED_TEXT)
    return curve


def _words(texts: Sequence[Text], seconds: int) -> Curve:
    curve = np.zeros(seconds)
    for text in texts:
        first, last = text.start_ms // 1000, max(text.start_ms, text.end_ms - 1) // 1000
        curve[first : last + 1] += len(text.text.split()) / (last - first + 1)
    return curve


def _smoothed(curve: Curve) -> Curve:
    width = min(SMOOTHED_SECONDS, len(curve))
    padded = np.pad(curve, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _lift(signal: Signal) -> Curve:
    """Return by how much each second stands out, 0 to 1: from the median to the most there is."""
    median = float(np.median(signal.curve))
    most = float(signal.curve.max()) - median
    if most < signal.least:
        return np.zeros(len(signal.curve))
    return np.clip((signal.curve - median) / most, 0, 1)


def _choose(total: Curve, recording: Recording) -> list[tuple[int, int]]:
    """Return up to `count` ranges of seconds, best first, that do not touch."""
    free = np.ones(len(total), dtype=bool)
    least = max(ENOUGH, NEAR_BEST * float(total.max()))
    found: list[tuple[int, int]] = []
    while len(found) < recording.count:
        peak = int(np.argmax(np.where(free, total, -1.0)))
        if not free[peak] or total[peak] < least:
            break
        if _is_slope(total, free, peak):
            free[peak] = False  # of a highlight that was chosen: what is left of its hill is no peak of its own
            continue
        start, end = _grown(total, free, peak, recording.shortest_ms // 1000, max(1, recording.longest_ms // 1000))
        free[max(0, start - GAP_SECONDS) : end + GAP_SECONDS] = False
        if end - start >= min(recording.shortest_ms // 1000, len(total)):
            found.append((start, end))
    return found


def _is_slope(total: Curve, free: NDArray[np.bool_], at: int) -> bool:
    beside = (near for near in (at - 1, at + 1) if 0 <= near < len(total))
    return any(not free[near] and total[near] > total[at] for near in beside)


def _grown(total: Curve, free: NDArray[np.bool_], peak: int, shortest: int, longest: int) -> tuple[int, int]:
    """Return the range around a peak: as far as it stands out, and at least, and at most, so long."""
    start, end = peak, peak + 1
    while end - start < longest:
        before = total[start - 1] if start > 0 and free[start - 1] else -1.0
        behind = total[end] if end < len(total) and free[end] else -1.0
        better = max(before, behind)
        if better < 0 or (better < EDGE * total[peak] and end - start >= shortest):
            break
        if before > behind:
            start -= 1
        else:
            end += 1
    return start, end


def _describe(
    recording: Recording, lifted: Sequence[tuple[Signal, Curve]], total: Curve, chosen: tuple[int, int]
) -> Moment:
    start, end = chosen
    reasons = [
        signal.tell(float(signal.curve[start:end].max()), float(np.median(signal.curve)))
        for signal, lift in lifted
        if lift[start:end].max() >= TOLD
    ]
    start_ms, end_ms = start * 1000, min(end * 1000, recording.duration_ms)
    snapped = [ms for ms in recording.cuts_ms if abs(ms - start_ms) <= SNAP_MS]
    first_ms = min(snapped, key=lambda ms: abs(ms - start_ms), default=start_ms)
    length_ms = end_ms - start_ms
    if not min(recording.shortest_ms, length_ms) <= end_ms - first_ms <= max(recording.longest_ms, length_ms):
        first_ms = start_ms
    score = round(float(total[start:end].max()), 3)
    return Moment(first_ms, end_ms, score, _title(recording.texts, first_ms, end_ms), reasons=tuple(reasons))


def _title(texts: Sequence[Text], start_ms: int, end_ms: int) -> str:
    """Return what is said at first, or the longest line that comes up; nothing where there is neither."""
    inside = [text for text in texts if start_ms <= text.start_ms < end_ms and text.text.strip()]
    heard = [text for text in inside if text.source == "speech"]
    chosen = heard[0] if heard else max(inside, key=lambda text: len(text.text), default=None)
    line = " ".join(chosen.text.split()) if chosen else ""
    return line if len(line) <= TITLE_CHARS else line[:TITLE_CHARS].rpartition(" ")[0] or line[:TITLE_CHARS]


def _tell_loudness(here: float, usual: float) -> str:
    return f"{here - usual:.0f} LU louder than usual"


def _tell_changes(here: float, usual: float) -> str:
    return f"the picture changes {_times(here, usual)}"


def _tell_text(here: float, usual: float) -> str:
    return f"text on screen changes {_times(here, usual)}: {here:.0f} characters a second"


def _tell_speech(here: float, usual: float) -> str:
    return f"talk is {_times(here, usual)}: {here:.1f} words a second"


def _times(here: float, usual: float) -> str:
    return f"{here / usual:.0f} times as fast as usual" if usual > here / 50 else "much faster than usual"
