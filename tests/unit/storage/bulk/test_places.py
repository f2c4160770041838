"""What places are written like, and which endpoint a bucket is on."""

from pathlib import Path

import pytest

from mediaplane.errors import InvalidPlace, NotRunning, SettingInvalid
from mediaplane.settings import load_settings
from mediaplane.storage.bulk.places import (
    LocalPlace,
    S3Place,
    StreamPlace,
    as_folder,
    find_endpoints,
    fixed_part,
    has_wildcard,
    literal_prefix,
    read_bucket,
    read_place,
    source_settings,
)

ENVIRONMENT = {"S3_ENDPOINT": "http://127.0.0.1:9", "S3_ACCESS_KEY_ID": "key", "S3_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket", S3Place("bucket", "")),
        ("s3://bucket/", S3Place("bucket", "")),
        ("S3://bucket/a//b c+%", S3Place("bucket", "a//b c+%")),
        ("s3://xum-raw.submissions/x", S3Place("xum-raw.submissions", "x")),
        ("-", StreamPlace()),
        ("dir/", LocalPlace(Path("dir"), is_directory=True)),
        ("./-", LocalPlace(Path("./-"))),
        ("s3:/bucket", LocalPlace(Path("s3:/bucket"))),
    ],
)
def test_places_are_read(text: str, place: object):
    """Keys stand as they are, nothing is decoded."""
    assert read_place(text) == place


@pytest.mark.parametrize("text", ["", "s3://", "s3:///key", "s3://-bucket/key", "s3://bu cket/key", "nul\0"])
def test_other_places_are_refused(text: str):
    """With a sentence that says how to write one."""
    with pytest.raises(InvalidPlace, match="s3://bucket/key"):
        read_place(text)


def test_keys_have_at_most_1024_bytes():
    """Counted as UTF-8."""
    read_place("s3://bucket/" + "é" * 512)
    with pytest.raises(InvalidPlace, match="1024"):
        read_place("s3://bucket/" + "é" * 513)
    with pytest.raises(InvalidPlace, match="not on S3"):
        read_bucket("local")


def test_parts_of_a_pattern():
    """What is listed, and what names are relative to."""
    assert has_wildcard("a/b*")
    assert not has_wildcard("clip [1080p].mp4")
    assert (fixed_part("a/b/c*d/e"), literal_prefix("a/b/c*d/e")) == ("a/b/", "a/b/c")
    assert (fixed_part("*.mp4"), literal_prefix("*.mp4")) == ("", "")
    assert (as_folder(""), as_folder("a"), as_folder("a/")) == ("", "a/", "a/")


def test_bucket_is_opened_on_the_default_endpoint():
    """With its keys; --endpoint-url replaces the address."""
    endpoint = find_endpoints(load_settings(ENVIRONMENT)).of("any")
    assert (endpoint.url, endpoint.bucket, endpoint.access_key_id) == ("http://127.0.0.1:9", "any", "key")
    other = find_endpoints(load_settings(ENVIRONMENT), url="https://s3.example/").of("any")
    assert (other.url, other.bucket, other.access_key_id) == ("https://s3.example", "any", "key")
    with pytest.raises(SettingInvalid, match="--endpoint-url"):
        find_endpoints(load_settings(ENVIRONMENT), url="s3.example")


def test_nothing_set_and_nothing_running_is_said(tmp_path: Path):
    """With what to do about it."""
    with pytest.raises(NotRunning, match="mediaplane up"):
        find_endpoints(load_settings({"MEDIAPLANE_STATE_DIR": str(tmp_path)}))


def test_source_has_settings_of_its_own_where_they_are_given():
    """Only variables that name our settings count: builds set SOURCE_DATE_EPOCH."""
    assert source_settings({**ENVIRONMENT, "SOURCE_DATE_EPOCH": "1"}) is None
    own = source_settings({**ENVIRONMENT, "SOURCE_S3_ENDPOINT": "http://127.0.0.1:10"})
    assert own is not None
    assert (own.s3_endpoint, own.s3_access_key_id) == ("http://127.0.0.1:10", "key")
