"""Small pictures of a recording, one every so often: sheets of them for the scrubbing preview, and which moments
may stand for the whole.

They come out of the decode that encodes the renditions, a few a minute, so what is done here costs next to nothing.
"""

from collections.abc import Sequence
from math import ceil, log1p
from pathlib import Path

from PIL import Image, ImageFilter, ImageStat

from mediaplane.pipeline.tools.encode import FrameGrid
from mediaplane.pipeline.tools.results import Candidate, SpriteSheet

COLUMNS = 10
TILES = 100  # on one sheet: 2400 x 1350 pixels, which phones still take for a picture
JPEG_QUALITY = 70
CANDIDATES = 3
DARK, BRIGHT = 40.0, 15.0  # levels from black and from white within which a picture counts less
PLAIN = 50.0  # standard deviation of brightness below which it counts less: fades, fog, empty pages
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)

Still = tuple[int, Path]  # timestamp_ms, JPEG


def read_stills(directory: Path, grid: FrameGrid) -> list[Still]:
    """Return what ffmpeg wrote, by time; what lies behind the grid's end belongs to the next chunk."""
    found = sorted(directory.glob("*.jpg"))
    end = len(found) if grid.end is None else grid.end - grid.first
    return [(grid.timestamp_ms(position), path) for position, path in enumerate(found[:end])]


def make_sheets(stills: Sequence[Still], out_dir: Path, *, prefix: str, tile_ms: int) -> list[SpriteSheet]:
    """Write sheets of the pictures into `out_dir`."""
    out_dir.mkdir(parents=True, exist_ok=True)
    parts = [stills[start : start + TILES] for start in range(0, len(stills), TILES)]
    return [_write_sheet(part, out_dir, f"{prefix}_{number}.jpg", tile_ms) for number, part in enumerate(parts)]


def _write_sheet(stills: Sequence[Still], out_dir: Path, name: str, tile_ms: int) -> SpriteSheet:
    with Image.open(stills[0][1]) as first:
        width, height = first.size
    columns = min(COLUMNS, len(stills))
    sheet = Image.new("RGB", (columns * width, ceil(len(stills) / columns) * height))
    for position, (_, path) in enumerate(stills):
        with Image.open(path) as still:
            sheet.paste(still, (position % columns * width, position // columns * height))
    sheet.save(out_dir / name, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return SpriteSheet(
        file=name,
        first_ms=stills[0][0],
        tile_ms=tile_ms,
        tiles=len(stills),
        columns=columns,
        tile_width=width,
        tile_height=height,
    )


def find_candidates(stills: Sequence[Still]) -> list[Candidate]:
    """Return the moments with most to see, best first."""
    scored = []
    for timestamp_ms, path in stills:
        with Image.open(path) as still:
            scored.append(Candidate(timestamp_ms, round(score(still), 3)))
    return sorted(scored, key=lambda candidate: (-candidate.score, candidate.timestamp_ms))[:CANDIDATES]


def score(still: Image.Image) -> float:
    """Return how much there is to see: 0 for one colour, little for black, blurred, faded, or a title on black.

    Brightness spread over many levels (entropy) tells a scene from a title card; edges tell sharp from blurred;
    contrast and exposure tell a picture from the same one half faded out.
    """
    gray = still.convert("L")
    brightness = ImageStat.Stat(gray)
    mean, spread = brightness.mean[0], brightness.stddev[0]
    edges = ImageStat.Stat(gray.filter(_LAPLACE)).var[0]
    exposure = min(1.0, mean / DARK) * min(1.0, (255 - mean) / BRIGHT)
    return gray.entropy() * exposure * min(1.0, spread / PLAIN) * log1p(edges)


def choose_moment(candidates: Sequence[Candidate], duration_ms: int | None) -> int | None:
    """Return the time of the best candidate; of two alike the one that comes early, but not at once."""
    if not candidates:
        return None
    whole = max(duration_ms or 0, *(candidate.timestamp_ms for candidate in candidates), 1)
    best = max(candidates, key=lambda candidate: candidate.score * _fitness(candidate.timestamp_ms / whole))
    return best.timestamp_ms


def _fitness(share: float) -> float:
    """Return how well a moment at this share of the recording stands for it: openings and endings do less."""
    return 0.85 if share < 0.02 else 1.0 - 0.25 * share
