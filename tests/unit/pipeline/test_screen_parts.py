"""The parts of reading a screen: lines known by their looks, blank strips, gaps between words, boxes of one row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.pipeline.tools.blocks import find_blocks
from mediaplane.pipeline.tools.cache import LineCache, cut_ink, is_solid
from mediaplane.pipeline.tools.debug import draw_lines
from mediaplane.pipeline.tools.engine import Reading
from mediaplane.pipeline.tools.lines import Box, Line, overlap
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.screen import join_words
from mediaplane.pipeline.tools.spacing import restore_spaces
from mediaplane.pipeline.tools.tiles import ChangeMap
from tests.unit.pipeline.screens import LETTER_WIDTH, blank, write


def ink_of(text: str, noise: int = 0, shade: int = 0) -> Luma:
    picture = write(blank(480, 40), 11, 9, text).astype(np.int16) + shade
    picture += np.random.default_rng(1).integers(-noise, noise + 1, picture.shape, np.int16)
    ink = cut_ink(picture.clip(0, 255).astype(np.uint8))
    assert ink is not None
    return ink


def test_cache_finds_a_line_again_through_noise():
    """Codec noise and a slightly darker picture do not hide a known line."""
    cache = LineCache()
    cache.keep(ink_of("known line"), Reading("known line", 0.9))
    assert cache.find(ink_of("known line", noise=12, shade=-4)) == Reading("known line", 0.9)


@pytest.mark.parametrize("other", ["known lime", "known lin", "unknown line", "known 1ine"])
def test_cache_does_not_take_one_line_for_another(other: str):
    """One different letter is another line."""
    cache = LineCache()
    cache.keep(ink_of("known line"), Reading("known line", 0.9))
    assert cache.find(ink_of(other)) is None


def test_cache_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch):
    """The cache stays at its size, and lines used lately stay in it."""
    monkeypatch.setattr("mediaplane.pipeline.tools.cache.MAX_ENTRIES", 3)
    cache = LineCache()
    for text in ("one", "two", "three"):
        cache.keep(ink_of(text), Reading(text, 1.0))
    assert cache.find(ink_of("one")) is not None
    cache.keep(ink_of("four"), Reading("four", 1.0))
    assert cache.find(ink_of("two")) is None
    assert cache.find(ink_of("one")) == Reading("one", 1.0)


def test_blank_crop_has_no_ink():
    """Paper alone gives nothing to compare."""
    assert cut_ink(blank(100, 20)) is None


def test_caret_is_solid_and_a_letter_is_not():
    """A filled block is no letter; a letter has gaps."""
    assert is_solid(np.full((20, 9), 20, np.uint8))
    assert not is_solid(ink_of("a"))


places = st.lists(st.tuples(st.integers(0, 1700), st.integers(0, 1000)), max_size=8)


@given(places)
def test_blocks_hold_everything_that_is_not_blank(corners: list[tuple[int, int]]):
    """No pixel of text lies outside the blocks, and each keeps paper around it."""
    picture = blank(1920, 1080)
    for x, y in corners:
        write(picture, x, y, "some text")
    covered = np.zeros(picture.shape, bool)
    for block in find_blocks(picture):
        covered[block.y : block.bottom, block.x : block.right] = True
    assert covered[picture < 100].all()
    for x, y in corners:
        assert covered[max(0, y - 8) : y + 24, max(0, x - 8) : x + 9 * LETTER_WIDTH + 8].all()


def test_blocks_leave_blank_parts_out():
    """A window with two lines costs a small part of the screen, also with a line down its side."""
    picture = write(write(blank(1920, 1080), 100, 100, "a line"), 100, 900, "another line")
    picture[:, 600:602] = 20
    blocks = find_blocks(picture)
    assert sum(block.area for block in blocks) < picture.size // 10


def test_space_is_put_back_into_a_wide_gap():
    """Letters that stand apart by more than half their height are two words."""
    crop = np.full((30, 300), 240, np.uint8)
    starts = [10, 24, 38, 76, 90, 104]
    for start in starts:
        crop[5:25, start : start + 11] = 20
    centres = [start + 5.0 for start in starts]
    assert restore_spaces("catdog", centres, crop) == "cat dog"
    assert restore_spaces(["c", "a", "t", " ", "d", "o", "g"], [*centres[:3], 60.0, *centres[3:]], crop) == "cat dog"


def test_letters_set_apart_stay_one_word():
    """A heading with wide letter spacing is not torn apart."""
    crop = np.full((30, 300), 240, np.uint8)
    starts = [10, 40, 70, 100, 130]
    for start in starts:
        crop[5:25, start : start + 11] = 20
    assert restore_spaces("HELLO", [start + 5.0 for start in starts], crop) == "HELLO"


def test_boxes_of_one_row_are_joined():
    """Words a space apart are one line; columns, other rows and other sizes are not."""
    assert join_words([Box(10, 10, 80, 24), Box(94, 11, 40, 23)]) == [Box(10, 10, 124, 24)]
    apart = [Box(10, 10, 80, 24), Box(130, 10, 80, 24), Box(10, 60, 80, 24), Box(92, 54, 80, 60)]
    assert sorted(join_words(apart)) == sorted(apart)


boxes = st.builds(Box, *[st.integers(0, 100)] * 2, *[st.integers(1, 100)] * 2)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_one_for_the_same_box(one: Box, other: Box):
    """Shared area over joint area lies between 0 and 1."""
    assert overlap(one, other) == overlap(other, one)
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, one) == 1
    assert one.union(other).shared(one) == one.area


def test_change_is_dated_by_its_own_tiles():
    """A tile that changed earlier elsewhere does not date a later change."""
    changes = ChangeMap(640, 320)
    first = blank()
    for region in changes.look(first, 0):
        changes.mark_read(region.box, first, 0, fresh=True)
    early = write(first.copy(), 10, 10, "early")
    changes.look(early, 100)
    changes.look(write(early.copy(), 10, 200, "late"), 200)
    assert changes.first_change_ms(Box(10, 10, 40, 16), 300) == 100
    assert changes.first_change_ms(Box(10, 200, 40, 16), 300) == 200


def test_fade_is_read_when_it_adds_up():
    """Steps too small to count one by one are noticed against what was read."""
    changes = ChangeMap(640, 320)
    first = blank()
    for region in changes.look(first, 0):
        changes.mark_read(region.box, first, 0, fresh=True)
    due: list[int] = []
    for step in range(1, 20):
        frame = first.copy()
        frame[100:116, 64:256] -= np.uint8(min(step, 12) * 10)
        due += [step] if changes.look(frame, step * 100) else []
    assert due
    assert due[0] >= 3


@pytest.mark.parametrize(("width", "height"), [(640, 320), (641, 321), (64, 16), (50, 10), (854, 480)])
def test_frames_of_any_size_are_read_whole(width: int, height: int):
    """The first frame is due as a whole, whatever its size."""
    assert [region.box for region in ChangeMap(width, height).look(np.zeros((height, width), np.uint8), 0)] == [
        Box(0, 0, width, height)
    ]


def test_debug_picture_shows_lines_of_its_time_only():
    """Boxes of lines visible at the time are drawn into a copy, letters beyond ASCII as question marks."""
    picture = np.zeros((100, 300, 3), np.uint8)
    line = Line(1000, 2000, "héllo", (20, 40, 100, 20), 0.9, "en", 1000)
    assert draw_lines(picture, [line], 1500).any()
    assert not draw_lines(picture, [line], 3000).any()
    assert not picture.any()
