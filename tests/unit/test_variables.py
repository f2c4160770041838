"""The environment variables of the five deployments, as they are written there."""

import pytest

from mediaplane.errors import SettingInvalid
from mediaplane.settings import describe, load_settings, other_names

# one deployment's environment, and what follows from it: setting, value, the variable it came from
DEPLOYMENTS = {
    "cortana-vision": (
        {"S3_ENDPOINT": "https://fsn1.your-objectstorage.com", "S3_BUCKET": "cv", "S3_ACCESS_KEY_ID": "k",
         "S3_SECRET_ACCESS_KEY": "s"},
        [("s3_endpoint", "https://fsn1.your-objectstorage.com", "S3_ENDPOINT"), ("s3_bucket", "cv", "S3_BUCKET"),
         ("s3_access_key_id", "k", "S3_ACCESS_KEY_ID"), ("s3_secret_access_key", "s", "S3_SECRET_ACCESS_KEY")],
    ),
    "viral-clip": (
        {"R2_ACCOUNT_ID": "acc", "R2_BUCKET_NAME": "clips", "R2_ACCESS_KEY_ID": "k", "R2_SECRET_ACCESS_KEY": "s",
         "R2_REGION": "auto", "R2_PUBLIC_URL": "https://cdn.example.com/"},
        [("s3_endpoint", "https://acc.r2.cloudflarestorage.com", "R2_ACCOUNT_ID"),
         ("s3_bucket", "clips", "R2_BUCKET_NAME"), ("s3_access_key_id", "k", "R2_ACCESS_KEY_ID"),
         ("s3_secret_access_key", "s", "R2_SECRET_ACCESS_KEY"), ("s3_region", "auto", "R2_REGION"),
         ("s3_public_url", "https://cdn.example.com", "R2_PUBLIC_URL")],
    ),
    "viral-clip with an endpoint": (
        {"R2_ACCOUNT_ID": "acc", "R2_ENDPOINT_URL": "https://acc.eu.r2.cloudflarestorage.com"},
        [("s3_endpoint", "https://acc.eu.r2.cloudflarestorage.com", "R2_ENDPOINT_URL")],
    ),
    "xum": (
        {"S3_ENDPOINT": "https://hel1.your-objectstorage.com", "PUBLIC_BASE_URL": "https://assets.example.com"},
        [("s3_public_url", "https://assets.example.com", "PUBLIC_BASE_URL")],
    ),
    "mpr": (
        {"S3_ENDPOINT_URL": "http://127.0.0.1:9000", "S3_BUCKET_IN": "in", "S3_BUCKET_OUT": "out",
         "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-west-1"},
        [("s3_endpoint", "http://127.0.0.1:9000", "S3_ENDPOINT_URL"), ("s3_bucket_in", "in", "S3_BUCKET_IN"),
         ("s3_bucket_out", "out", "S3_BUCKET_OUT"), ("s3_access_key_id", "k", "AWS_ACCESS_KEY_ID"),
         ("s3_secret_access_key", "s", "AWS_SECRET_ACCESS_KEY"), ("s3_region", "eu-west-1", "AWS_DEFAULT_REGION")],
    ),
    "mpr with Amazon's own name of the endpoint": (
        {"S3_BUCKET_IN": "in", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000", "AWS_ENDPOINT_URL": "http://other"},
        [("s3_endpoint", "http://127.0.0.1:9000", "AWS_ENDPOINT_URL_S3")],
    ),
    "bookmarkai": (
        {"STORAGE_MODE": "hybrid", "S3_SPLIT_PERCENTAGE": "25", "S3_MEDIA_BUCKET": "media",
         "S3_VIDEO_PREFIX": "temp/videos/", "YTDLP_DOWNLOAD_DIR": "/srv/downloads", "AWS_REGION": "eu-west-1",
         "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        [("storage_mode", "hybrid", "STORAGE_MODE"), ("s3_split_percentage", 25.0, "S3_SPLIT_PERCENTAGE"),
         ("s3_bucket", "media", "S3_MEDIA_BUCKET"), ("s3_prefix", "temp/videos/", "S3_VIDEO_PREFIX"),
         ("local_dir", "/srv/downloads", "YTDLP_DOWNLOAD_DIR"), ("s3_session_token", "t", "AWS_SESSION_TOKEN"),
         ("s3_endpoint", "https://s3.eu-west-1.amazonaws.com", "S3_MEDIA_BUCKET with AWS_ACCESS_KEY_ID")],
    ),
    "Amazon by name": (
        {"S3_PROVIDER": "aws", "S3_REGION": "cn-north-1"},
        [("s3_endpoint", "https://s3.cn-north-1.amazonaws.com.cn", "S3_PROVIDER")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_environment_of_a_deployment_works_as_it_is_written(name):
    """Every variable arrives, and `config` shows which it was."""
    environ, expected = DEPLOYMENTS[name]
    settings = load_settings(environ)
    told = [(field, getattr(settings, field), settings.sources[field]) for field, _, _ in expected]
    assert told == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("S3_ENDPOINT", "S3_ENDPOINT_URL"),
        ("S3_ENDPOINT", "R2_ENDPOINT_URL"),
        ("S3_BUCKET", "R2_BUCKET_NAME"),
        ("S3_BUCKET", "S3_MEDIA_BUCKET"),
        ("S3_REGION", "R2_REGION"),
        ("S3_ACCESS_KEY_ID", "R2_ACCESS_KEY_ID"),
        ("R2_PUBLIC_URL", "PUBLIC_BASE_URL"),
        ("MEDIAPLANE_LOCAL_DIR", "YTDLP_DOWNLOAD_DIR"),
    ],
)
def test_two_names_of_one_setting_must_agree(one, other):
    """Different values are an error that names both; equal ones are fine, a slash at the end is no difference."""
    with pytest.raises(SettingInvalid) as caught:
        load_settings({one: "http://a", other: "http://b"})
    assert one in caught.value.message and other in caught.value.message
    load_settings({one: "http://a", other: "http://a" if "KEY" in one else "http://a/"})


def test_prefixes_that_differ_in_a_slash_are_the_same():
    """`temp/videos` and `temp/videos/` are one folder."""
    assert load_settings({"S3_PREFIX": "temp/videos", "S3_VIDEO_PREFIX": "temp/videos/"}).s3_prefix == "temp/videos/"
    with pytest.raises(SettingInvalid, match="S3_PREFIX and S3_VIDEO_PREFIX"):
        load_settings({"S3_PREFIX": "temp", "S3_VIDEO_PREFIX": "videos"})


STRAY = {
    "AWS_ACCESS_KEY_ID": "AKIASTRAY", "AWS_SECRET_ACCESS_KEY": "stray", "AWS_SESSION_TOKEN": "stray",
    "AWS_REGION": "eu-north-1", "AWS_ENDPOINT_URL": "http://stray", "AWS_PROFILE": "stray",
}  # fmt: skip


def test_keys_in_a_developers_shell_change_nothing():
    """Without a word about a bucket of one's own, AWS_* are not looked at."""
    assert load_settings(STRAY) == load_settings({})
    assert load_settings({**STRAY, "S3_BUCKET": "b"}).s3_endpoint == ""


def test_keys_of_the_shell_never_mix_with_our_own():
    """Who sets keys of one's own gets neither the secret nor the token of another account."""
    mine = load_settings({**STRAY, "S3_ENDPOINT": "http://mine", "S3_ACCESS_KEY_ID": "k"})
    assert (mine.s3_access_key_id, mine.s3_secret_access_key, mine.s3_session_token) == ("k", "", "")
    assert load_settings({**STRAY, "S3_ENDPOINT": "http://mine"}).s3_access_key_id == "AKIASTRAY"


def test_keys_of_a_role_beat_those_of_all():
    """GATEWAY_, WORKER_ and SCANNER_ stand before every name of the key."""
    environ = {"R2_ACCESS_KEY_ID": "all", "R2_SECRET_ACCESS_KEY": "s", "SCANNER_R2_ACCESS_KEY_ID": "scanner"}
    assert load_settings(environ, role="scanner").s3_access_key_id == "scanner"
    assert load_settings(environ, role="scanner").sources["s3_access_key_id"] == "SCANNER_R2_ACCESS_KEY_ID"
    assert load_settings(environ, role="gateway").s3_access_key_id == "all"


def test_secret_from_a_file(tmp_path):
    """NAME_FILE gives what is in the file, without the line's end; both are an error, and so is no file."""
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    environ = {"R2_SECRET_ACCESS_KEY_FILE": str(file), "DATABASE_URL_FILE": str(file)}
    settings = load_settings({"R2_SECRET_ACCESS_KEY_FILE": str(file)})
    assert settings.s3_secret_access_key == "hunter2"
    assert settings.sources["s3_secret_access_key"] == "R2_SECRET_ACCESS_KEY_FILE"
    assert "hunter2" not in str(describe(settings))
    with pytest.raises(SettingInvalid, match="DATABASE_URL_FILE: must begin"):
        load_settings(environ)
    with pytest.raises(SettingInvalid, match="S3_SECRET_ACCESS_KEY and R2_SECRET_ACCESS_KEY_FILE"):
        load_settings({"R2_SECRET_ACCESS_KEY_FILE": str(file), "S3_SECRET_ACCESS_KEY": "other"})
    for problem in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingInvalid, match=r"S3_SECRET_ACCESS_KEY_FILE: .*cannot be read"):
            load_settings({"S3_SECRET_ACCESS_KEY_FILE": str(problem)})
    file.write_text("\n")
    with pytest.raises(SettingInvalid, match="is empty"):
        load_settings({"S3_SECRET_ACCESS_KEY_FILE": str(file)})


def test_other_names_of_a_setting():
    """The reference lists them in the order in which they count."""
    assert other_names("S3_ENDPOINT") == (
        "S3_ENDPOINT_URL", "R2_ENDPOINT_URL", "R2_ACCOUNT_ID", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
    )  # fmt: skip
    assert "S3_SECRET_ACCESS_KEY_FILE" in other_names("S3_SECRET_ACCESS_KEY")
    assert other_names("MEDIAPLANE_PORT") == ()


@pytest.mark.parametrize("prefix", ["../up", "a//b", "{asset_id}", "a/\x01"])
def test_prefix_no_key_begins_with_is_refused(prefix):
    """The error names the variable."""
    with pytest.raises(SettingInvalid, match="S3_VIDEO_PREFIX"):
        load_settings({"S3_VIDEO_PREFIX": prefix})


def test_endpoint_is_asked_for_where_a_provider_is_named_that_runs_anywhere():
    """S3_PROVIDER alone says not where it is."""
    with pytest.raises(SettingInvalid, match=r"S3_ENDPOINT.*minio"):
        load_settings({"S3_PROVIDER": "minio"})
