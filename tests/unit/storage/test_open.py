"""Which stores are opened, and what their endpoint is read from."""

from urllib.parse import urlsplit

import pytest

from mediaplane.errors import SettingInvalid
from mediaplane.settings import load_settings
from mediaplane.storage.endpoint import read_endpoint
from mediaplane.storage.open import open_stores

OWN = {"S3_ENDPOINT": "https://s3.example.com", "S3_ACCESS_KEY_ID": "AKID", "S3_SECRET_ACCESS_KEY": "secret"}


def test_both_stores_are_opened(tmp_path):
    """Both are there whatever the mode, and ffmpeg is given a signed URL or an absolute path."""
    settings = load_settings({**OWN, "MEDIAPLANE_STATE_DIR": str(tmp_path), "STORAGE_MODE": "local"})
    stores = open_stores(settings, public_url="http://host:1", signing_key="k", s3=read_endpoint(settings))
    assert sorted(stores) == ["local", "s3"]
    assert stores["local"].source_url("a/b") == str(tmp_path / "media" / "a" / "b")
    assert stores["local"].signer.sign_get("a/b").startswith("http://host:1/v1/objects/local/a/b?expires=")
    url = urlsplit(stores["s3"].source_url("a/b"))
    assert (url.netloc, url.path) == ("s3.example.com", f"/{settings.s3_bucket}/a/b")


def test_local_store_alone(tmp_path):
    """Without an endpoint there is no S3 store."""
    settings = load_settings({"MEDIAPLANE_LOCAL_DIR": str(tmp_path / "here")})
    stores = open_stores(settings, public_url="http://host:1", signing_key="k", s3=None)
    assert list(stores) == ["local"]
    assert stores["local"].source_url("a") == str(tmp_path / "here" / "a")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"S3_ENDPOINT": ""}, "S3_ENDPOINT"),
        ({"S3_ACCESS_KEY_ID": ""}, "S3_ACCESS_KEY_ID"),
        ({"S3_SECRET_ACCESS_KEY": ""}, "S3_SECRET_ACCESS_KEY"),
        ({"S3_SESSION_EXPIRES": "tomorrow"}, "S3_SESSION_EXPIRES"),
        ({"S3_CA_FILE": "/no/such/file.pem"}, "S3_CA_FILE"),
    ],
)
def test_wrong_setting_is_named(change, name):
    """What is missing or wrong is told by the setting's name."""
    with pytest.raises(SettingInvalid, match=f"^{name}: "):
        read_endpoint(load_settings({**OWN, **change}))


def test_links_need_a_key(tmp_path):
    """An empty signing key would let anyone sign."""
    with pytest.raises(SettingInvalid, match="MEDIAPLANE_SIGNING_KEY"):
        open_stores(load_settings({}), public_url="http://host", signing_key="", s3=None)


def test_end_of_the_session_is_read_as_utc():
    """A time without a zone is UTC."""
    for text in ("2030-01-31T12:00:00", "2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00"):
        expires = read_endpoint(load_settings({**OWN, "S3_SESSION_EXPIRES": text})).session_expires
        assert expires is not None
        assert expires.timestamp() == 1896091200
