"""Find out from the recorded frames when each phrase can be read, and check the answer on the encoded video.

The texts come from phrases.txt, never from a recogniser. Text recognition (rapidocr) is used for two things only: to
find WHERE on the screen a phrase is drawn, once a second, and at the end to make sure that a plain full-frame reader
can read it. WHEN it is visible is decided by pixels: the phrase's own crop is looked for in every frame (30 a second)
of the lossless capture, anywhere in its column, so scrolling lines are followed and half-typed ones do not count.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from desktop import BAR_HEIGHT, HEIGHT, WIDTH
from rapidocr import RapidOCR

FPS = 30
SIDEWAYS = 12  # pixels a line may shift to the side, for example when a scroll bar goes away
SHORTEST_MS = 900  # a phrase that is ever shown for less time than this is left out altogether
LONGEST_DISAGREEMENT_MS = 100  # between the lossless capture and the encoded video
READABLE = 0.9  # similarity of what full-frame recognition read, at least
CLOSE_GAP = 6  # frames; shorter gaps are a mouse pointer or a blinking cursor passing by

Frame = npt.NDArray[np.uint8]
Entry = dict[str, str | int]
Range = tuple[int, int]


@dataclass(frozen=True)
class Sight:
    """One place and time at which text recognition saw a phrase."""

    frame: int
    score: float
    crop: Frame
    x: int


@dataclass
class Tracker:
    """Looks for one crop in frame after frame and remembers in which frames it was there."""

    text: str
    crop: Frame
    x: int
    strictness: float
    seen: list[int] = field(default_factory=list)
    _at: tuple[int, int] | None = None
    _never_looked: bool = True

    def look(self, number: int, frame: Frame, changed: npt.NDArray[np.bool_]) -> None:
        """Look at one frame; `changed` says which pixels differ from the frame before."""
        left = max(0, self.x - SIDEWAYS)
        right = min(WIDTH, self.x + self.crop.shape[1] + SIDEWAYS)
        rows = np.flatnonzero(changed[:, left:right].any(axis=1))
        if rows.size or self._never_looked:
            self._never_looked = False
            self._update(frame, left, right, rows)
        if self._at is not None:
            self.seen.append(number)

    def _update(self, frame: Frame, left: int, right: int, rows: npt.NDArray[np.intp]) -> None:
        if self._at is not None and self._same(frame, *self._at):
            return
        height = self.crop.shape[0]
        whole = self._at is not None or not rows.size
        top = 0 if whole else max(0, int(rows[0]) - height)
        bottom = HEIGHT if whole else min(HEIGHT, int(rows[-1]) + height + 1)
        self._at = self._find(frame[top:bottom, left:right], top, left)
        if self._at is not None and not self._same(frame, *self._at):
            self._at = None

    def _find(self, strip: Frame, top: int, left: int) -> tuple[int, int] | None:
        if strip.shape[0] < self.crop.shape[0]:
            return None
        likeness = cv2.matchTemplate(strip, self.crop, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(likeness)
        return (top + y, left + x) if best > 0.8 else None

    def _same(self, frame: Frame, y: int, x: int) -> bool:
        """Whether every letter-wide piece of the crop is really there: one missing letter makes it different."""
        height, width = self.crop.shape
        wrong = cv2.absdiff(frame[y : y + height, x : x + width], self.crop) > 48
        step = max(6, height // 2)
        return all(wrong[:, i : i + step].mean() <= self.strictness for i in range(0, width, step))


def frames_of(video: Path, pixels: str = "gray") -> Iterator[Frame]:
    """Yield every frame at 30 frames a second: gray, or with three colours for pixels="bgr24"."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(video), "-vf", f"fps={FPS}", "-pix_fmt", pixels]
    shape = (HEIGHT, WIDTH) if pixels == "gray" else (HEIGHT, WIDTH, 3)
    size = int(np.prod(shape))
    with subprocess.Popen([*command, "-f", "rawvideo", "-"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(data := process.stdout.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(shape)


def squeeze(text: str) -> str:
    return "".join(text.lower().split())


def best_place(phrase: str, line: str) -> tuple[float, int]:
    """Return how well the best stretch of a line matches a phrase, and where it begins (both squeezed)."""
    at = line.find(phrase)
    if at >= 0:
        return 1.0, at
    tries = range(max(1, len(line) - len(phrase) + 1))
    ratios = [(SequenceMatcher(None, phrase, line[i : i + len(phrase)], autojunk=False).ratio(), i) for i in tries]
    return max(ratios, key=lambda ratio: ratio[0])


def new_reader() -> Callable[[Frame], Any]:
    engine = RapidOCR(params={"Global.log_level": "error"})
    return lambda frame: engine(frame, use_cls=False, return_word_box=True)


def sights_in(frame: Frame, number: int, phrases: list[str], read: Callable[[Frame], Any]) -> dict[str, list[Sight]]:
    """Read one frame and cut out every phrase that is in it."""
    result = read(frame)
    gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    found: dict[str, list[Sight]] = {}
    for box, words in zip(result.boxes, result.word_results, strict=True):
        line = squeeze("".join(word[0] for word in words))
        for phrase in phrases:
            score, start = best_place(squeeze(phrase), line)
            if score < READABLE:
                continue
            cut = cut_phrase(gray, box, words, start, len(squeeze(phrase)))
            if cut is not None:
                found.setdefault(phrase, []).append(Sight(number, score, *cut))
    return found


def cut_phrase(gray: Frame, box: Any, words: Any, start: int, length: int) -> tuple[Frame, int] | None:
    """Cut the words that hold the phrase out of the frame, with edges moved to the gaps between words."""
    ends = np.cumsum([len(squeeze(word[0])) for word in words])
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(ends, start + length - 1, side="right"))
    guess_left = min(point[0] for point in words[first][2])
    guess_right = max(point[0] for point in words[last][2])
    top, bottom = (int(edge) for edge in (min(p[1] for p in box), max(p[1] for p in box)))
    left, right = max(0, int(min(p[0] for p in box)) - 4), min(WIDTH, int(max(p[0] for p in box)) + 4)
    line = gray[max(0, top - 4) : bottom + 4, left:right]
    ink = cv2.absdiff(line, np.full_like(line, int(np.median(line)))) > 40
    edge = 4 + (bottom - top) // 8  # rows that may belong to the line above, the line below or a window's frame
    stretches = word_stretches(np.any(ink[edge:-edge], axis=0), gap=max(4, (bottom - top) // 6))
    if not stretches:
        return None
    x0 = min((begin for begin, _ in stretches), key=lambda begin: abs(begin + left - guess_left))
    x1 = min((end for _, end in stretches), key=lambda end: abs(end + left - guess_right))
    if x1 <= x0:
        return None
    rows = word_stretches(np.any(ink[:, x0:x1], axis=1), gap=1)
    y0, y1 = max(rows, key=lambda row: row[1] - row[0])  # without the tails of the line above
    return line[y0:y1, x0:x1].copy(), left + x0


def word_stretches(inked: npt.ArrayLike, gap: int) -> list[Range]:
    """Group inked columns into words: stretches of columns with fewer than `gap` blank ones in between."""
    columns = np.flatnonzero(inked)
    if not columns.size:
        return []
    breaks = np.flatnonzero(np.diff(columns) > gap)
    begins = [int(columns[0]), *(int(columns[i + 1]) for i in breaks)]
    ends = [*(int(columns[i]) + 1 for i in breaks), int(columns[-1]) + 1]
    return list(zip(begins, ends, strict=True))


def read_every_second(video: Path, phrases: list[str]) -> dict[str, list[Sight]]:
    """Read one frame a second, unless nothing but the clock changed, and collect where each phrase was seen."""
    read = new_reader()
    last: Frame | None = None
    sights: dict[str, list[Sight]] = {phrase: [] for phrase in phrases}
    for number, frame in enumerate(frames_of(video, "bgr24")):
        if number % FPS == FPS // 2 and (last is None or differs(frame, last)):
            last = frame
            for phrase, seen in sights_in(frame, number, phrases, read).items():
                sights[phrase].extend(seen)
    return sights


def differs(one: Frame, other: Frame) -> bool:
    """Whether more changed below the bar with the clock than a blinking cursor."""
    changed = cv2.absdiff(one[BAR_HEIGHT:], other[BAR_HEIGHT:]).any(axis=2)
    return int(np.count_nonzero(changed)) > 600


def follow(video: Path, trackers: list[Tracker], noise: int) -> None:
    """Show every frame of the video to every tracker."""
    before: Frame | None = None
    for number, frame in enumerate(frames_of(video)):
        changed = np.ones(frame.shape, bool) if before is None else cv2.absdiff(frame, before) > noise
        for tracker in trackers:
            tracker.look(number, frame, changed)
        before = frame


def ranges_of(frames: set[int]) -> list[Range]:
    """Turn frame numbers into ranges (first, last), closing short gaps."""
    ranges: list[Range] = []
    for number in sorted(frames):
        if ranges and number - ranges[-1][1] <= CLOSE_GAP:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def seen_frames(trackers: list[Tracker], text: str) -> set[int]:
    return {number for tracker in trackers if tracker.text == text for number in tracker.seen}


def build_trackers(video: Path, sights: dict[str, list[Sight]]) -> list[Tracker]:
    """Follow the best sight of each phrase, then add sights in other looks (a dark theme) until all are covered."""
    done: list[Tracker] = []
    for _ in range(4):
        fresh = []
        for text, seen in sights.items():
            covered = seen_frames(done, text)
            tallest = max((s.crop.shape[0] for s in seen if s.score == max(t.score for t in seen)), default=0)
            complete = [s for s in seen if tallest - 2 <= s.crop.shape[0]]  # not those cut by the edge of a window
            left = [s for s in complete if s.frame not in covered and (s.score == 1.0 or not covered)]
            if left:
                top_score = max(s.score for s in left)
                best = [s for s in left if s.score == top_score]
                middle = best[len(best) // 2]
                fresh.append(Tracker(text, middle.crop, middle.x, strictness=0.02))
        if not fresh:
            break
        follow(video, fresh, noise=0)
        done.extend(fresh)
    return done


def find_truth(capture: Path, phrases: list[str], work: Path) -> tuple[list[Entry], list[Tracker]]:
    """Return an entry for every range in which a phrase is readable in the capture, and the crops behind it."""
    sights = read_every_second(capture, phrases)
    for text in (text for text, seen in sights.items() if not seen):
        print(f"left out, never read: {text!r}")
    trackers = build_trackers(capture, sights)
    save_crops(trackers, work / "crops")
    entries: list[Entry] = []
    for text in phrases:
        ranges = ranges_of(seen_frames(trackers, text))
        if any((last + 1 - first) * 1000 < SHORTEST_MS * FPS for first, last in ranges):
            print(f"left out, too short somewhere: {text!r} {ranges}")
            continue
        entries.extend(entry_of(text, span) for span in ranges)
    return sorted(entries, key=lambda entry: (entry["t_start_ms"], entry["text"])), trackers


def entry_of(text: str, span: Range) -> Entry:
    first, last = span
    return {"text": text, "t_start_ms": round(first * 1000 / FPS), "t_end_ms": round((last + 1) * 1000 / FPS)}


def save_crops(trackers: list[Tracker], folder: Path) -> None:
    """Keep the crops as pictures, for a person to look at."""
    folder.mkdir(exist_ok=True)
    for number, tracker in enumerate(trackers):
        cv2.imwrite(str(folder / f"{number:03}.png"), tracker.crop)


def check_truth(video: Path, entries: list[Entry], trackers: list[Tracker]) -> list[Entry]:
    """Keep the phrases that the encoded video shows at the same times and that a full-frame reader can read."""
    again = [Tracker(t.text, t.crop, t.x, strictness=0.08) for t in trackers]
    follow(video, again, noise=3)
    bad = set()
    for text in {str(entry["text"]) for entry in entries}:
        wanted = [entry for entry in entries if entry["text"] == text]
        shown = [entry_of(text, span) for span in ranges_of(seen_frames(again, text))]
        if not same_times(wanted, shown):
            print(f"left out, the video disagrees: {text!r}\n  capture {wanted}\n  video   {shown}")
            bad.add(text)
    bad |= unreadable(video, entries)
    return [entry for entry in entries if entry["text"] not in bad]


def same_times(wanted: list[Entry], shown: list[Entry]) -> bool:
    if len(wanted) != len(shown):
        return False
    edges = [
        (int(a[key]), int(b[key])) for a, b in zip(wanted, shown, strict=True) for key in ("t_start_ms", "t_end_ms")
    ]
    return all(abs(one - other) <= LONGEST_DISAGREEMENT_MS for one, other in edges)


def unreadable(video: Path, entries: list[Entry]) -> set[str]:
    """Read the frame in the middle of every range; return the phrases that were not in what was read."""
    read = new_reader()
    middles: dict[int, list[str]] = {}
    for entry in entries:
        middle = (int(entry["t_start_ms"]) + int(entry["t_end_ms"])) * FPS // 2000
        middles.setdefault(middle, []).append(str(entry["text"]))
    bad = set()
    for number, frame in enumerate(frames_of(video, "bgr24")):
        if number in middles:
            lines = [squeeze(text) for text in read(frame).txts]
            for text in middles[number]:
                score = max(best_place(squeeze(text), line)[0] for line in lines)
                if score < 1.0:
                    print(f"read with likeness {score:.2f} at frame {number}: {text!r}")
                if score < READABLE:
                    bad.add(text)
    return bad
