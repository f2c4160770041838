"""The profiles `mpr` and `bookmarkai`: a deployment can point them at its existing buckets with its own variables."""

import pytest

from mediaplane.settings import load_settings

MPR = {
    "MEDIAPLANE_PROFILE": "mpr",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "S3_BUCKET_IN": "recordings",
    "S3_BUCKET_OUT": "artefacts",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
BOOKMARKAI = {
    "MEDIAPLANE_PROFILE": "bookmarkai",
    "S3_MEDIA_BUCKET": "media",
    "S3_SPLIT_PERCENTAGE": "25",
    "STORAGE_MODE": "hybrid",
    "YTDLP_DOWNLOAD_DIR": "/srv/downloads",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-west-1",
}
VIDEO = {"year": "2026", "month": "11", "day": "21", "hash": "0123456789abcdef", "timestamp": "1795000000"}


def test_mpr_reads_its_variables():
    """Endpoint, keys and both buckets are taken as the deployment writes them."""
    settings = load_settings(MPR)
    assert (settings.s3_endpoint, settings.s3_access_key_id) == ("http://127.0.0.1:9000", "key")
    assert (settings.s3_bucket_in, settings.s3_bucket_out) == ("recordings", "artefacts")
    assert {store.name: store.bucket for store in settings.stores} == {"in": "recordings", "out": "artefacts"}
    assert settings.placement == {"default": "out", "original": "in"}


def test_mpr_without_variables_names_its_buckets():
    """Scripts and stages mean the same buckets, set or not."""
    settings = load_settings({"MEDIAPLANE_PROFILE": "mpr"})
    stores = {store.name: store.bucket for store in settings.stores}
    assert stores == {"in": settings.s3_bucket_in, "out": settings.s3_bucket_out} == {"in": "mpr-in", "out": "mpr-out"}


@pytest.mark.parametrize("path", ["chunks/2025-04-15/match-01.mp4", "match.mov", "a b/ä+c.MTS"])
def test_mpr_keys_are_relative_paths_as_given(path):
    """The original's key is its path; no id stands in it."""
    layout = load_settings(MPR).layout
    assert layout.key("original", asset_id="a", path=path, ext="mp4") == path
    assert layout.read("original", path) == {"path": path}
    assert layout.prefix("original") == ""


def test_bookmarkai_reads_its_variables():
    """Mode, percentage, bucket, directory and region are taken as written there; Amazon needs no endpoint."""
    settings = load_settings(BOOKMARKAI)
    assert (settings.storage_mode, settings.s3_split_percentage) == ("hybrid", 25)
    assert (settings.s3_bucket, settings.local_dir) == ("media", "/srv/downloads")
    assert settings.s3_endpoint == "https://s3.eu-west-1.amazonaws.com"
    assert load_settings({"MEDIAPLANE_PROFILE": "bookmarkai"}).storage_mode == "local"


@pytest.mark.parametrize(
    ("prefix", "start"), [("", "temp/videos/"), ("temp/videos", "temp/videos/"), ("/other/place/", "other/place/")]
)
def test_bookmarkai_keys_are_dates_and_hashes(prefix, start):
    """The key is exact, S3_VIDEO_PREFIX takes the place of `temp/videos`, and artefacts lie elsewhere."""
    layout = load_settings({**BOOKMARKAI, "S3_VIDEO_PREFIX": prefix}).layout
    key = f"{start}2026/11/21/0123456789abcdef_1795000000.mp4"
    assert layout.key("original", **VIDEO, ext="mp4", asset_id="a") == key
    assert layout.read("original", key) == {**VIDEO, "ext": "mp4"}
    assert layout.prefix("original") == start
    for role in set(layout.templates) - {"original"}:
        assert layout.prefix(role).startswith("media/"), "what is made does not expire with the video"


@pytest.mark.parametrize(
    "key",
    [
        "temp/videos/2025/4/5/D41D8CD98F00B204E9800998ECF8427E_1743843600123.webm",
        "temp/videos/2025/04/05/5e884898da28047151d0e56f8dc62927_1743843600.mp4",
    ],
)
def test_bookmarkai_reads_what_it_wrote_before(key):
    """Keys of the deployment's own code are originals too: another hash, months without a zero, milliseconds."""
    assert load_settings(BOOKMARKAI).layout.read("original", key) is not None


def test_layouts_have_a_key_for_every_role():
    """No stage of the pipeline is without a place to write to."""
    roles = set(load_settings({}).layout.templates)
    for environ in (MPR, BOOKMARKAI):
        assert set(load_settings(environ).layout.templates) == roles
