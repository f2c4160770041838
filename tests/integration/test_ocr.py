"""A rendered recording, encoded as x264 does it, read by the real models: what is found, when, and what is kept."""

import subprocess
from dataclasses import dataclass
from functools import cache

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mediaplane.errors import SettingInvalid
from mediaplane.media.words import fold, shape
from mediaplane.pipeline.tools.engine import RapidEngine, open_engine
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.luma import Luma
from mediaplane.pipeline.tools.models import check_languages, language_of
from mediaplane.pipeline.tools.screen import ScreenReader

WIDTH, HEIGHT, RATE = 960, 544, 10
FRAME_MS = 1000 // RATE
END_MS = 14_000
DARK, LIGHT = (22, 215), (240, 30)  # paper, ink
TYPED = "deploy the harbour mirror to region north-2"
NEWS = [f"row {number}: the ferry to gull island leaves at pier {number * 7}" for number in range(30)]


@dataclass(frozen=True)
class Recording:
    lines: list[Line]
    kept_ms: list[int]


def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def draw(at_ms: int) -> Luma:
    """One frame: a page with a caret, a pointer and a clock; a terminal being typed in; a page that scrolls."""
    paper, ink = DARK if 4000 <= at_ms < 8000 else LIGHT
    picture = Image.new("L", (WIDTH, HEIGHT), paper)
    pen = ImageDraw.Draw(picture)
    if at_ms < 4000:
        pen.text((40, 60), "Lantern Two, now only $49.99", font=font(30), fill=ink)
        pen.text((40, 120), "Order at https://shop.example.com/lantern-two", font=font(18), fill=ink)
        pen.text((40, 160), "Questions go to @mira.tolland, tag #lanternweek", font=font(16), fill=ink)
        if at_ms // 500 % 2:
            pen.rectangle((420, 158, 422, 180), fill=ink)
        if at_ms >= 2000:
            pen.polygon([(200, 118), (200, 142), (206, 137), (212, 142), (206, 130), (216, 130)], fill=90)
    elif at_ms < 8000:
        letters = max(0, at_ms - 4500) * 25 // 1000
        pen.text((40, 60), f"$ {TYPED[:letters]}", font=font(22), fill=ink)
    else:
        top = 60 - 6 * max(0, min(at_ms, 12_000) - 9000) // FRAME_MS
        for number, text in enumerate(NEWS):
            if 60 <= (y := top + 32 * number) < HEIGHT:
                pen.text((40, y), text, font=font(20), fill=ink)
    pen.rectangle((0, 0, WIDTH, 40), fill=60)
    seconds = at_ms // 1000 + 57
    pen.text((700, 8), f"Friday 10:{42 + seconds // 60}:{seconds % 60:02}", font=font(20), fill=230)
    return np.asarray(picture)


