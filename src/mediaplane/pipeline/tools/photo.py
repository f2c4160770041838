"""Text in a still picture: photographed pages lie askew, screenshots are tall.

Unlike a screen recording's, such lines are not upright: rapidocr's own pipeline finds them as quadrangles and
straightens each. It is given our models by path, so that it fetches none.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaplane.pipeline.tools.engine import Reading, is_sign
from mediaplane.pipeline.tools.lines import Box, Line
from mediaplane.pipeline.tools.models import DETECTION_MODEL, language_of, packaged_model, recognition_model
from mediaplane.pipeline.tools.results import OcrOptions

SIDE = 2560  # the longer side is scaled down to this; hand-written pages of 17 megapixels read best so
LONG = 2  # sides as 1 to this or more: no page but a scrolled screenshot, read in pieces
OVERLAP = 256  # pixels that two pieces share: more than a line is high
SAME_LINE = 0.6  # share of the smaller box: one line, seen in two pieces
MOSTLY_SIGNS = 0.5

Picture = NDArray[np.uint8]  # height x width x 3


def read_photo(picture: Picture, options: OcrOptions) -> list[Line]:
    """Return the lines of text from top to bottom, with boxes in pixels of `picture`. A page takes 3 CPU-s."""
    cv2.setNumThreads(1)
    if options.engine == "tesseract":
        return _read_with_tesseract(picture, options)
    engine = _open_pipeline(options.languages)
    height, width = picture.shape[:2]
    short, long = sorted((height, width))
    scale = min(1.0, SIDE / long if long <= LONG * short else SIDE / (LONG * short))
    small: Any = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    found: list[tuple[Box, str, float]] = []
    for piece in _pieces(small.shape[1], small.shape[0]):
        for box, text, confidence in _read_piece(engine, small, piece):
            if confidence >= options.min_confidence and _is_text(text, options.languages):
                _add(found, (box, text, confidence))
    found.sort(key=lambda line: (line[0].y, line[0].x))
    return [_line(box, text, confidence, 1 / scale, options.languages) for box, text, confidence in found]


def _read_with_tesseract(picture: Picture, options: OcrOptions) -> list[Line]:
    """Return the lines that tesseract finds by itself; it takes pages as large as they are."""
    from mediaplane.pipeline.tools.tesseract import read_page

    luma: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    found = [(box, reading) for box, reading in read_page(luma, options.languages) if _counts(reading, options)]
    found.sort(key=lambda line: (line[0].y, line[0].x))
    return [_line(box, reading.text, reading.confidence, 1, options.languages) for box, reading in found]


def _counts(reading: Reading, options: OcrOptions) -> bool:
    return reading.confidence >= options.min_confidence and any(char.isalnum() for char in reading.text)


def _open_pipeline(languages: Sequence[str]) -> Any:
    from rapidocr import RapidOCR

    languages = tuple(languages) or ("en",)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # upside-down lines: EXIF has turned the picture
            "Global.max_side_len": SIDE + OVERLAP,
            "Global.text_score": 0.0,  # what counts is decided here
            "Det.model_path": str(packaged_model(DETECTION_MODEL)),
            "Rec.model_path": str(recognition_model(languages[0], None)),
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _pieces(width: int, height: int) -> Iterator[Box]:
    """Yield squares, or less, that cover the picture along its longer side, each sharing a strip with the next."""
    long = max(width, height)
    step = SIDE - OVERLAP
    for start in range(0, max(1, long - OVERLAP), step):
        length = min(SIDE, long - start)
        yield Box(0, start, width, length) if height >= width else Box(start, 0, length, height)


def _read_piece(engine: Any, picture: Picture, piece: Box) -> Iterator[tuple[Box, str, float]]:
    part = picture[piece.y : piece.bottom, piece.x : piece.right, ::-1]  # blue first, as OpenCV has it
    out = engine(np.ascontiguousarray(part))
    if out.boxes is None or out.txts is None:
        return
    for corners, text, score in zip(out.boxes, out.txts, out.scores, strict=True):
        left, top = (int(side) for side in np.floor(np.min(corners, axis=0)))
        right, bottom = (int(side) for side in np.ceil(np.max(corners, axis=0)))
        box = Box(max(0, left) + piece.x, max(0, top) + piece.y, right - max(0, left), bottom - max(0, top))
        yield box, str(text).strip(), float(score)


def _is_text(text: str, languages: Sequence[str]) -> bool:
    """Tell whether it is text in one of the languages; icons and ornaments are read as Chinese signs."""
    letters = [char for char in text if not char.isspace()]
    if not any(char.isalnum() for char in letters):
        return False
    if any(language.lower().partition("-")[0] in {"zh", "ja", "ch"} for language in languages):
        return True
    return sum(is_sign(char) for char in letters) < MOSTLY_SIGNS * len(letters)


def _add(found: list[tuple[Box, str, float]], new: tuple[Box, str, float]) -> None:
    """Keep of two readings of one line, in the strip that two pieces share, the one that saw more of it."""
    for number, old in enumerate(found):
        if old[0].shared(new[0]) >= SAME_LINE * min(old[0].area, new[0].area):
            if new[0].area > old[0].area:
                found[number] = new
            return
    found.append(new)


def _line(box: Box, text: str, confidence: float, factor: float, languages: Sequence[str]) -> Line:
    x, y, width, height = (round(side * factor) for side in box)
    return Line(
        t_start_ms=0,
        t_end_ms=1,  # a range that is not empty, so that lines of one picture are seen at the same time
        text=text,
        box=(x, y, width, height),
        confidence=confidence,
        language=language_of(text, languages),
        frame_ms=0,
    )
