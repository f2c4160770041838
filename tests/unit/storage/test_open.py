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
    stores = open_stores(settings, public_url="http://host:1", signing_key="k")
    assert sorted(stores) == ["local", "s3"]
    assert stores["local"].source_url("a/b") == str(tmp_path / "media" / "a" / "b")
    assert stores["local"].signer.sign_get("a/b").startswith("http://host:1/v1/objects/local/a/b?expires=")
    url = urlsplit(stores["s3"].source_url("a/b"))
    assert (url.netloc, url.path) == ("s3.example.com", f"/{settings.s3_bucket}/a/b")


def test_local_store_alone(tmp_path):
    """Without an endpoint there is no S3 store."""
    settings = load_settings({"MEDIAPLANE_LOCAL_DIR": str(tmp_path / "here")})
    stores = open_stores(settings, public_url="http://host:1", signing_key="k")
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
        open_stores(load_settings({}), public_url="http://host", signing_key="")


def test_end_of_the_session_is_read_as_utc():
    """A time without a zone is UTC."""
    for text in ("2030-01-31T12:00:00", "2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00"):
        expires = read_endpoint(load_settings({**OWN, "S3_SESSION_EXPIRES": text})).session_expires
        assert expires is not None
        assert expires.timestamp() == 1896091200


TWO = """
[stores.s3]
bucket = "private"

[stores.assets]
bucket = "open"
tier = "public"
local_dir = "{here}/elsewhere"

[placement]
default = "s3"
"""


@pytest.fixture
def two(tmp_path):
    """Settings of a private and a public store."""
    profile = tmp_path / "two.toml"
    profile.write_text(TWO.format(here=tmp_path))

    def load(**environ: str):
        named = {"MEDIAPLANE_PROFILE": str(profile), "MEDIAPLANE_STATE_DIR": str(tmp_path / "state")}
        return load_settings({**named, **environ})

    return load


def opened(settings):
    return open_stores(settings, public_url="http://host:1", signing_key="k")


def test_every_store_has_a_directory_in_its_place(two, tmp_path):
    """Of its own: what the profile says, else beside the default one."""
    assert sorted(opened(two())) == ["assets.local", "local"]
    stores = opened(two(**OWN))
    assert sorted(stores) == ["assets", "assets.local", "local", "s3"]
    assert stores["local"].media_url("a") == str(tmp_path / "state" / "media" / "a")
    assert stores["assets.local"].media_url("a") == str(tmp_path / "elsewhere" / "a")
    assert stores["assets.local"].signer.sign_get("a").startswith("http://host:1/v1/objects/assets.local/a?")


def test_media_url_says_bucket_and_key(two):
    """As rows elsewhere keep it."""
    stores = opened(two(**OWN))
    assert stores["s3"].media_url("a/b c") == "s3://private/a/b c"
    assert stores["assets"].media_url("a") == "s3://open/a"


def test_public_store_gives_urls_of_the_cdn(two):
    """Joined with the quoted key and not signed; what is written, and what ffmpeg reads, is signed all the same."""
    assets = opened(two(**OWN, PUBLIC_BASE_URL="https://cdn.example.com/assets/"))["assets"]
    for signer in (assets.signer, assets.long_signer):
        assert signer.sign_get("a b/é.jpg") == "https://cdn.example.com/assets/a%20b/%C3%A9.jpg"
        assert signer.sign_head("a") == "https://cdn.example.com/assets/a"
        assert "X-Amz-Signature=" in signer.sign_put("a", size_bytes=1, content_type="image/jpeg")
    assert assets.public
    assert assets.source_url("a").startswith("https://s3.example.com/open/a?X-Amz-")


@pytest.mark.parametrize("name", ["s3", "assets"])
def test_private_store_gives_signed_urls_only(two, name):
    """A CDN's address changes nothing for it; a public store without one signs too."""
    environ = {"PUBLIC_BASE_URL": "https://cdn.example.com"} if name == "s3" else {}
    store = opened(two(**OWN, **environ))[name]
    assert "X-Amz-Signature=" in store.signer.sign_get("a")
    assert not store.public