def encoded(frames: bytes) -> bytes:
    """Return the luma of frames after a way through x264, as a recording has it."""
    tool = imageio_ffmpeg.get_ffmpeg_exe()
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE)]
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-g", "30"]
    to_file = [tool, "-v", "error", *raw, "-i", "pipe:0", *x264, "-f", "matroska", "pipe:1"]
    video = subprocess.run(to_file, input=frames, capture_output=True, check=True).stdout
    to_luma = [tool, "-v", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
    return subprocess.run(to_luma, input=video, capture_output=True, check=True).stdout


@cache
def engine() -> RapidEngine:
    return RapidEngine()


@pytest.fixture(scope="module")
def recording() -> Recording:
    cv2.setNumThreads(1)
    times = range(0, END_MS, FRAME_MS)
    luma = np.frombuffer(encoded(b"".join(draw(at_ms).tobytes() for at_ms in times)), np.uint8)
    reader = ScreenReader(WIDTH, HEIGHT, engine())
    frames = luma.reshape(-1, HEIGHT, WIDTH)
    assert len(frames) == len(times)
    kept = [at_ms for at_ms, frame in zip(times, frames, strict=True) if reader.look(frame, at_ms)]
    return Recording(reader.finish(END_MS), kept)


def key(text: str) -> str:
    return shape("".join(char for char in fold(text) if char.isalnum()))


def found(recording: Recording, phrase: str) -> list[Line]:
    return [line for line in recording.lines if key(phrase) in key(line.text)]


@pytest.mark.parametrize(
    "phrase",
    ["now only $49.99", "https://shop.example.com/lantern-two", "@mira.tolland, tag #lanternweek"],
)
def test_line_of_a_page_is_found_once_for_its_whole_time(recording: Recording, phrase: str):
    """Caret, pointer and codec noise neither part a line nor shorten it."""
    (line,) = found(recording, phrase)
    assert line.t_start_ms == 0
    assert abs(line.t_end_ms - 4000) <= FRAME_MS
    assert line.confidence > 0.8


def test_caret_pointer_and_clock_keep_no_frame(recording: Recording):
    """In four seconds of a page with all three, only the first frame shows new text."""
    assert [at_ms for at_ms in recording.kept_ms if at_ms < 4000] == [0]


def test_clock_is_one_segment_while_its_place_stays(recording: Recording):
    """A clock that ticks 14 times leaves one line."""
    clocks = found(recording, "Friday 10")
    assert len(clocks) == 1
    assert clocks[0].t_end_ms - clocks[0].t_start_ms >= 13_000


def test_typed_line_is_found_when_it_was_typed(recording: Recording):
    """The whole line begins when its last letters came, and few shorter ones are left."""
    (whole,) = found(recording, TYPED)
    complete_ms = 4500 + len(TYPED) * 1000 // 25
    assert complete_ms - 2000 <= whole.t_start_ms <= complete_ms + 200
    assert abs(whole.t_end_ms - 8000) <= FRAME_MS
    assert len([line for line in recording.lines if key("deploy") in key(line.text)]) <= 3


def test_scrolled_rows_are_one_segment_each_at_their_time(recording: Recording):
    """Rows that scroll by are found once each, from when they came to when they went."""
    for number, text in enumerate(NEWS):
        tops = [
            (at_ms, 60 - 6 * max(0, min(at_ms, 12_000) - 9000) // FRAME_MS + 32 * number)
            for at_ms in range(8000, END_MS, FRAME_MS)
        ]
        visible = [at_ms for at_ms, top in tops if 60 <= top < HEIGHT - 24]
        if len(visible) < RATE:
            continue
        lines = found(recording, f"gull island leaves at pier {number * 7}")
        lines = [line for line in lines if key(line.text).endswith(key(f"pier {number * 7}"))]
        assert len(lines) == 1, text
        assert abs(lines[0].t_start_ms - visible[0]) <= 1000
        assert abs(lines[0].t_end_ms - visible[-1] - FRAME_MS) <= 1000


def test_every_line_names_a_kept_frame_in_which_it_was_read(recording: Recording):
    """`frame_ms` is a frame that `look` asked to keep, within the line's time."""
    for line in recording.lines:
        assert line.frame_ms in recording.kept_ms
        assert line.t_start_ms <= line.frame_ms <= line.t_end_ms


def test_lines_survive_json(recording: Recording):
    """A line written as JSON and read back is the same but for digits of its confidence."""
    for line in recording.lines:
        again = Line.from_json(line.to_json())
        assert (again.text, again.box, again.frame_ms) == (line.text, tuple(line.box), line.frame_ms)


@pytest.mark.parametrize("size", [13, 16, 24, 40])
@pytest.mark.parametrize("colours", [DARK, LIGHT, (30, 110)], ids=["dark", "light", "dim"])
def test_engine_reads_rendered_text(size: int, colours: tuple[int, int]):
    """Text from 13 to 40 pixels, dark, light and dim, is read to the letter."""
    paper, ink = colours
    picture = Image.new("L", (900, 120), paper)
    text = "the quick brown fox pays 39.99 EUR"
    ImageDraw.Draw(picture).text((30, 40), text, font=font(size), fill=ink)
    luma = np.asarray(picture)
    boxes = engine().detect(luma)
    readings = engine().recognise([luma[box.y : box.bottom, box.x : box.right] for box in boxes])
    assert key("".join(reading.text for reading in readings)) == key(text)
    assert all(reading.confidence > 0.8 for reading in readings)


@pytest.mark.parametrize("size", [14, 20, 32])
def test_one_edited_digit_is_new_text(size: int):
    """A price whose first digit changes is a second line from that frame on."""
    frames = []
    for price in ("39.99", "49.99"):
        picture = Image.new("L", (640, 200), 240)
        ImageDraw.Draw(picture).text((30, 60), f"the studio plan costs {price} EUR", font=font(size), fill=30)
        frames.append(np.asarray(picture))
    reader = ScreenReader(640, 200, engine())
    kept = [at_ms for at_ms in range(0, 4000, FRAME_MS) if reader.look(frames[at_ms >= 2000], at_ms)]
    lines = [(line.t_start_ms, line.t_end_ms, "49.99" in line.text) for line in reader.finish(4000)]
    assert lines == [(0, 2000, False), (2000, 4000, True)]
    assert kept == [0, 2100]


def test_blank_picture_has_no_text():
    """Neither paper nor an empty crop makes a letter."""
    assert engine().detect(np.full((100, 300), 200, np.uint8)) == []
    assert engine().recognise([np.full((20, 100), 200, np.uint8)])[0].text == ""


def test_language_without_a_model_is_refused_by_name(tmp_path):
    """A language nothing can read is a wrong setting, and nothing is fetched for it."""
    check_languages(["en", "de", "zh-TW", "ja"])
    with pytest.raises(SettingInvalid, match=r"OCR_LANGUAGES.*'ru'"):
        open_engine("rapidocr", ["en", "ru"])
    with pytest.raises(SettingInvalid, match=r"ru_….onnx"):
        check_languages(["ru"], tmp_path)
    (tmp_path / "ru_PP-OCRv5_rec_mobile.onnx").touch()
    check_languages(["ru"], tmp_path)
    with pytest.raises(SettingInvalid, match="OCR_ENGINE"):
        open_engine("magic")


def test_language_of_a_line_follows_its_script():
    """Kana is Japanese, Chinese signs the East Asian language that was asked for, anything else the first other one."""
    assert language_of("hello", ["de", "ja"]) == "de"
    assert language_of("こんにちは", ["en", "ja"]) == "ja"
    assert language_of("你好", ["en", "zh-tw"]) == "zh-tw"
