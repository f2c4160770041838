"""Text in a picture: everything behind one protocol, `Engine`, and opened by one function, `open_engine`.

The models of the wheel `rapidocr` are run with onnxruntime directly: on luma, one crop at a time, on one thread.
Its own pipeline reads equally well, but pads crops into batches (a third more CPU), turns gray into colour, fetches
models it does not find, and does not say which. No model is ever downloaded here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.languages import two_letters
from mediaplane.pipeline.tools.lines import Box
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.models import (
    DETECTION_MODEL,
    EAST_ASIAN,
    RECOGNITION_MODEL,
    check_engine,
    packaged_model,
    recognition_model,
)
from mediaplane.pipeline.tools.spacing import restore_spaces

MAX_DETECTION_SIDE = 1920  # larger regions are scaled down; text on such screens is larger too
DETECTION_STEP = 32  # the network halves five times
MIN_DETECTION_SIDE = 64
INK_PROBABILITY = 0.3  # this and the next two: as rapidocr's defaults for the model
BOX_PROBABILITY = 0.5
UNCLIP_RATIO = 1.6
MIN_BOX_SIDE = 5  # pixels
CROP_HEIGHT = 48  # rows the recognition model expects
CROP_STEP = 8  # columns it turns into one step
CROP_MARGIN = 16  # empty columns after the text; without them the last letter is lost now and then
MIN_CROP_WIDTH = 96
MAX_CROP_WIDTH = 6_400  # a full 4K line of 14 px text is 8,000; it is squeezed a little


@dataclass(frozen=True, slots=True)
class Reading:
    """What one crop says: the text, and how sure the engine is of its letters on average (0 to 1)."""

    text: str
    confidence: float


class Engine(Protocol):
    """An OCR engine. Both parts cost CPU in proportion to the pixels given."""

    def detect(self, luma: Luma) -> list[Box]:
        """Return a box around each line of text, from top to bottom."""
        ...

    def recognise(self, crops: Sequence[Luma]) -> list[Reading]:
        """Return what each crop says; each crop is one line of text."""
        ...


def open_engine(name: str, languages: Sequence[str] = ("en",), model_dir: Path | None = None) -> Engine:
    """Return the engine called `name` with its models loaded (about 0.5 s, 250 MB).

    Args:
        name: as in the setting OCR_ENGINE.
        languages: ISO 639 codes of two or three letters, as in OCR_LANGUAGES.
        model_dir: where recognition models of further languages lie, as `{language}_….onnx`.

    Raises:
        SettingInvalid: there is no such engine, or nothing reads one of the languages.
    """
    check_engine(name, languages, model_dir)
    if name == "tesseract":
        from mediaplane.pipeline.tools.tesseract import TesseractEngine

        return TesseractEngine(languages)
    return RapidEngine(languages, model_dir)


class RapidEngine:
    """The PP-OCR models of the wheel `rapidocr`, and further recognition models of the same kind."""

    def __init__(self, languages: Sequence[str] = ("en",), model_dir: Path | None = None) -> None:
        models = dict.fromkeys(recognition_model(language, model_dir) for language in languages or ("en",))
        self._detector = Detector()
        east_asian = any(two_letters(language) in EAST_ASIAN for language in languages)
        self._recognisers = [_Recogniser(path, every_letter=east_asian) for path in models]

    def detect(self, luma: Luma) -> list[Box]:
        """Return a box around each line of text, from top to bottom."""
        return self._detector.detect(luma)

    def recognise(self, crops: Sequence[Luma]) -> list[Reading]:
        """Return what each crop says, by the model that is surest of it."""
        return [max((model.read(crop) for model in self._recognisers), key=_confidence) for crop in crops]


class Detector:
    """Finds lines of text; half a CPU-second per million pixels."""

    def __init__(self) -> None:
        self._session = _open_session(packaged_model(DETECTION_MODEL))

    def detect(self, luma: Luma) -> list[Box]:
        """Return a box around each line of text, from top to bottom."""
        height, width = luma.shape
        scale = min(1.0, MAX_DETECTION_SIDE / max(height, width))
        if scale < 1.0:
            luma = cast("Luma", cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        padded = _pad(luma)
        planes = np.broadcast_to(_normalise(padded), (1, 3, *padded.shape))
        probability = self._session.run(None, {"x": np.ascontiguousarray(planes)})[0][0, 0]
        boxes = _boxes(probability[: luma.shape[0], : luma.shape[1]])
        return [_scaled(box, 1 / scale, width, height) for box in boxes]


class _Recogniser:
    def __init__(self, path: Path, *, every_letter: bool) -> None:
        self._session = _open_session(path)
        letters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._letters = ["", *letters, " "]  # the first class means: no letter here
        self._wanted: NDArray[np.intp] | None = None
        if not every_letter and path == packaged_model(RECOGNITION_MODEL):
            # Icons are read as Chinese signs; and comparing 18,000 classes takes longer than comparing 900.
            wanted = [number for number, letter in enumerate(self._letters) if not is_sign(letter)]
            self._wanted = np.array(wanted)
            self._letters = [self._letters[number] for number in wanted]

    def read(self, crop: Luma) -> Reading:
        planes = _crop_planes(crop)
        odds: NDArray[np.float32] = self._session.run(None, {"x": planes})[0][0]
        odds = odds if self._wanted is None else odds[:, self._wanted]
        best = odds.argmax(1)
        chosen = best != 0
        chosen[1:] &= best[1:] != best[:-1]
        if not chosen.any():
            return Reading("", 0.0)
        confidence = float(odds[chosen, best[chosen]].mean())
        letters = [self._letters[number] for number in best[chosen]]
        centres = (np.flatnonzero(chosen) + 0.5) * CROP_STEP * crop.shape[1] / _crop_width(crop)
        return Reading(restore_spaces(letters, centres.tolist(), crop).strip(), confidence)


def is_sign(letter: str) -> bool:
    """Tell whether a letter is an East Asian one, or a symbol as which icons are read."""
    return letter > "\u2e7f" or "\u2300" <= letter < "\u2e80"


def _confidence(reading: Reading) -> float:
    return reading.confidence


def _open_session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every crop has another shape
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _normalise(luma: Luma) -> NDArray[np.float32]:
    normal: NDArray[np.float32] = luma.astype(np.float32)
    normal -= 127.5
    normal /= 127.5
    return normal


def _pad(luma: Luma) -> Luma:
    """Return `luma` with its edge repeated up to sides the network accepts; no pixel is resampled."""
    height, width = (max(MIN_DETECTION_SIDE, -(-side // DETECTION_STEP) * DETECTION_STEP) for side in luma.shape)
    bottom, right = height - luma.shape[0], width - luma.shape[1]
    return cast("Luma", cv2.copyMakeBorder(luma, 0, bottom, 0, right, cv2.BORDER_REPLICATE))


def _boxes(probability: NDArray[np.float32]) -> list[Box]:
    """Turn the text probability of each pixel into boxes, widened by what the network was trained to leave off.

    Source: Liao et al., Real-time Scene Text Detection with Differentiable Binarization, AAAI 2020, section 3.4;
    for upright rectangles.
    """
    ink = cv2.dilate((probability > INK_PROBABILITY).view(np.uint8), np.ones((2, 2), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    boxes = []
    for x, y, width, height, _ in stats[1:count].tolist():
        if min(width, height) < 3 or probability[y : y + height, x : x + width].mean() < BOX_PROBABILITY:
            continue
        margin = round(width * height * UNCLIP_RATIO / (2 * (width + height)))
        box = Box(x, y, width, height).grown(margin, margin, probability.shape[1], probability.shape[0])
        if min(box.width, box.height) >= MIN_BOX_SIDE:
            boxes.append(box)
    return sorted(boxes, key=lambda box: (box.y, box.x))


def _scaled(box: Box, scale: float, width: int, height: int) -> Box:
    if scale == 1.0:
        return box
    x, y = int(box.x * scale), int(box.y * scale)
    right, bottom = min(width, math.ceil(box.right * scale)), min(height, math.ceil(box.bottom * scale))
    return Box(x, y, right - x, bottom - y)


def _crop_planes(crop: Luma) -> NDArray[np.float32]:
    width = _crop_width(crop)
    full = max(MIN_CROP_WIDTH, -(-(width + CROP_MARGIN) // CROP_STEP) * CROP_STEP)
    planes = np.zeros((1, 3, CROP_HEIGHT, full), np.float32)
    planes[0, :, :, :width] = _normalise(cast("Luma", cv2.resize(crop, (width, CROP_HEIGHT))))
    return planes


def _crop_width(crop: Luma) -> int:
    """Return how wide `crop` is when it is as high as the model expects."""
    width = math.ceil(CROP_HEIGHT * int(crop.shape[1]) / int(crop.shape[0]))
    return min(MAX_CROP_WIDTH, max(CROP_STEP, width))
