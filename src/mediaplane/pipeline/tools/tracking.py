"""Lines of text that stand on the screen now, and what becomes of them when a part of it is read again.

Two readings of one place are the same line when their letters are the same after folding what OCR confuses. A line may
move (scrolling, a dragged window) and stays one line. These are no change of text:

- a clock: the same line but for a time of day or a counter that moved on with the video; the first reading is kept;
- the pointer on a line: the change is no larger than a pointer and sticks out of the line; the earlier text is kept;
- a line that comes back within `BLINK_MS`.

A line that is being typed keeps its start while that is at most `TYPING_MS` old, so one search hit covers the whole of
a short phrase; after that the text so far is one line, and the longer text begins another.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from mediaplane.media.words import fold, shape
from mediaplane.pipeline.tools.lines import Box, overlap
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.tiles import ChangeMap

TYPING_MS = 1_500
BLINK_MS = 1_000
POINTER_SIDE = 48  # pixels
BOX_MARGIN = 0.12  # of its height: a box reaches this far beyond the ink of its line
MIN_FAR_LETTERS = 6  # a shorter text that turns up elsewhere is another one
MIN_MOVE = 4  # pixels; a small change of a line that stands still is an edit
SAME_TEXT = 88.0  # per cent
CLOCK_SLACK_S = 60  # clocks without seconds jump by a minute; a misread second is within it
_CLOCK = re.compile(r"(?<![\d:.])(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,]\d{1,3})?(?![\d:])")
_LETTERLESS = re.compile(r"[^\w.,]|_|(?<!\d)[.,]|[.,](?!\d)")


@dataclass(frozen=True, slots=True)
class Found:
    """One line as just read."""

    box: Box
    text: str
    confidence: float
    shown: bool  # sure enough to be handed on; others are kept so that they are not read again and again

    @property
    def key(self) -> str:
        """What two readings of the same line share."""
        return text_key(self.text)


@dataclass(slots=True, eq=False)
class Track:
    """A line on the screen, from its first reading on."""

    text: str
    key: str
    box: Box
    confidence: float
    shown: bool
    t_start_ms: int
    frame_ms: int
    t_end_ms: int = field(default=-1)


def text_key(text: str) -> str:
    """Return the letters and digits of `text`, folded; points and commas only inside numbers."""
    return shape(_LETTERLESS.sub("", fold(text)))


Rule = Callable[[Found, Track], float | None]  # how far apart two readings of one line are; None: not the same line


class Tracks:
    """All lines of a video: `live` ones now on the screen, `ended` ones."""

    def __init__(self) -> None:
        self.live: list[Track] = []
        self.ended: list[Track] = []

    def settle(
        self, found: list[Found], old: list[Track], luma: Luma, changes: ChangeMap, timestamp_ms: int
    ) -> list[Track]:
        """Match what was `found` with the lines that stood there; return the tracks whose text is new.

        `old` are live lines inside the regions that were read and not known to be unchanged. The rest of them ends.
        """
        fresh: list[Track] = []
        rules: list[Rule] = [_same_place, _moved, _moved_misread, _far]
        for rule in rules:
            found, old = self._pair(found, old, rule, fresh, timestamp_ms)
        for rule in (_clock_rule(timestamp_ms), _pointer_rule(luma, changes)):
            found, old = self._pair(found, old, rule, fresh, timestamp_ms, keep_reading=True)
        old = self._end(old, found, luma, changes, timestamp_ms)
        for line in found:
            back = self._come_back(line, timestamp_ms)
            if back is not None:
                fresh += [back] if _renew(back, line, timestamp_ms) else []
                continue
            start_ms = self._extend(line, old, changes.first_change_ms(line.box, timestamp_ms))
            track = Track(line.text, line.key, line.box, line.confidence, line.shown, start_ms, timestamp_ms)
            self.live.append(track)
            fresh += [track] if line.shown else []
        return fresh

    def _pair(
        self,
        found: list[Found],
        old: list[Track],
        rule: Rule,
        fresh: list[Track],
        timestamp_ms: int,
        *,
        keep_reading: bool = False,
    ) -> tuple[list[Found], list[Track]]:
        """Pair lines by `rule` (a distance, None: not the same), nearest first; return what is left of both."""
        pairs = sorted(
            (distance, i, j)
            for i, line in enumerate(found)
            for j, track in enumerate(old)
            if (distance := rule(line, track)) is not None
        )
        taken_found: set[int] = set()
        taken_old: set[int] = set()
        for _, i, j in pairs:
            if i not in taken_found and j not in taken_old:
                taken_found.add(i)
                taken_old.add(j)
                if _renew(old[j], found[i], timestamp_ms, keep_reading=keep_reading):
                    fresh.append(old[j])
        return (
            [line for i, line in enumerate(found) if i not in taken_found],
            [track for j, track in enumerate(old) if j not in taken_old],
        )

    def _end(
        self, old: list[Track], found: list[Found], luma: Luma, changes: ChangeMap, timestamp_ms: int
    ) -> list[Track]:
        """End the lines that are gone; a line whose pixels are the same was only overlooked. Return the ended."""
        gone = [track for track in old if _covered(track, found) or changes.differs(track.box, luma)]
        for track in gone:
            track.t_end_ms = max(track.t_start_ms, changes.first_change_ms(track.box, timestamp_ms))
            self.live.remove(track)
            self.ended.append(track)
        return gone

    def _extend(self, line: Found, gone: list[Track], start_ms: int) -> int:
        """Return the start of a new line: that of the shorter text it has grown from, if that is young."""
        for track in gone:
            if _grew(track, line) and start_ms - track.t_start_ms <= TYPING_MS and track in self.ended:
                self.ended.remove(track)
                return track.t_start_ms
        return start_ms

    def _come_back(self, line: Found, timestamp_ms: int) -> Track | None:
        """Return the line that ended a moment ago and is there again, alive."""
        key = line.key
        for track in reversed(self.ended):
            if track.t_end_ms < timestamp_ms - BLINK_MS - 500:  # the latest reading was up to half a second ago
                continue
            if track.key == key and (_same_place(line, track) is not None or _moved(line, track) is not None):
                self.ended.remove(track)
                self.live.append(track)
                track.t_end_ms = -1
                return track
        return None

    def finish(self, end_ms: int) -> list[Track]:
        """End all lines at `end_ms` and return every one that was sure enough, in order of their start."""
        for track in self.live:
            track.t_end_ms = max(track.t_start_ms, end_ms)
        self.ended += self.live
        self.live = []
        shown = [track for track in self.ended if track.shown]
        return sorted(shown, key=lambda track: (track.t_start_ms, track.box.y, track.box.x))


def _renew(track: Track, line: Found, timestamp_ms: int, *, keep_reading: bool = False) -> bool:
    """Take over what the new reading knows better; tell whether the track is shown only since now."""
    if not keep_reading:
        track.box = line.box
        if line.confidence > track.confidence:
            track.text, track.key, track.confidence = line.text, line.key, line.confidence
    appears = line.shown and not track.shown
    if appears:
        track.shown, track.frame_ms, track.text, track.confidence = True, timestamp_ms, line.text, line.confidence
    return appears


def _same_place(line: Found, track: Track) -> float | None:
    return 1 - overlap(line.box, track.box) if line.key == track.key and line.box.shared(track.box) else None


def _moved(line: Found, track: Track) -> float | None:
    if line.key != track.key or abs(line.box.x - track.box.x) > max(12, line.box.height):
        return None
    return float(abs(line.box.y - track.box.y))


def _moved_misread(line: Found, track: Track) -> float | None:
    """A line that scrolls in is cut at first and misread by a letter or two; other digits make another line."""
    moved = abs(line.box.y - track.box.y)
    if moved < MIN_MOVE or abs(line.box.x - track.box.x) > max(12, line.box.height):
        return None
    if _digits(line.text) != _digits(track.text) or fuzz.ratio(line.key, track.key) < SAME_TEXT:
        return None
    return float(moved)


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _far(line: Found, track: Track) -> float | None:
    if line.key != track.key or len(line.key) < MIN_FAR_LETTERS:
        return None
    return float(abs(line.box.y - track.box.y) + abs(line.box.x - track.box.x))


def _clock_rule(timestamp_ms: int) -> Rule:
    def rule(line: Found, track: Track) -> float | None:
        if overlap(line.box, track.box) < 0.5:
            return None
        now, before = _times_s(line.text), _times_s(track.text)
        if not now or len(now) != len(before):
            return None
        passed_s = (timestamp_ms - track.frame_ms) / 1000 + CLOCK_SLACK_S
        if any(abs(one - other) > passed_s for one, other in zip(now, before, strict=True)):
            return None
        same_rest = text_key(_CLOCK.sub("", line.text)) == text_key(_CLOCK.sub("", track.text))
        return 1 - overlap(line.box, track.box) if same_rest else None

    return rule


def _times_s(text: str) -> list[int]:
    return [
        int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) for hours, minutes, seconds in _CLOCK.findall(text)
    ]


def _pointer_rule(luma: Luma, changes: ChangeMap) -> Rule:
    def rule(line: Found, track: Track) -> float | None:
        if overlap(line.box, track.box) < 0.6 or fuzz.ratio(line.key, track.key) < 60:
            return None
        spot = changes.difference(track.box, POINTER_SIDE // 2, luma)
        if spot is None or max(spot.width, spot.height) > POINTER_SIDE:
            return None
        margin = round(track.box.height * BOX_MARGIN)
        sticks_out = spot.y < track.box.y + margin - 1 or spot.bottom > track.box.bottom - margin + 1
        return 0.0 if sticks_out else None

    return rule


def _grew(track: Track, line: Found) -> bool:
    """Tell whether `line` is the text of `track` typed on; its last letter may have been a caret."""
    if abs(track.box.x - line.box.x) > line.box.height // 2 or len(line.key) <= len(track.key):
        return False
    shared = min(track.box.bottom, line.box.bottom) - max(track.box.y, line.box.y)
    if shared < 0.6 * min(track.box.height, line.box.height):
        return False
    return line.key.startswith(track.key if len(track.key) < 4 else track.key[:-1])


def _covered(track: Track, found: Iterable[Found]) -> bool:
    return any(line.box.shared(track.box) * 2 > track.box.area for line in found)
