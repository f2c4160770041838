"""The picture that stands for a recording has something to see; sheets hold every small picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from mediaplane.pipeline.tools.encode import FrameGrid
from mediaplane.pipeline.tools.plan import STILL_STEPS_MS, still_interval_ms
from mediaplane.pipeline.tools.results import Candidate
from mediaplane.pipeline.tools.stills import choose_moment, find_candidates, make_sheets, read_stills, score

SIZE = (240, 136)


def scene(*, faded=1.0):
    """Return a picture with things in it, as bright as `faded` says."""
    rng = np.random.default_rng(7)
    sky = np.linspace(90, 220, SIZE[1])[:, None, None] * np.array([0.6, 0.8, 1.0])
    pixels = np.broadcast_to(sky, (SIZE[1], SIZE[0], 3)).copy()
    for _ in range(40):
        x, y, wide, high = rng.integers(0, 200), rng.integers(0, 110), rng.integers(8, 50), rng.integers(8, 40)
        pixels[y : y + high, x : x + wide] = rng.integers(0, 256, 3)
    return Image.fromarray(np.uint8(pixels * faded))


def title():
    picture = Image.new("RGB", SIZE, "black")
    ImageDraw.Draw(picture).text((80, 60), "A FILM BY NOBODY", fill="white")
    return picture


DULL = {
    "black": Image.new("RGB", SIZE, "black"),
    "white": Image.new("RGB", SIZE, "white"),
    "blurred": scene().filter(ImageFilter.GaussianBlur(8)),
    "fading in": scene(faded=0.25),
    "half faded": scene(faded=0.6),
    "title": title(),
}


@pytest.mark.parametrize("kind", sorted(DULL))
def test_scene_scores_higher_than(kind):
    """Black, white, blurred and fading pictures and titles are left for one that shows something."""
    assert score(scene()) > 1.15 * score(DULL[kind])


def test_one_colour_scores_nothing():
    """There is nothing to see on it."""
    assert score(DULL["black"]) == score(DULL["white"]) == 0


def test_moment_chosen_is_the_best_and_of_equals_an_early_one():
    """But not the very first, which may be an opening; a much better one wins wherever it lies."""
    alike = [Candidate(moment, 10.0) for moment in (0, 20_000, 50_000, 90_000)]
    assert choose_moment(alike, 100_000) == 20_000
    assert choose_moment([*alike, Candidate(95_000, 20.0)], 100_000) == 95_000
    assert choose_moment([Candidate(0, 0.0)], None) == 0
    assert choose_moment([], 1000) is None


def test_sheets_hold_every_picture_once(tmp_path):
    """A hundred on a sheet, ten in a row; what belongs to the next chunk is left out."""
    (tmp_path / "stills").mkdir()
    for number in range(1, 126):
        level = number * 2
        Image.new("RGB", SIZE, (level, level, level)).save(tmp_path / "stills" / f"{number:06d}.jpg", quality=95)
    grid = FrameGrid(rate=1, first=60, end=60 + 123)  # type: ignore[arg-type]
    stills = read_stills(tmp_path / "stills", grid)
    assert [stills[0][0], stills[-1][0], len(stills)] == [60_000, 182_000, 123]
    sheets = make_sheets(stills, tmp_path / "sprites", prefix="c00001", tile_ms=1000)
    assert [(sheet.file, sheet.first_ms, sheet.tiles, sheet.columns) for sheet in sheets] == [
        ("c00001_0.jpg", 60_000, 100, 10), ("c00001_1.jpg", 160_000, 23, 10),
    ]  # fmt: skip
    with Image.open(tmp_path / "sprites" / "c00001_1.jpg") as picture:
        assert picture.size == (2400, 3 * 136)
        assert picture.getpixel((2 * 240 + 120, 2 * 136 + 60))[0] == pytest.approx(246, abs=4)  # the 123rd
    assert len(find_candidates(stills)) == 3


@pytest.mark.parametrize(
    ("seconds", "interval_ms"), [(5, 500), (100, 500), (300, 1000), (600, 2000), (3600, 10_000), (40_000, 10_000)]
)
def test_small_pictures_are_further_apart_in_long_recordings(seconds, interval_ms):
    """About three hundred of a recording, at least six of a chunk."""
    assert still_interval_ms(seconds * 1_000_000, 60) == interval_ms
    assert still_interval_ms(seconds * 1_000_000, 6) <= 1000
    assert interval_ms in STILL_STEPS_MS
