"""The text on a screen recording: frames in, lines with their times out; only what has changed is read."""

from collections.abc import Sequence
from functools import reduce

from mediaplane.pipeline.tools.blocks import find_blocks
from mediaplane.pipeline.tools.cache import LineCache, cut_ink, is_solid
from mediaplane.pipeline.tools.engine import Engine, Reading
from mediaplane.pipeline.tools.lines import Box, Line
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.models import language_of
from mediaplane.pipeline.tools.tiles import ChangeMap, Region
from mediaplane.pipeline.tools.tracking import Found, Track, Tracks

MARGIN_X, MARGIN_Y = 12, 6  # pixels around a known line: its first and last letter are seen whole
SURE = 0.8  # confidence that makes text in a moving picture worth another look
MIN_MOVING_LETTERS = 12  # less than this in a moving picture is taken for chance
SIGN_CONFIDENCE = 0.97  # pointers, carets and icons are read as single letters
WIDEN_X, WIDEN_Y = 256, 32  # pixels by which a region that cuts a line is widened
WORD_GAP = 0.35  # of the height: boxes reach beyond their ink, so this is a gap of about one letter


class ScreenReader:
    """Reads one video (or chunk) of `width` x `height` pixels, frame by frame in order of time."""

    def __init__(
        self,
        width: int,
        height: int,
        engine: Engine,
        *,
        min_confidence: float = 0.6,
        languages: Sequence[str] = ("en",),
    ) -> None:
        self._width, self._height = width, height
        self._engine = engine
        self._min_confidence = min_confidence
        self._languages = tuple(languages)
        self._changes = ChangeMap(width, height)
        self._cache = LineCache()
        self._tracks = Tracks()

    def look(self, luma: Luma, timestamp_ms: int) -> bool:
        """Take in one frame; tell whether text can be read in it that could not be read before.

        Text that only went away, moved, ticked on as a clock or was covered by the pointer does not count: there is
        nothing new to see in such a frame. The array must not be changed afterwards. Costs about a millisecond for
        1080p where nothing is due; detection 0.5 s per million pixels due, recognition 5 ms per new word.
        """
        regions = self._changes.look(luma, timestamp_ms)
        return self._read(self._grow(regions), luma, timestamp_ms) if regions else False

    def finish(self, end_ms: int) -> list[Line]:
        """End what is still on the screen at `end_ms` and return all lines, ordered by their start."""
        return [self._line(track) for track in self._tracks.finish(end_ms)]

    def _line(self, track: Track) -> Line:
        x, y, width, height = track.box
        return Line(
            t_start_ms=track.t_start_ms,
            t_end_ms=track.t_end_ms,
            text=track.text,
            box=(x, y, width, height),
            confidence=track.confidence,
            language=language_of(track.text, self._languages),
            frame_ms=track.frame_ms,
        )

    def _grow(self, regions: list[Region]) -> list[Region]:
        """Widen each region by the known lines it touches, so that no line is cut, and join those that overlap."""
        margins = [track.box.grown(MARGIN_X, MARGIN_Y, self._width, self._height) for track in self._tracks.live]
        known = list(zip((track.box for track in self._tracks.live), margins, strict=True))
        grown: list[Region] = []
        waiting = list(regions)
        while waiting:
            box, still = waiting.pop()
            before = None
            while before != box:
                before = box
                for line, margin in known:
                    if box.shared(line):
                        box = box.union(margin)
            for other in [other for other in grown if other.box.shared(box)]:
                grown.remove(other)
                box, still = box.union(other.box), still and other.still
                before = None
            if before is None:
                waiting.append(Region(box, still))
            else:
                grown.append(Region(box, still))
        return grown

    def _read(self, regions: list[Region], luma: Luma, timestamp_ms: int) -> bool:
        found: list[Found] = []
        old: list[Track] = []
        seen = self._detect(regions, luma)
        for region, boxes in seen:
            inside = [track for track in self._tracks.live if track.box.shared(region.box)]
            changed, unchanged = self._sort_out(boxes, inside, luma)
            found += self._recognise(changed, luma, still=region.still)
            old += [track for track in inside if not any(track is same for same in unchanged)]
        before = {id(track): track.box for track in old}
        fresh = self._tracks.settle(found, old, luma, self._changes, timestamp_ms)
        stirred = fresh + [track for track in old if track.t_end_ms >= 0 or not track.box.shared(before[id(track)])]
        for region, _ in seen:
            touched = [track for track in stirred if track.box.shared(region.box)]
            worth = bool(touched) if region.still else _has_text(touched)
            self._changes.mark_read(region.box, luma, timestamp_ms, fresh=worth)
        return bool(fresh)

    def _detect(self, regions: list[Region], luma: Luma) -> list[tuple[Region, list[Box]]]:
        """Return the boxes of the lines in each region; a region that cuts a line is widened and looked at again."""
        seen = {region.box: self._boxes(region.box, luma) for region in regions}
        whole = self._grow([Region(self._widened(box, seen[box]), still) for box, still in regions])
        return [
            (region, join_words(seen[region.box] if region.box in seen else self._boxes(region.box, luma)))
            for region in whole
        ]

    def _boxes(self, region: Box, luma: Luma) -> list[Box]:
        boxes: list[Box] = []
        for block in find_blocks(luma[region.y : region.bottom, region.x : region.right]):
            x, y = region.x + block.x, region.y + block.y
            found = self._engine.detect(luma[y : y + block.height, x : x + block.width])
            boxes += [Box(box.x + x, box.y + y, box.width, box.height) for box in found]
        return boxes

    def _widened(self, region: Box, boxes: list[Box]) -> Box:
        for box in boxes:
            across = WIDEN_X if box.x <= region.x or box.right >= region.right else 0
            down = WIDEN_Y if box.y <= region.y or box.bottom >= region.bottom else 0
            if across or down:
                region = region.union(box.grown(across, down, self._width, self._height))
        return region

    def _sort_out(self, boxes: list[Box], inside: list[Track], luma: Luma) -> tuple[list[Box], list[Track]]:
        """Return the boxes to be read, and the known lines that stand under the others unchanged."""
        changed: list[Box] = []
        unchanged: list[Track] = []
        for box in boxes:
            below = [track for track in inside if _same_row(track.box, box)]
            around = reduce(Box.union, (track.box for track in below), box)
            if below and not self._changes.differs(around, luma):
                unchanged += below
            else:
                changed.append(box)
        return changed, [track for track in unchanged if not any(_same_row(track.box, box) for box in changed)]

    def _recognise(self, boxes: Sequence[Box], luma: Luma, *, still: bool) -> list[Found]:
        crops = [luma[box.y : box.bottom, box.x : box.right] for box in boxes]
        inks = [cut_ink(crop) for crop in crops]
        boxes, crops, inks = _without_carets(boxes, crops, inks)
        readings = [None if ink is None else self._cache.find(ink) for ink in inks]
        missing = [number for number, reading in enumerate(readings) if reading is None]
        for number, reading in zip(missing, self._engine.recognise([crops[n] for n in missing]), strict=True):
            readings[number] = reading
            ink = inks[number]
            if ink is not None:
                self._cache.keep(ink, reading)
        return [
            Found(box, reading.text, reading.confidence, self._is_sure(reading, still=still))
            for box, reading in zip(boxes, readings, strict=True)
            if reading is not None
        ]

    def _is_sure(self, reading: Reading, *, still: bool) -> bool:
        letters = sum(char.isalnum() for char in reading.text)
        enough = max(self._min_confidence, 0.0 if still else SURE, SIGN_CONFIDENCE if letters == 1 else 0.0)
        return letters > 0 and reading.confidence >= enough


