"""Keys and layouts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidKey
from mediaplane.media.clip_names import name_fields
from mediaplane.media.keys import Layout, check_key, uid_of
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


@given(one=st.text(min_size=1, max_size=200), other=st.text(min_size=1, max_size=200))
def test_no_two_owners_share_a_uid(one, other):
    """Every owner has a part of a key of their own, whatever characters the name has."""
    assert re.fullmatch(r"[A-Za-z0-9_~-]{1,100}", uid_of(one))
    assert (uid_of(one) == uid_of(other)) == (one == other)


def test_uid_of_a_plain_name_is_the_name():
    """What a deployment has written under a plain id is found under it; anything else is told apart by its digest."""
    assert uid_of("user_4711-b") == "user_4711-b"
    assert uid_of("a@b.c") != uid_of("a-b-c") == "a-b-c"
    assert uid_of("../x").startswith("x~")


def test_prefixes_hold_all_of_an_asset_and_nothing_of_another():
    """What is listed to prove that nothing is left begins as the asset's keys do, and no other asset's."""
    layout = load_settings({"MEDIAPLANE_PROFILE": "viral-clip"}).layout
    assert layout.prefixes("uid", uid="u") == {"users/u/"}
    assert layout.prefixes("asset_id", uid="u", asset_id="a") == {"users/u/a/"}
    flat = Layout({"poster": "posters/{asset_id}.jpg", "clip": "c-{asset_id}x/{clip_id}", "log": "logs/{job_id}"})
    assert flat.prefixes("asset_id", uid="u", asset_id="a") == {"posters/a.jpg"}
    assert flat.prefixes("uid", uid="u") == set()
    beside = Layout({"avatar": "users/{uid}/avatar.jpg", "frame": "users/{uid}/{asset_id}/{timestamp_ms}.jpg"})
    assert beside.prefixes("asset_id", uid="u", asset_id="a") == {"users/u/a/"}, "an asset is not its owner"


def test_clip_names_are_read_back():
    """The numbers, title and style of a clip stand in its key."""
    layout = load_settings({"MEDIAPLANE_PROFILE": "viral-clip"}).layout
    named = name_fields(highlight=3, version=12, title="Größte_Szene / 2024 🔥", style="vertical")
    key = layout.key("clip", uid="u", asset_id="a", clip_id="c", **named)
    assert key == "users/u/a/clips/clip_03_12_größte-szene-2024_vertical.mp4"
    assert layout.read("clip", key) == {"uid": "u", "asset_id": "a", **named}
