"""Which moments of a recording stand out, by signals made up for the purpose."""

import pytest

from mediaplane.pipeline.tools.detect import Recording, Text, find_highlights

QUIET, LOUD = -40.0, -14.0


def flat(seconds: int, value: float = QUIET) -> list[float]:
    return [value] * seconds


def with_peak(seconds: int, start: int, end: int, *, low: float = QUIET, high: float = LOUD) -> list[float]:
    return [high if start <= at < end else low for at in range(seconds)]


def made(**signals) -> Recording:
    fields = {"duration_ms": 120_000, "shortest_ms": 10_000, "longest_ms": 30_000, **signals}
    return Recording(**fields)


def test_loud_passage_is_the_highlight():
    """Where it is loud for a while, there is one highlight, and it holds the passage."""
    (found,) = find_highlights(made(loudness=with_peak(120, 60, 80)))
    assert found.start_ms <= 60_000
    assert found.end_ms >= 80_000
    assert found.score > 0.9
    assert found.reasons == ("26 LU louder than usual",)


@pytest.mark.parametrize(
    "signals", [{}, {"loudness": flat(120)}, {"changes": flat(120, 0.3), "loudness": flat(120, LOUD)}]
)
def test_even_recordings_have_none(signals):
    """A recording that is the same all along, loud or quiet, has no highlight."""
    assert find_highlights(made(**signals)) == []


def test_small_differences_say_nothing():
    """Two LU more are nobody's highlight."""
    assert find_highlights(made(loudness=with_peak(120, 60, 80, high=QUIET + 2))) == []


def test_fast_pictures_fast_text_and_fast_talk_count():
    """Each signal alone finds its passage, and is named as the reason."""
    cuts = made(changes=with_peak(120, 30, 50, low=0, high=0.5), cuts_ms=[1000 * at for at in range(30, 50)])
    reading = [Text(500 * at, 500 * at + 400, "a line of text that is new", "ocr") for at in range(60, 100)]
    talk = [Text(0, 120_000, "slow " * 120, "speech"), Text(30_000, 50_000, "fast " * 120, "speech")]
    for recording, reason in ((cuts, "picture"), (made(texts=reading), "text"), (made(texts=talk), "talk")):
        (found,) = find_highlights(recording)
        assert 25_000 <= found.start_ms <= 31_000, found
        assert 49_000 <= found.end_ms <= 60_000, found
        assert reason in found.reasons[0]


def test_best_first_and_apart():
    """Several passages are several highlights, the best one first, and none touches another."""
    loud = [max(a, b) for a, b in zip(with_peak(120, 20, 32), with_peak(120, 80, 92, high=-5.0), strict=True)]
    first, second = find_highlights(made(loudness=loud))
    assert first.score > second.score
    assert first.start_ms >= second.end_ms + 1000
    assert find_highlights(made(loudness=loud, count=1)) == [first]


def test_next_slide_is_no_highlight():
    """One other picture in a still recording says nothing; several within seconds do."""
    changes = [0.2 if at == 60 else 0.0 for at in range(120)]
    assert find_highlights(made(changes=changes, cuts_ms=[60_000])) == []
    assert len(find_highlights(made(changes=changes, cuts_ms=[60_000, 61_000, 62_000, 63_000]))) == 1


def test_lengths_are_kept():
    """A click becomes a highlight of the shortest length, half an hour of noise one of the longest."""
    (click,) = find_highlights(made(loudness=with_peak(120, 60, 61)))
    assert click.end_ms - click.start_ms == 10_000
    noise = find_highlights(made(loudness=with_peak(120, 10, 110, low=LOUD, high=QUIET)))
    assert all(10_000 <= one.end_ms - one.start_ms <= 30_000 for one in noise)


def test_short_recording_may_be_a_highlight_as_a_whole():
    """Nothing ends behind the end."""
    (found,) = find_highlights(made(duration_ms=8_500, loudness=with_peak(9, 1, 4)))
    assert (found.start_ms, found.end_ms) == (0, 8_500)


def test_begins_with_a_new_picture():
    """Where a cut is near, the highlight begins with it."""
    recording = made(loudness=with_peak(120, 60, 80))
    plain = find_highlights(recording)[0].start_ms
    snapped = find_highlights(made(loudness=with_peak(120, 60, 80), cuts_ms=[plain - 700]))[0]
    assert snapped.start_ms == plain - 700


def test_new_picture_makes_no_highlight_too_long():
    """One that is as long as it may be already does not begin earlier."""
    recording = made(loudness=with_peak(120, 40, 90))
    plain = find_highlights(recording)[0]
    assert plain.end_ms - plain.start_ms == 30_000
    snapped = find_highlights(made(loudness=with_peak(120, 40, 90), cuts_ms=[plain.start_ms - 700]))[0]
    assert (snapped.start_ms, snapped.end_ms) == (plain.start_ms, plain.end_ms)


def test_title_is_what_is_said_or_shown():
    """Speech comes before text on screen; a long line is cut between words."""
    shown = Text(61_000, 70_000, "Quarterly figures of the harbour office and everything that belongs to them", "ocr")
    said = Text(62_000, 64_000, "and that is a goal", "speech")
    loud = with_peak(120, 60, 80)
    assert find_highlights(made(loudness=loud, texts=[shown, said]))[0].title == "and that is a goal"
    assert (
        find_highlights(made(loudness=loud, texts=[shown]))[0].title
        == "Quarterly figures of the harbour office and everything that"
    )
