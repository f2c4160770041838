"""Where the picture has changed since it was last read, and which parts are due to be read.

The frame is divided into tiles. A tile has changed when it differs from what was last *read* there, so slow typing
and fades add up. Changed tiles that lie together are due when all of them are still, or when the oldest change has
waited for `MAX_WAIT_MS`. Two things keep the cost down where pixels change and text does not:

- a caret blinks: the looks a tile has had while its text stayed the same are known, and no change;
- something ticks or turns: tiles that were read for nothing wait longer and longer, up to `MAX_PAUSE_MS`, unless a
  larger part of the picture comes to rest: then there may be a title to read;
- pictures move: what is read for nothing is taken from a budget of one frame in `MAX_PAUSE_MS`, and while that is used
  up, parts that move all the time are not read. Text that appears beside them is.
"""

from functools import reduce
from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from mediaplane.pipeline.tools.lines import Box
from mediaplane.pipeline.tools.luma import Luma

TILE_WIDTH, TILE_HEIGHT = 64, 16
DIFFERENT = 24  # levels by which a pixel must differ: codec noise stays below, dim text is above
MIN_PIXELS = 5  # in a tile: a full stop has more
MAX_WAIT_MS = 500  # a region that is never still is read this old
MAX_PAUSE_MS = 5_000  # and one in which nothing new is ever read, this seldom
FIRST_PAUSE_MS = 500
FADE = 0.95
FULL_BUDGET = 2.0  # frames
ACTIVE = 0.15  # share of the latest frames (about two seconds) in which a tile of a moving picture moves
MOVING_PICTURE = 0.3  # share of active tiles that makes a region one
REST_MS, REST_PAUSE_MS = 300, 1_500
MIN_REST_TILES = 40  # a clock has about nine, a title more than these
CALM_MS = 2_500  # a tile without motion for this long is read at once again
MAX_LOOKS = 3  # caret on, caret off, pointer beside it
MAX_TILES_COMPARED = 400  # with known looks; beyond, the whole page has changed anyway
_SPREAD = np.ones((3, 5), np.uint8)  # tiles this near belong together: words of a line, lines of a paragraph


class Region(NamedTuple):
    """A part of the frame that is due to be read."""

    box: Box
    still: bool  # otherwise it is read because it has waited long enough


