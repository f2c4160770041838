"""Sizes of pictures: which renditions are made of a source, what a crop keeps, and which H.264 level that needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

# Level: macroblocks a second, macroblocks a frame. Source: ITU-T H.264, table A-1.
_LEVELS = {
    "3.0": (40_500, 1_620), "3.1": (108_000, 3_600), "3.2": (216_000, 5_120), "4.0": (245_760, 8_192),
    "4.2": (522_240, 8_704), "5.0": (589_824, 22_080), "5.1": (983_040, 36_864), "5.2": (2_073_600, 36_864),
    "6.0": (4_177_920, 139_264), "6.1": (8_355_840, 139_264),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RenditionSize:
    """A rendition to be made: square pixels, even sides."""

    name: str
    width: int
    height: int


def rendition_ladder(
    width: int, height: int, *, short_sides: Sequence[int], sample_aspect: Fraction = Fraction(1)
) -> list[RenditionSize]:
    """Return the renditions of a picture, largest first, named by their short side.

    One for each of `short_sides` that the source reaches, and one of the source's own size where that is below
    the largest of them. Nothing is enlarged.
    """
    shown_width = width * sample_aspect if sample_aspect >= 1 else Fraction(width)
    shown_height = Fraction(height) if sample_aspect >= 1 else height / sample_aspect
    short = min(shown_width, shown_height)
    sides = {side for side in short_sides if side <= short}
    if not short_sides or short < max(short_sides):
        sides.add(int(short))
    made = (_scaled(shown_width, shown_height, Fraction(side) / short) for side in sorted(sides, reverse=True))
    return list({size.name: size for size in made}.values())


def _scaled(width: Fraction, height: Fraction, factor: Fraction) -> RenditionSize:
    short, long = sorted((width, height))
    even_short = even_below(short * factor)
    even_long = max(even_short, min(even_below(long), round(long * factor / 2) * 2))
    pair = (even_short, even_long) if width <= height else (even_long, even_short)
    return RenditionSize(f"{even_short}p", *pair)


def even_below(side: Fraction) -> int:
    """Return the largest even side that is not longer, at least 2."""
    return max(2, int(side) // 2 * 2)


def h264_level(width: int, height: int, frame_rate: Fraction) -> str:
    """Return the lowest level that holds the picture.

    x264 would choose one by the header's rate, which is 1000 for some recordings of variable rate, and a player
    refuses what it believes to be level 6.2.
    """
    blocks = ceil(width / 16) * ceil(height / 16)
    fitting = (
        name for name, (a_second, a_frame) in _LEVELS.items() if blocks <= a_frame and blocks * frame_rate <= a_second
    )
    return next(fitting, "6.2")


def even_side(side: int) -> int:
    """Return `side` rounded up to an even number, as sampled frames have it."""
    return side + side % 2


def cropped_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return the largest even size of this shape that lies within a picture."""
    if Fraction(width, height) > aspect:
        return min(width, max(2, round(height * aspect / 2) * 2)), height
    return width, min(height, max(2, round(width / aspect / 2) * 2))
