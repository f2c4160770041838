"""HDR pictures for ordinary screens, in numpy: the same mapping as `filters.py` has ffmpeg do, for a single frame."""

import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.filters import PEAK, WHITE_NITS

# Source: SMPTE ST 2084 and ITU-R BT.2100, tables 4 and 5
_M1, _M2, _C1, _C2, _C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
_PQ_NITS = 10_000
_HLG_A, _HLG_B, _HLG_C, _HLG_NITS, _HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1000, 1.2
# BT.2020 to BT.709 primaries, linear light. Source: ITU-R BT.2087, annex 1
_PRIMARIES = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
_LUMA = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)  # of BT.2020
_DISPLAY_GAMMA = 2.4  # Source: ITU-R BT.1886
_KNEE = 0.3  # darker light stays as it is: ffmpeg's default for mobius


def to_sdr(signal: NDArray[np.uint16], hdr: str) -> NDArray[np.uint8]:
    """Return an HDR picture (height x width x RGB, full range, BT.2020) as 8-bit BT.709 RGB."""
    scaled = signal.astype(np.float32) / np.float32(65535)
    light = _pq_light(scaled) if hdr == "pq" else _hlg_light(scaled)  # 1 is white
    narrow = np.clip(light @ _PRIMARIES.T, 0, None)
    brightest = np.maximum(narrow.max(axis=-1, keepdims=True), 1e-6)
    shown = np.clip(narrow * (_mobius(brightest) / brightest), 0, 1)
    picture: NDArray[np.uint8] = np.round(np.power(shown, np.float32(1 / _DISPLAY_GAMMA)) * 255).astype(np.uint8)
    return picture


def _pq_light(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    root = signal ** (1 / _M2)
    light: NDArray[np.float32] = (np.clip(root - _C1, 0, None) / (_C2 - _C3 * root)) ** (1 / _M1)
    return light * np.float32(_PQ_NITS / WHITE_NITS)


def _hlg_light(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    luma = np.clip(scene @ _LUMA, 1e-6, None)[..., None]
    light: NDArray[np.float32] = (scene * luma ** (_HLG_GAMMA - 1)).astype(np.float32)
    return light * np.float32(_HLG_NITS / WHITE_NITS)


def _mobius(light: NDArray[np.float32]) -> NDArray[np.float32]:
    a = -_KNEE * _KNEE * (PEAK - 1) / (_KNEE * _KNEE - 2 * _KNEE + PEAK)
    b = (_KNEE * _KNEE - 2 * _KNEE * PEAK + PEAK) / (PEAK - 1)
    bent = (b * b + 2 * b * _KNEE + _KNEE * _KNEE) / (b - a) * (light + a) / (light + b)
    return np.where(light <= _KNEE, light, bent).astype(np.float32)