class ChangeMap:
    """The tiles of one video: what was last read in them and how they change."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._rows, self._columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
        self._mask = np.zeros((self._rows * TILE_HEIGHT, self._columns * TILE_WIDTH), np.uint8)
        self._read: Luma | None = None  # each tile as it was when last read
        self._previous: Luma | None = None
        shape = (self._rows, self._columns)
        self._changed = np.ones(shape, bool)
        self._moving = np.zeros(shape, bool)
        self._first_ms = np.full(shape, -1, np.int64)  # when the tile first differed from what was read
        self._moved_ms = np.full(shape, -1, np.int64)
        self._read_ms = np.full(shape, -MAX_PAUSE_MS, np.int64)
        self._pause_ms = np.zeros(shape, np.int64)
        self._activity = np.zeros(shape, np.float32)
        self._budget = float(FULL_BUDGET)  # in frames
        self._looked_ms = 0
        self._looks: dict[tuple[int, int], list[Luma]] = {}

    def look(self, luma: Luma, timestamp_ms: int) -> list[Region]:
        """Take in the next frame and return the regions that are due; about 1 ms for a 1080p frame."""
        if self._read is None or self._previous is None:
            self._read = luma.copy()
            self._first_ms[:] = timestamp_ms
        else:
            self._compare(luma, timestamp_ms)
        self._previous = luma
        self._budget = min(FULL_BUDGET, self._budget + (timestamp_ms - self._looked_ms) / MAX_PAUSE_MS)
        self._looked_ms = timestamp_ms
        return self._due(timestamp_ms) if self._changed.any() else []

    def differs(self, box: Box, luma: Luma) -> bool:
        """Tell whether pixels in `box` differ from what was last read there."""
        if self._read is None:
            return True
        part = np.s_[box.y : box.bottom, box.x : box.right]
        return int(np.count_nonzero(cv2.absdiff(luma[part], self._read[part]) > DIFFERENT)) >= MIN_PIXELS

    def difference(self, box: Box, reach: int, luma: Luma) -> Box | None:
        """Return the box around the spots in `box` that differ from what was last read, and stick out of it or not.

        A spot is followed up to `reach` pixels beyond the box; those that lie outside altogether do not count.
        """
        assert self._read is not None
        around = box.grown(reach, reach, self._width, self._height)
        part = np.s_[around.y : around.bottom, around.x : around.right]
        mask = (cv2.absdiff(luma[part], self._read[part]) > DIFFERENT).view(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask, np.ones((5, 5), np.uint8)))
        y, x = box.y - around.y, box.x - around.x
        inside = np.unique(labels[y : y + box.height, x : x + box.width] * mask[y : y + box.height, x : x + box.width])
        spots = [Box(*stats[label][:4].tolist()) for label in inside.tolist() if 0 < label < count]
        if not spots:
            return None
        spot = reduce(Box.union, spots)
        return Box(around.x + spot.x + 2, around.y + spot.y + 2, spot.width - 4, spot.height - 4)

    def first_change_ms(self, box: Box, timestamp_ms: int) -> int:
        """Return since when the tiles under `box` have differed from what was read there.

        Tiles that are read seldom have been different for long for other reasons: they count for `MAX_WAIT_MS`.
        """
        tiles = self._tiles(box)
        first, paused = self._first_ms[tiles], self._pause_ms[tiles] > 0
        exact = first[(first >= 0) & ~paused]
        if exact.size:
            return int(exact.min())
        rough = first[first >= 0]
        return max(int(rough.min()), timestamp_ms - MAX_WAIT_MS) if rough.size else timestamp_ms

    def mark_read(self, box: Box, luma: Luma, timestamp_ms: int, *, fresh: bool) -> None:
        """Note that `box` has now been read; `fresh` tells whether its text had changed."""
        assert self._read is not None
        tiles = self._tiles(box)
        changed = self._changed[tiles]
        if fresh:
            self._forget_looks(tiles)
            self._pause_ms[tiles] = 0
        else:
            self._keep_looks(tiles)
            self._budget = max(-1.0, self._budget - box.area / (self._width * self._height))
            film = np.mean(self._activity[tiles] > ACTIVE) > MOVING_PICTURE
            longer = np.clip(self._pause_ms[tiles] * 2, FIRST_PAUSE_MS, MAX_PAUSE_MS)
            self._pause_ms[tiles] = np.where(changed | film, longer, self._pause_ms[tiles])
        rows, columns = tiles
        part = np.s_[
            rows.start * TILE_HEIGHT : rows.stop * TILE_HEIGHT, columns.start * TILE_WIDTH : columns.stop * TILE_WIDTH
        ]
        self._read[part] = luma[part]
        self._read_ms[tiles] = timestamp_ms
        self._first_ms[tiles] = -1
        self._changed[tiles] = False

    def _compare(self, luma: Luma, timestamp_ms: int) -> None:
        assert self._read is not None
        assert self._previous is not None
        difference = cv2.absdiff(luma, self._previous)
        if not cv2.countNonZero(difference):  # screens stand still most of the time
            self._moving[:] = False
            self._activity *= FADE
            return
        self._moving = self._count(difference) >= MIN_PIXELS
        self._activity *= FADE
        self._activity[self._moving] += 1 - FADE
        self._changed = self._count(cv2.absdiff(luma, self._read)) >= MIN_PIXELS
        self._pass_known_looks(luma)
        self._first_ms[self._changed & (self._first_ms < 0)] = timestamp_ms
        self._first_ms[~self._changed] = -1
        self._pause_ms[self._moving & (timestamp_ms - self._moved_ms > CALM_MS)] = 0
        self._moved_ms[self._moving] = timestamp_ms

    def _count(self, difference: MatLike) -> NDArray[np.int64]:
        """Return per tile how many pixels differ enough. Bytes are added eight at a time: 16 rows cannot overflow."""
        np.greater(difference, DIFFERENT, out=self._mask[: self._height, : self._width].view(bool))
        eights = self._mask.view(np.uint64).reshape(self._rows, TILE_HEIGHT, -1).sum(1)
        counts: NDArray[np.int64] = (
            eights.view(np.uint8).reshape(self._rows, self._columns, TILE_WIDTH).sum(2, dtype=np.int64)
        )
        return counts

    def _due(self, timestamp_ms: int) -> list[Region]:
        unread_ms = timestamp_ms - self._read_ms
        rested = self._changed & (timestamp_ms - self._moved_ms >= REST_MS) & (unread_ms >= REST_PAUSE_MS)
        waiting = self._changed & (unread_ms >= self._pause_ms)
        if np.count_nonzero(rested) >= MIN_REST_TILES:
            waiting |= rested
        if not waiting.any():
            return []
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(waiting.view(np.uint8), _SPREAD))
        oldest = np.full(count, timestamp_ms, np.int64)
        np.minimum.at(oldest, labels[waiting].astype(np.intp), self._first_ms[waiting])
        tiles = np.bincount(labels[waiting], minlength=count)
        mean_activity = np.bincount(labels[waiting], self._activity[waiting], count) / np.maximum(tiles, 1)
        due = timestamp_ms - oldest >= MAX_WAIT_MS
        still = np.ones(count, bool)
        still[labels[waiting & self._moving]] = False
        if self._budget <= 0:
            due &= ~(mean_activity > ACTIVE)
            still &= ~(mean_activity > ACTIVE)
        return [
            Region(self._pixels(stats[label]), bool(still[label]))
            for label in range(1, count)
            if due[label] or still[label]
        ]

    def _pixels(self, stats: NDArray[np.int32]) -> Box:
        column, row, columns, rows = (int(number) for number in stats[:4])
        x, y = column * TILE_WIDTH, row * TILE_HEIGHT
        return Box(
            x,
            y,
            min(self._width, (column + columns) * TILE_WIDTH) - x,
            min(self._height, (row + rows) * TILE_HEIGHT) - y,
        )

    @staticmethod
    def _tiles(box: Box) -> tuple[slice, slice]:
        rows = slice(box.y // TILE_HEIGHT, -(-box.bottom // TILE_HEIGHT))
        return rows, slice(box.x // TILE_WIDTH, -(-box.right // TILE_WIDTH))

    def _pass_known_looks(self, luma: Luma) -> None:
        if not self._looks or np.count_nonzero(self._changed) > MAX_TILES_COMPARED:
            return
        for row, column in np.argwhere(self._changed).tolist():
            looks = self._looks.get((row, column), ())
            tile = self._tile(luma, row, column)
            if any(np.count_nonzero(cv2.absdiff(tile, look) > DIFFERENT) < MIN_PIXELS for look in looks):
                self._changed[row, column] = False

    def _keep_looks(self, tiles: tuple[slice, slice]) -> None:
        assert self._read is not None
        rows, columns = tiles
        for row, column in np.argwhere(self._changed[tiles]).tolist():
            place = (row + rows.start, column + columns.start)
            looks = self._looks.setdefault(place, [])
            looks.append(self._tile(self._read, *place).copy())
            del looks[:-MAX_LOOKS]

    def _forget_looks(self, tiles: tuple[slice, slice]) -> None:
        rows, columns = tiles
        for place in [
            place
            for place in self._looks
            if rows.start <= place[0] < rows.stop and columns.start <= place[1] < columns.stop
        ]:
            del self._looks[place]

    @staticmethod
    def _tile(luma: Luma, row: int, column: int) -> Luma:
        y, x = row * TILE_HEIGHT, column * TILE_WIDTH
        return luma[y : y + TILE_HEIGHT, x : x + TILE_WIDTH]
