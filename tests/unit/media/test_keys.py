"""Keys and layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidKey
from mediaplane.media.keys import check_key
from mediaplane.settings import load_settings

LAYOUT = load_settings({}).layout
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(asset_id=IDS)
def test_layout_reads_back_the_id_that_stands_in_a_key(asset_id):
    """A key made for an id gives that id back."""
    key = LAYOUT.key("original", asset_id=asset_id, ext="mp4")
    assert key == f"videos/original/{asset_id}/master.mp4"
    assert LAYOUT.read("original", key) == {"asset_id": asset_id, "ext": "mp4"}


@pytest.mark.parametrize(
    ("role", "fields", "key"),
    [
        ("playlist", {"asset_id": "a", "name": "index.m3u8"}, "videos/proxy/a/index.m3u8"),
        ("clip", {"asset_id": "a", "clip_id": "c"}, "videos/clips/a/c.mp4"),
        ("frame", {"asset_id": "a", "timestamp_ms": 1500}, "frames/a/1500.jpg"),
        ("poster", {"asset_id": "a"}, "thumbs/a/poster.jpg"),
        ("log", {"job_id": "j"}, "logs/pipeline/j.json"),
    ],
)
def test_layout_of_cortana_vision_is_exact(role, fields, key):
    """The deployment can point mediaplane at its existing bucket."""
    assert LAYOUT.key(role, **fields) == key


@pytest.mark.parametrize(
    "key", ["videos/original/a/other.mp4", "videos/original/a/b/master.mp4", "videos/original/a b/master.mp4"]
)
def test_layout_reads_no_id_out_of_a_foreign_key(key):
    """A key that the layout would not make is not taken for an original."""
    assert LAYOUT.read("original", key) is None


@pytest.mark.parametrize("key", ["", "a//b", "../etc/passwd", "a/./b", "a\nb", "a\\b", "/a", "a/", "x" * 1025])
def test_key_that_a_store_may_refuse_is_refused(key):
    """No such key reaches a store."""
    with pytest.raises(InvalidKey):
        check_key(key)


def test_layout_with_a_missing_field_says_which():
    """A key is never made with a hole in it."""
    with pytest.raises(InvalidKey, match="timestamp_ms"):
        LAYOUT.key("frame", asset_id="a")
