"""tesseract as OCR engine: one process for all lines of a chunk, which it is handed as they come.

Started anew for each line it would spend four times as long loading its data as reading. So it is told to take names
of files from its stdin (`stream_filelist`), and the files are a few in memory, written anew for each batch: nothing is
left behind however the process ends. A blank page behind each batch tells when all before it has been answered.

Where lines are is found by the same network as for rapidocr: tesseract finds them only by reading the whole region,
lines that have not changed with it, and loses small dim text that stands by itself.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import reduce
from typing import IO, Any, NamedTuple, cast

import cv2
import numpy as np

from mediaplane.errors import ToolFailed
from mediaplane.pipeline.tools.child import UNLIMITED, child_environment, launched
from mediaplane.pipeline.tools.engine import Detector, Reading
from mediaplane.pipeline.tools.languages import tesseract_name
from mediaplane.pipeline.tools.lines import Box
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.models import check_tesseract, tesseract_path

SHEETS = 32  # crops handed over at once
LINE_HEIGHT = 48  # pixels; capital letters of about 30 are what it reads best. Source: tesseract's ImproveQuality page
MARGIN = 10  # pixels of paper around a line
MIN_CONTRAST = 40  # levels; of paper alone it makes letters up
BLANK: Luma = np.full((3, 3), 255, np.uint8)  # too small to be looked at
# Page segmentation, by its numbers in tesseract's manual
ONE_LINE, WHOLE_PAGE = 7, 3


class Word(NamedTuple):
    """One row of tesseract's table."""

    page: int
    line: tuple[int, int, int]  # block, paragraph and line it stands in
    box: Box
    confidence: float  # 0 to 1
    text: str


class TesseractEngine:
    """Lines are found by a network, and read by tesseract in all the languages at once."""

    def __init__(self, languages: Sequence[str] = ("en",)) -> None:
        self._detector = Detector()
        self._process = Process(languages, ONE_LINE)

    def detect(self, luma: Luma) -> list[Box]:
        """Return a box around each line of text, from top to bottom."""
        return self._detector.detect(luma)

    def recognise(self, crops: Sequence[Luma]) -> list[Reading]:
        """Return what each crop says; about 0.05 CPU-s a line."""
        most = SHEETS - 1
        return [reading for first in range(0, len(crops), most) for reading in self._read(crops[first : first + most])]

    def _read(self, crops: Sequence[Luma]) -> list[Reading]:
        found: list[list[Word]] = [[] for _ in crops]
        inked = [number for number, crop in enumerate(crops) if np.ptp(crop) >= MIN_CONTRAST]
        for word in self._process.read([as_page(crops[number]) for number in inked]):
            found[inked[word.page]].append(word)
        return [join_words(words) for words in found]


def join_words(words: Sequence[Word]) -> Reading:
    """Return the words of a line as one reading, as sure as its letters are on average."""
    letters = sum(len(word.text) for word in words)
    if not letters:
        return Reading("", 0.0)
    sure = sum(word.confidence * len(word.text) for word in words) / letters
    return Reading(" ".join(word.text for word in words), sure)


def as_page(crop: Luma) -> Luma:
    """Return a line as tesseract likes it: dark on light, with paper around it, small letters enlarged."""
    paper = int(np.bincount(crop.ravel()).argmax())
    page: Any = 255 - crop if paper < 128 else crop
    paper = max(paper, 255 - paper)
    factor = LINE_HEIGHT / page.shape[0]
    if factor > 1:
        page = cv2.resize(page, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return cast("Luma", cv2.copyMakeBorder(page, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=paper))


class Process:
    """A tesseract that reads page after page; it ends with the process that made it."""

    def __init__(self, languages: Sequence[str], segmentation: int) -> None:
        check_tesseract(languages)
        names = "+".join(dict.fromkeys(tesseract_name(language) for language in languages or ("en",)))
        self._sheets = [os.memfd_create(f"sheet-{number}") for number in range(SHEETS)]
        self._complaints = os.memfd_create("complaints")
        self._pages = 0
        options = ["--psm", str(segmentation), "-l", names, "-c", "stream_filelist=true", "-c", "tessedit_do_invert=0"]
        # Its text goes to stdout page by page; of its stderr only the end is ever looked at.
        self._process = subprocess.Popen(
            launched([tesseract_path(), "-", "stdout", *options, "tsv"], UNLIMITED),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            env=child_environment(), pass_fds=self._sheets,
        )  # fmt: skip

    def read(self, pages: Sequence[Luma]) -> Iterator[Word]:
        """Yield the words of each of at most `SHEETS` - 1 pages; `Word.page` counts them from 0.

        Raises:
            ToolFailed: tesseract ended.
        """
        if not pages:
            return
        handed = [*pages, BLANK]
        try:
            for sheet, page in zip(self._sheets, handed, strict=False):
                write_sheet(sheet, page)
            names = [f"/proc/self/fd/{sheet}\n" for sheet in self._sheets[: len(handed)]]
            cast("IO[bytes]", self._process.stdin).write("".join(names).encode())
            cast("IO[bytes]", self._process.stdin).flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        first, self._pages = self._pages, self._pages + len(handed)
        yield from self._words(first, last=self._pages)

    def _words(self, first: int, *, last: int) -> Iterator[Word]:
        """Yield words until the blank page's own row, numbered `last` from 1, says that all is answered."""
        for row in cast("IO[bytes]", self._process.stdout):
            level, page, block, paragraph, line, _, *place = row.decode().rstrip("\n").split("\t")
            if level == "level":
                continue  # the heading
            if int(page) == last:
                return
            if level == "5":
                x, y, width, height, confidence, text = place
                where = (int(block), int(paragraph), int(line))
                box = Box(int(x), int(y), int(width), int(height))
                if text.strip():
                    yield Word(int(page) - first - 1, where, box, max(0.0, float(confidence) / 100), text)
        raise self._ended()

    def _ended(self) -> ToolFailed:
        size = os.fstat(self._complaints).st_size
        words = os.pread(self._complaints, 300, max(0, size - 300)).decode(errors="replace")
        return ToolFailed(f"tesseract ended with status {self._process.wait()}: {' '.join(words.split())}")

    def close(self) -> None:
        """End the process; without that it ends with its maker."""
        with suppress(BrokenPipeError):  # it has ended by itself
            cast("IO[bytes]", self._process.stdin).close()
        cast("IO[bytes]", self._process.stdout).close()
        self._process.wait()
        for descriptor in (*self._sheets, self._complaints):
            os.close(descriptor)


def write_sheet(descriptor: int, page: Luma) -> None:
    """Write a picture as PGM over what the file held."""
    data = b"P5 %d %d 255\n" % (page.shape[1], page.shape[0]) + page.tobytes()
    os.ftruncate(descriptor, 0)
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], written)


def read_page(luma: Luma, languages: Sequence[str]) -> list[tuple[Box, Reading]]:
    """Return the lines of a still picture as tesseract itself finds them, from top to bottom."""
    process = Process(languages, WHOLE_PAGE)
    try:
        words = list(process.read([luma]))
    finally:
        process.close()
    lines: dict[tuple[int, int, int], list[Word]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    return [(reduce(Box.union, (word.box for word in line)), join_words(line)) for line in lines.values()]
