"""Peaks lose no peak, however the samples come and however many are put together."""

import io
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaplane.pipeline.tools.waveform import MAX_PAIRS, Peaks, draw_waveform, thin_out


class Dripping(io.BytesIO):
    """Gives odd numbers of bytes, as a pipe may."""

    def read(self, size=-1):
        return super().read(min(size, 4099) if size > 0 else size)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2), st.integers(1, 30_000))
def test_peaks_are_smallest_and_largest_of_each_hundredth(channels, frames):
    """Over all channels, the last and shorter piece too."""
    samples = np.random.default_rng(frames).integers(-32768, 32768, frames * channels, dtype=np.int16)
    peaks = Peaks(8000, channels)
    list(peaks.read(Dripping(samples.tobytes())))
    step = 80 * channels
    pieces = [samples[at : at + step] for at in range(0, len(samples), step)]
    assert np.concatenate(peaks._found).tolist() == [[piece.min(), piece.max()] for piece in pieces]
    assert peaks.seconds == frames / 8000


def test_long_sound_is_thinned_out_without_losing_a_peak(tmp_path):
    """One loud sample in an hour is still seen, and the file stays small."""
    samples = np.zeros(3600 * 8000, np.int16)
    samples[12_345_678] = 30_000
    peaks = Peaks(8000, 1)
    list(peaks.read(io.BytesIO(samples.tobytes())))
    pairs = peaks.write(tmp_path / "peaks.json")
    document = json.loads((tmp_path / "peaks.json").read_text())
    assert document["length"] == len(pairs) <= MAX_PAIRS
    place = 12_345_678 // document["samples_per_pixel"]
    assert document["data"][2 * place + 1] == 30_000 >> 8
    assert sum(value != 0 for value in document["data"]) == 1
    assert document["length"] * document["samples_per_pixel"] >= len(samples)
    draw_waveform(pairs, tmp_path / "waveform.png")
    assert (tmp_path / "waveform.png").stat().st_size < 20_000


def test_thinning_by_one_changes_nothing():
    """Short sounds keep what was measured."""
    pairs = np.array([[-1, 2], [-3, 4]], np.int16)
    assert thin_out(pairs, 1) is pairs
    assert thin_out(pairs, 2).tolist() == [[-3, 4]]
