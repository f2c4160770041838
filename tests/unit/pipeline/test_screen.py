"""What counts as text on a recording and when it was there, with an engine that reads without fault."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.screen import ScreenReader
from tests.unit.pipeline.screens import MARGIN, BlockEngine, blank, screen, write

FRAME_MS = 100


def watch(draw: Callable[[int], Luma], end_ms: int, engine: BlockEngine | None = None) -> tuple[list[Line], list[int]]:
    """Show the frames `draw` makes for each time; return the lines and the times of the kept frames."""
    first = draw(0)
    reader = ScreenReader(first.shape[1], first.shape[0], engine or BlockEngine())
    kept = [at_ms for at_ms in range(0, end_ms, FRAME_MS) if reader.look(draw(at_ms), at_ms)]
    return reader.finish(end_ms), kept


def times(lines: list[Line]) -> list[tuple[str, int, int]]:
    return [(line.text, line.t_start_ms, line.t_end_ms) for line in lines]


def test_line_that_stays_is_one_segment_of_the_whole_time():
    """A still screen is read once, and its lines last from the first frame to the end."""
    engine = BlockEngine()
    lines, kept = watch(lambda _: screen((20, 20, "hello world"), (20, 100, "second line")), 3000, engine)
    assert times(lines) == [("hello world", 0, 3000), ("second line", 0, 3000)]
    assert kept == [0]
    assert engine.detections == 1
    assert [line.frame_ms for line in lines] == [0, 0]


def test_page_change_ends_the_old_lines_and_keeps_one_frame():
    """Lines of the first page end when the second page appears, to the frame."""

    def draw(at_ms: int) -> Luma:
        return screen((20, 20, "page one")) if at_ms < 1000 else screen((40, 60, "page two"))

    lines, kept = watch(draw, 2000)
    assert times(lines) == [("page one", 0, 1000), ("page two", 1000, 2000)]
    assert len(kept) == 2
    assert kept[1] - 1000 <= 200
    assert lines[1].frame_ms == kept[1]


def test_text_that_only_goes_away_keeps_no_frame():
    """A closed message ends its line; the frame without it shows nothing new."""

    def draw(at_ms: int) -> Luma:
        return screen((20, 20, "title"), (20, 100, "message")) if at_ms < 1000 else screen((20, 20, "title"))

    lines, kept = watch(draw, 2000)
    assert sorted(times(lines)) == [("message", 0, 1000), ("title", 0, 2000)]
    assert kept == [0]


def test_caret_that_blinks_keeps_no_frame_and_is_soon_not_read_any_more():
    """Once both looks of the caret are known, its blinking costs no detection."""

    def draw(at_ms: int) -> Luma:
        frame = screen((20, 20, "type here"))
        if at_ms // 500 % 2:
            frame[18:38, 100:103] = 20
        return frame

    engine = BlockEngine()
    lines, kept = watch(draw, 20_000, engine)
    assert times(lines) == [("type here", 0, 20_000)]
    assert kept == [0]
    assert engine.detections <= 4


def test_clock_that_ticks_is_one_segment_and_keeps_no_frame():
    """A line that differs by a time of day that moved on with the video keeps its first reading."""

    def draw(at_ms: int) -> Luma:
        seconds = 10 * 3600 + 42 * 60 + 57 + at_ms // 1000
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return screen((20, 20, f"inbox {clock} online"), (20, 100, "mail"))

    engine = BlockEngine()
    lines, kept = watch(draw, 10_000, engine)
    assert sorted(times(lines)) == [("inbox 10:42:57 online", 0, 10_000), ("mail", 0, 10_000)]
    assert kept == [0]
    assert engine.detections <= 6


@pytest.mark.parametrize(("before", "after"), [("price 39.99", "price 49.99"), ("starts 9:15", "starts 14:45")])
def test_number_that_is_edited_is_new_text(before: str, after: str):
    """Digits that did not move on with the video are an edit: a new line and a kept frame."""
    lines, kept = watch(lambda at_ms: screen((20, 20, before if at_ms < 2000 else after)), 4000)
    assert times(lines) == [(before, 0, 2000), (after, 2000, 4000)]
    assert len(kept) == 2


def test_pointer_over_a_line_changes_nothing():
    """A pointer that rests on a line is no text, and neither does the line end."""

    def draw(at_ms: int) -> Luma:
        frame = screen((20, 40, "a line under the pointer"))
        if 1000 <= at_ms < 4000:
            for row in range(24):
                frame[44 + row, 80 : 80 + max(1, row * 2 // 3)] = 150  # the engine sees a gap in the letters
        return frame

    lines, kept = watch(draw, 6000)
    assert times(lines) == [("a line under the pointer", 0, 6000)]
    assert kept == [0]


def test_line_that_blinks_stays_one_segment():
    """A line that is away for half a second is the same line."""

    def draw(at_ms: int) -> Luma:
        frame = screen((20, 20, "title"))
        return frame if 2000 <= at_ms < 2500 else write(frame, 20, 100, "warning")

    lines, kept = watch(draw, 5000)
    assert sorted(times(lines)) == [("title", 0, 5000), ("warning", 0, 5000)]
    assert kept == [0]


def test_line_that_comes_back_later_is_a_second_segment():
    """What is shown twice can be found twice."""

    def draw(at_ms: int) -> Luma:
        frame = screen((20, 20, "title"))
        return frame if 2000 <= at_ms < 5000 else write(frame, 20, 100, "warning")

    lines, _ = watch(draw, 7000)
    assert sorted(times(lines)) == [("title", 0, 7000), ("warning", 0, 2000), ("warning", 5000, 7000)]


def test_equal_texts_in_two_places_are_two_segments():
    """The same words at two places at the same time stay separate lines."""
    lines, _ = watch(lambda _: screen((20, 20, "same words"), (20, 200, "same words")), 2000)
    assert [(line.text, line.box[1] < 100) for line in lines] == [("same words", True), ("same words", False)]


def scrolling(at_ms: int, speed: int = 6) -> Luma:
    frame = blank()
    top = 40 + speed * max(0, min(at_ms, 6000) - 1000) // FRAME_MS
    for number in range(-20, 12):
        y = number * 32 + top
        if 0 <= y <= 300:
            write(frame, 20, y, f"line {number + 20:02} of the log")
    return frame


def test_scrolled_line_stays_one_segment():
    """While a page scrolls for five seconds every line is one segment, with its latest box."""
    lines, _ = watch(scrolling, 8000)
    texts = [line.text for line in lines if line.text.startswith("line ")]
    assert len(texts) == len(set(texts))
    last = next(line for line in lines if line.text == "line 20 of the log" or line.box[1] > 280)
    assert last.t_start_ms == 0


def test_scrolled_text_is_read_every_half_second():
    """Each line of a page that never stands still is found at the time it is visible, to within a second."""
    lines, _ = watch(scrolling, 8000)
    found = {line.text: line for line in lines}
    for number in range(2, 20):
        visible = [
            at_ms
            for at_ms in range(0, 8000, FRAME_MS)
            if 0 <= (number - 20) * 32 + 40 + 6 * max(0, min(at_ms, 6000) - 1000) // FRAME_MS <= 300
        ]
        line = found.get(f"line {number:02} of the log")
        if len(visible) < 10:
            continue
        assert line is not None
        assert abs(line.t_start_ms - visible[0]) <= 1000
        assert abs(line.t_end_ms - min(8000, visible[-1] + FRAME_MS)) <= 1000


def typed(text: str, per_second: int, start_ms: int = 1000) -> Callable[[int], Luma]:
    def draw(at_ms: int) -> Luma:
        letters = max(0, at_ms - start_ms) * per_second // 1000
        return screen((20, 20, "prompt"), (20, 60, text[:letters])) if letters else screen((20, 20, "prompt"))

    return draw


def test_line_typed_fast_is_one_segment():
    """What is typed within a second and a half leaves no shorter texts behind."""
    lines, kept = watch(typed("hello big world", 12), 6000)
    assert sorted(line.text for line in lines) == ["hello big world", "prompt"]
    line = next(line for line in lines if line.text != "prompt")
    assert 1000 <= line.t_start_ms <= 2250
    assert line.t_end_ms == 6000
    assert line.frame_ms == kept[-1]


def test_line_typed_slowly_has_few_segments_with_true_times():
    """Every text of a slowly typed line begins at most two seconds before its last letter appeared."""
    text = "this line takes ten seconds to be typed until its end"
    lines, _ = watch(typed(text, 5), 14_000)
    parts = [line for line in lines if line.text != "prompt"]
    assert parts[-1].text == text
    assert len(parts) <= 8
    for line in parts:
        complete_ms = 1000 + len(line.text) * 1000 // 5
        assert complete_ms - 2100 <= line.t_start_ms <= complete_ms + FRAME_MS
        assert text.startswith(line.text)


def test_doubtful_text_is_dropped():
    """Readings below the least confidence are no lines and keep no frame."""
    engine = BlockEngine({"blurred": 0.5, "nearly": 0.61})
    lines, _ = watch(lambda _: screen((20, 20, "blurred"), (20, 100, "nearly")), 1000, engine)
    assert [line.text for line in lines] == ["nearly"]


def test_signs_without_letters_are_no_text():
    """Bullets and rules of a page are not handed on."""
    lines, kept = watch(lambda _: screen((20, 20, "----"), (20, 100, "** ?")), 1000)
    assert lines == []
    assert kept == []


def noise(seed: int = 7) -> Iterator[Luma]:
    chance = np.random.default_rng(seed)
    while True:
        yield chance.integers(0, 255, (256, 384), np.uint8)


def test_moving_picture_is_read_seldom_and_text_beside_it_at_once():
    """A film in a window costs a few looks a minute; a line beside it is found when it appears."""
    films = noise()

    def draw(at_ms: int) -> Luma:
        frame = blank(1024, 512)
        frame[200:456, 600:984] = next(films)
        return write(frame, 20, 20, "beside the film") if at_ms >= 8000 else frame

    class Blind(BlockEngine):
        """Sees no text in the film, as a good detector does."""

        def detect(self, luma: Luma):
            return [box for box in super().detect(luma) if box.height == 16 + 2 * MARGIN]

    engine = Blind()
    lines, kept = watch(draw, 20_000, engine)
    assert [(line.text, line.t_start_ms) for line in lines] == [("beside the film", 8000)]
    assert kept == [8000 + FRAME_MS]
    assert engine.detections <= 12
