"""Page tokens: read back what was written, and refuse everything else with our error."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidQuery
from mediaplane.gateway.pages import read_asset_page, read_object_page, read_segment_page, write_page


def test_page_of_assets():
    """Time and id come back exactly."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert read_asset_page(write_page(moment.isoformat(), "a-1")) == (moment, "a-1")


def test_page_of_segments():
    """Start and id come back exactly."""
    assert read_segment_page(write_page(1500, 42)) == (1500, 42)


def test_page_absent():
    """No page means the first."""
    assert read_asset_page(None) is None
    assert read_segment_page(None) is None


def test_page_of_objects():
    """Role and key come back exactly; text that no database takes is no page."""
    assert read_object_page(write_page("frame", "frames/a/späte 1.jpg")) == ("frame", "frames/a/späte 1.jpg")
    for key in ("a\0b", "a\ud800b"):
        with pytest.raises(InvalidQuery):
            read_object_page(write_page("frame", key))


@pytest.mark.parametrize("read", [read_asset_page, read_object_page, read_segment_page])
@given(text=st.text() | st.lists(st.integers() | st.text() | st.none()).map(lambda place: write_page(*place)))
def test_page_of_any_text(read, text):
    """Nonsense, also well encoded, is refused as what it is, or happens to be a place."""
    try:
        place = read(text)
    except InvalidQuery:
        return
    assert len(place) == 2
