"""Settings: where a value comes from, and what a wrong one says."""

import pytest

from mediaplane.errors import SettingInvalid
from mediaplane.settings import describe, load_settings


def _source_of(settings, variable):
    return next(entry["source"] for entry in describe(settings) if entry["setting"] == variable)


def test_settings_without_environment_come_from_the_profile():
    """An empty environment gives the profile's values, and says so."""
    settings = load_settings({})
    assert settings.s3_bucket == "cortana-vision-dev"
    assert _source_of(settings, "S3_BUCKET") == "profile cortana-vision [environments.dev]"
    assert _source_of(settings, "S3_REGION") == "default"


@pytest.mark.parametrize(("environment", "bucket"), [("staging", "cortana-vision-staging"), ("prod", "cortana-vision")])
def test_settings_of_each_environment_have_their_own_bucket(environment, bucket):
    """MEDIAPLANE_ENV chooses the bucket."""
    assert load_settings({"MEDIAPLANE_ENV": environment}).s3_bucket == bucket


def test_settings_variable_beats_the_profile():
    """A variable of the environment comes first."""
    settings = load_settings({"S3_BUCKET": "mine", "MEDIAPLANE_ENV": "prod"})
    assert (settings.s3_bucket, _source_of(settings, "S3_BUCKET")) == ("mine", "S3_BUCKET")


def test_settings_of_a_role_have_keys_of_their_own():
    """WORKER_S3_ACCESS_KEY_ID holds for the worker alone."""
    environ = {"S3_ACCESS_KEY_ID": "all", "WORKER_S3_ACCESS_KEY_ID": "worker-only"}
    assert load_settings(environ, role="worker").s3_access_key_id == "worker-only"
    assert load_settings(environ, role="gateway").s3_access_key_id == "all"


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"STORAGE_MODE": "cloud"}, ("STORAGE_MODE", "local, s3", "'cloud'")),
        ({"MEDIAPLANE_PORT": "eighty"}, ("MEDIAPLANE_PORT", "from 0 to 65535")),
        ({"FRAMES_PER_SECOND": "-1"}, ("FRAMES_PER_SECOND", "0.1 to 60")),
        ({"DATABASE_URL": "mysql://x"}, ("DATABASE_URL", "postgresql://")),
        ({"MEDIAPLANE_HOST": "0.0.0.0"}, ("MEDIAPLANE_HOST", "127.0.0.1")),
        ({"MEDIAPLANE_PROFILE": "nobody"}, ("MEDIAPLANE_PROFILE", "cortana-vision")),
        ({"MEDIAPLANE_PROFILE": "missing.toml"}, ("MEDIAPLANE_PROFILE", "missing.toml")),
        ({"MEDIAPLANE_RETRY_MINUTES": "1,soon"}, ("MEDIAPLANE_RETRY_MINUTES", "soon")),
        ({"HLS_SHORT_SIDES": "1080,big"}, ("HLS_SHORT_SIDES", "big")),
    ],
)
def test_settings_wrong_value_names_variable_and_what_is_allowed(environ, parts):
    """The error names the variable and what it may be."""
    with pytest.raises(SettingInvalid) as caught:
        load_settings(environ)
    assert all(part in caught.value.message for part in parts)


def test_settings_profile_with_an_unknown_entry_is_refused(tmp_path):
    """A misspelt setting in a profile is an error, not ignored."""
    profile = tmp_path / "mine.toml"
    profile.write_text('[settings]\nS3_BUKET = "x"\n')
    with pytest.raises(SettingInvalid, match="S3_BUKET"):
        load_settings({"MEDIAPLANE_PROFILE": str(profile)})


def test_settings_description_masks_secrets():
    """No secret is ever printed."""
    settings = load_settings({"S3_SECRET_ACCESS_KEY": "hunter2", "DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in str(describe(settings))


def test_settings_filled_in_leaves_the_environment_alone():
    """What a running `up` tells never replaces what the user set."""
    settings = load_settings({"S3_BUCKET": "mine"}).filled_in(
        "mediaplane up", s3_bucket="theirs", s3_endpoint="http://e"
    )
    assert (settings.s3_bucket, settings.s3_endpoint) == ("mine", "http://e")


def test_settings_listen_elsewhere_with_accounts_only():
    """The gateway is reached from elsewhere only where every request needs a key; this machine goes by loopback."""
    elsewhere = {"MEDIAPLANE_HOST": "0.0.0.0"}
    with pytest.raises(SettingInvalid, match="MEDIAPLANE_AUTH is off"):
        load_settings(elsewhere)
    assert load_settings({**elsewhere, "MEDIAPLANE_AUTH": "on"}).local_url(8420) == "http://127.0.0.1:8420"
    assert load_settings({"MEDIAPLANE_HOST": "::1"}).local_url(1) == "http://[::1]:1"
