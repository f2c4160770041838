"""How loud a sound is over time: peaks as JSON for players, and a picture of them.

Source of the JSON: the data format of BBC's `audiowaveform`, version 2, which peaks.js and wavesurfer.js read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PAIRS_A_SECOND = 100
MAX_PAIRS = 16_000  # about 120 kB of JSON; more than any screen is wide, also zoomed in
READ_SECONDS = 4
WIDTH, HEIGHT = 1600, 240
COLOUR = (74, 134, 207)  # to be seen on light and on dark; the rest is transparent
QUIETEST = 0.05  # of full scale: louder than the picture makes anything below, which is noise

Pairs = NDArray[np.int16]  # n x 2: smallest and largest sample


class Peaks:
    """Reads 16-bit samples and keeps the smallest and largest of each hundredth of a second, over all channels."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate = sample_rate
        self._channels = channels
        self._step = sample_rate // PAIRS_A_SECOND
        self._found: list[Pairs] = []
        self._samples = 0

    @property
    def seconds(self) -> float:
        """How long the sound is that was read."""
        return self._samples / self.sample_rate

    def read(self, stream: IO[bytes]) -> Iterator[float]:
        """Read to the end; yield now and then how many seconds have been read."""
        row = self._step * self._channels * 2  # bytes that make one pair
        rest = b""
        while block := stream.read(row * PAIRS_A_SECOND * READ_SECONDS):
            rest += block
            whole = len(rest) // row * row
            self._take(rest[:whole], self._step)
            rest = rest[whole:]
            yield self.seconds
        frame = self._channels * 2
        if last := rest[: len(rest) // frame * frame]:
            self._take(last, len(last) // frame)

    def _take(self, data: bytes, step: int) -> None:
        samples = np.frombuffer(data, "<i2").reshape(-1, step * self._channels)
        self._found.append(np.stack([samples.min(axis=1), samples.max(axis=1)], axis=1))
        self._samples += samples.shape[0] * step

    def write(self, path: Path) -> Pairs:
        """Write the JSON and return the pairs in it, thinned out where the sound is long."""
        pairs: Pairs = np.concatenate(self._found) if self._found else np.zeros((1, 2), np.int16)
        factor = -(-len(pairs) // MAX_PAIRS)
        pairs = thin_out(pairs, factor)
        document = {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self._step * factor,
            "bits": 8,
            "length": len(pairs),
            "data": (pairs >> 8).ravel().tolist(),
        }
        path.write_text(json.dumps(document, separators=(",", ":")))
        return pairs


def thin_out(pairs: Pairs, factor: int) -> Pairs:
    """Return one pair for each `factor` of them: no peak is lost."""
    if factor <= 1:
        return pairs
    starts = np.arange(0, len(pairs), factor)
    lowest, highest = np.minimum.reduceat(pairs[:, 0], starts), np.maximum.reduceat(pairs[:, 1], starts)
    return np.stack([lowest, highest], axis=1)


def draw_waveform(pairs: Pairs, path: Path) -> None:
    """Write a PNG of the whole sound, the loudest moment as high as the picture."""
    starts = np.minimum(np.arange(WIDTH) * len(pairs) // WIDTH, len(pairs) - 1)
    lowest, highest = np.minimum.reduceat(pairs[:, 0], starts), np.maximum.reduceat(pairs[:, 1], starts)
    loudest = max(float(np.abs(pairs.astype(np.int32)).max()), QUIETEST * 32768)
    middle = (HEIGHT - 1) / 2
    rows = np.arange(HEIGHT)[:, None]
    top, bottom = middle - highest / loudest * middle, middle - lowest / loudest * middle
    drawn = (rows >= np.floor(np.minimum(top, middle))) & (rows <= np.ceil(np.maximum(bottom, middle)))
    picture = Image.fromarray(drawn.astype(np.uint8), "P")
    picture.putpalette([*COLOUR, *COLOUR])
    picture.save(path, "PNG", transparency=bytes([0, 255]), bits=1, optimize=True)
