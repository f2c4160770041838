"""Transcripts: what players and programs read of a recording's text."""

import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.transcripts import FORMATS, TYPES, as_json, as_srt, as_text, as_vtt, chosen_source


@dataclass
class Row:
    t_start_ms: int
    t_end_ms: int
    text: str
    source: str = "ocr"
    language: str | None = "en"


ROWS = [Row(0, 100, "a < b & c"), Row(3_723_004, 3_724_500, "two\n\nlines --> end"), Row(5_000_000, 5_000_001, "  ")]


def test_vtt():
    """Times to the millisecond, markup escaped, no line that would end a cue or begin one."""
    assert as_vtt(ROWS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\na &lt; b &amp; c\n\n01:02:03.004 --> 01:02:04.500\ntwo\nlines → end\n"
    )


def test_srt_and_text():
    """Numbered with commas in the times; and the words alone."""
    assert as_srt(ROWS).startswith("1\n00:00:00,000 --> 00:00:00,500\na < b & c\n\n2\n01:02:03,004")
    assert as_text(ROWS) == "a < b & c\ntwo\n\nlines --> end\n"


def test_json():
    """Everything that is known of each."""
    first = json.loads(as_json(ROWS))["segments"][0]
    assert first == {"t_start_ms": 0, "t_end_ms": 100, "text": "a < b & c", "source": "ocr", "language": "en"}


def test_speech_comes_before_the_screen():
    """Where anything was said, that is the transcript; where not, what was read; or what was asked for."""
    said = Row(0, 1, "hello", source="speech")
    assert chosen_source(ROWS) == "ocr"
    assert chosen_source([*ROWS, said]) == "speech"
    assert chosen_source([*ROWS, said], "ocr") == "ocr"
    assert FORMATS.keys() == TYPES.keys()


@given(st.lists(st.text(max_size=40), max_size=5))
def test_vtt_of_any_text(texts):
    """No text adds a cue: there are as many as there are texts that say something."""
    rows = [Row(1000 * number, 1000 * number + 900, text) for number, text in enumerate(texts)]
    blocks = as_vtt(rows).split("\n\n")[1:]
    assert len([block for block in blocks if block.strip()]) == len([text for text in texts if text.strip()])
    assert as_vtt(rows).count("-->") == len([text for text in texts if text.strip()])