def _without_carets(
    boxes: Sequence[Box], crops: list[Luma], inks: list[Luma | None]
) -> tuple[list[Box], list[Luma], list[Luma | None]]:
    kept = [number for number, ink in enumerate(inks) if ink is None or not is_solid(ink)]
    return [boxes[n] for n in kept], [crops[n] for n in kept], [inks[n] for n in kept]


def _has_text(tracks: Sequence[Track]) -> bool:
    """Tell whether a moving picture showed enough text to be looked at again soon."""
    return sum(len(track.key) for track in tracks if track.confidence >= SURE) >= MIN_MOVING_LETTERS


def join_words(boxes: Sequence[Box]) -> list[Box]:
    """Join boxes that stand side by side with no more than a space between them: detection parts lines at random."""
    lines: list[Box] = []
    for box in sorted(boxes):
        before = next((line for line in reversed(lines) if _follows(line, box)), None)
        if before is None:
            lines.append(box)
        else:
            lines[lines.index(before)] = before.union(box)
    return lines


def _same_row(one: Box, other: Box) -> bool:
    """Tell whether one box lies on a good part of the other; neighbouring rows share their edges."""
    return one.shared(other) >= 0.3 * min(one.area, other.area)


def _follows(line: Box, box: Box) -> bool:
    low, high = sorted((line.height, box.height))
    shared = min(line.bottom, box.bottom) - max(line.y, box.y)
    return high <= 1.6 * low and shared >= 0.7 * low and box.x - line.right <= WORD_GAP * low
