"""The second OCR engine, the real program: what it reads, how it is handed lines, and how it may fail."""

import os
import signal

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mediaplane.errors import SettingInvalid, ToolFailed
from mediaplane.pipeline.tools import models
from mediaplane.pipeline.tools.engine import open_engine
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.models import check_engine, tesseract_path
from mediaplane.pipeline.tools.screen import ScreenReader
from mediaplane.pipeline.tools.tesseract import ONE_LINE, SHEETS, Process, TesseractEngine, as_page, read_page
from tests.services.tesseract import need_tesseract

PAPER, INK = 245, 20


@pytest.fixture(autouse=True)
def _tesseract() -> None:
    need_tesseract()


@pytest.fixture(scope="module")
def engine():
    need_tesseract()
    opened = open_engine("tesseract", ["en"])
    assert isinstance(opened, TesseractEngine)
    yield opened
    opened._process.close()


def draw(text: str, *, size: int = 18, paper: int = PAPER, ink: int = INK) -> Luma:
    picture = Image.new("L", (max(60, len(text) * size), size * 2), paper)
    ImageDraw.Draw(picture).text((8, size // 3), text, font=ImageFont.load_default(size), fill=ink)
    return np.asarray(picture)


@pytest.mark.parametrize("size", [14, 20, 40])
@pytest.mark.parametrize(("paper", "ink"), [(PAPER, INK), (22, 215)], ids=["light", "dark"])
def test_line_is_read_in_any_size_and_colour(engine, size, paper, ink):
    """Small letters are enlarged, light ones on dark turned round."""
    (reading,) = engine.recognise([draw("harbour lights went on", size=size, paper=paper, ink=ink)])
    assert reading.text == "harbour lights went on"
    assert reading.confidence > 0.6


def test_more_lines_than_one_batch_come_back_in_order(engine):
    """Each crop gets its own words, blank ones none, however many there are."""
    crops = [draw(f"line number {n}") if n % 5 else np.full((30, 90), PAPER, np.uint8) for n in range(SHEETS + 10)]
    texts = [reading.text for reading in engine.recognise(crops)]
    assert texts == [f"line number {n}" if n % 5 else "" for n in range(SHEETS + 10)]
    assert engine.recognise([]) == []


def test_screen_is_read_with_it_as_with_the_other(engine):
    """Changed regions alone are handed to it, and a line that comes back is not read again."""
    asked: list[int] = []

    class Counting:
        def detect(self, luma):
            return engine.detect(luma)

        def recognise(self, crops):
            asked.append(len(crops))
            return engine.recognise(crops)

    page = np.full((240, 640), PAPER, np.uint8)
    other = page.copy()
    line = draw("the ferry leaves at nine")[:36, :600]
    page[40:76, : line.shape[1]] = line
    reader = ScreenReader(640, 240, Counting())
    for at_ms in range(0, 9000, 100):
        reader.look(other if 3000 <= at_ms < 6000 else page, at_ms)
    lines = [(line.t_start_ms, line.t_end_ms, line.text) for line in reader.finish(9000)]
    assert lines == [(0, 3000, "the ferry leaves at nine"), (6000, 9000, "the ferry leaves at nine")]
    assert sum(asked) == 1


def test_still_picture_is_read_line_by_line():
    """Of a page tesseract finds the lines itself."""
    page = np.full((200, 700), PAPER, np.uint8)
    for row, text in enumerate(("first line of the page", "and the second one")):
        line = draw(text, size=24)[:, :600]
        page[30 + row * 70 : 30 + row * 70 + line.shape[0], 40 : 40 + line.shape[1]] = line
    found = read_page(page, ["eng"])
    assert [reading.text for _, reading in found] == ["first line of the page", "and the second one"]
    assert found[0][0].y < found[1][0].y


def test_program_that_ends_is_an_error_that_may_pass():
    """A killed tesseract is noticed at once, not waited for."""
    process = Process(["en"], ONE_LINE)
    assert [word.text for word in process.read([as_page(draw("hello there"))])] == ["hello", "there"]
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    with pytest.raises(ToolFailed, match="tesseract ended with status -9"):
        list(process.read([as_page(draw("hello again"))]))
    process.close()


def test_language_without_data_is_refused_with_what_to_install():
    """The words name the language as it was given, the file and the package."""
    with pytest.raises(SettingInvalid, match=r"OCR_LANGUAGES.*'tlh'.*apt-get install tesseract-ocr-tlh"):
        open_engine("tesseract", ["en", "tlh"])
    check_engine("tesseract", ["eng"])


def test_missing_program_is_refused_with_what_to_install(monkeypatch, tmp_path):
    """Without it on the PATH nothing starts."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingInvalid, match=r"OCR_ENGINE.*no program tesseract.*apt-get install tesseract-ocr"):
        tesseract_path()


def test_program_that_does_not_start_is_refused(monkeypatch, tmp_path):
    """What it says of itself is handed on."""
    broken = tmp_path / "tesseract"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    models.installed_languages.cache_clear()
    try:
        with pytest.raises(SettingInvalid, match="does not start: no such library"):
            check_engine("tesseract", ["en"])
    finally:
        models.installed_languages.cache_clear()
