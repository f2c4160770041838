"""Profiles with several stores: what they say, what the environment says about them, and what is refused."""

import pytest

from mediaplane.errors import SettingInvalid
from mediaplane.settings import describe, load_settings
from mediaplane.storage.endpoint import read_endpoint

XUM = """
[settings]
S3_PUBLIC_URL = "https://assets.example.com"

[stores.raw]
bucket = "xum-raw-submissions"
bucket_variable = ["RAW_BUCKET", "XUM_RAW_BUCKET"]

[stores.processed]
bucket = "xum-processed-datasets"
prefix = "v1"

[stores.public]
bucket = "xum-public-assets"
tier = "public"
endpoint = "https://acc.r2.cloudflarestorage.com"
access_key_id_variable = "PUBLIC_KEY"
secret_access_key_variable = "PUBLIC_SECRET"

[stores.public.layout]
poster = "posters/{asset_id}.jpg"

[placement]
default = "processed"
original = "raw"
poster = "public"

[layout]
original = "{asset_id}/original.{ext}"
poster = "unused/{asset_id}.jpg"
segment = "hls/{asset_id}/{rendition}/{name}"

[environments.dev.stores.raw]
bucket = "xum-raw-dev"
"""
OWN = {"S3_ENDPOINT": "https://fsn1.your-objectstorage.com", "S3_ACCESS_KEY_ID": "k", "S3_SECRET_ACCESS_KEY": "s"}


@pytest.fixture
def read(tmp_path):
    """Read settings with a profile of one's own."""

    def load(text: str = XUM, *, role: str = "", **environ: str):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return load_settings({"MEDIAPLANE_PROFILE": str(path), **environ}, role=role)

    return load


def test_stores_have_what_the_profile_says_and_the_settings_for_the_rest(read):
    """Endpoint and keys are the settings', unless a store has its own."""
    settings = read(MEDIAPLANE_ENV="prod", **OWN)
    raw, processed = (read_endpoint(settings, name) for name in ("raw", "processed"))
    assert (raw.bucket, raw.provider.name, raw.region) == ("xum-raw-submissions", "hetzner", "fsn1")
    assert (processed.bucket, processed.access_key_id) == ("xum-processed-datasets", "k")


def test_store_with_keys_of_its_own(read):
    """Its keys come from its own variables, for a role from the role's; provider and region from its own endpoint."""
    environ = {**OWN, "PUBLIC_KEY": "pk", "PUBLIC_SECRET": "ps", "WORKER_PUBLIC_KEY": "wk", "S3_REGION": "eu"}
    public = read_endpoint(read(**environ), "public")
    assert (public.provider.name, public.region, public.access_key_id, public.session_token) == ("r2", "auto", "pk", "")
    assert read_endpoint(read(**environ, role="worker"), "public").access_key_id == "wk"
    assert read_endpoint(read(**OWN), "public").access_key_id == "k", "without them the settings' keys"


def test_bucket_of_a_store_by_environment_and_variable(read):
    """A variable beats the part of the environment, which beats the profile; two variables must agree."""
    assert read_endpoint(read(**OWN), "raw").bucket == "xum-raw-dev"
    assert read_endpoint(read(**OWN, XUM_RAW_BUCKET="mine"), "raw").bucket == "mine"
    with pytest.raises(SettingInvalid, match="RAW_BUCKET and XUM_RAW_BUCKET"):
        read(**OWN, XUM_RAW_BUCKET="mine", RAW_BUCKET="yours")


def test_layout_is_that_of_the_store_a_role_goes_to(read):
    """A store's own templates and its prefix hold for the roles that are placed in it."""
    layout = read().layout
    assert layout.key("original", asset_id="a", ext="mp4") == "a/original.mp4"
    assert layout.key("segment", asset_id="a", rendition="720p", name="x") == "v1/hls/a/720p/x"
    assert layout.key("poster", asset_id="a") == "posters/a.jpg"


def test_stores_are_shown_with_where_values_came_from(read):
    """`config` has a line for each thing a store says, secrets masked."""
    rows = {row["setting"]: row for row in describe(read(PUBLIC_KEY="pk", PUBLIC_SECRET="hunter2"))}
    assert rows["stores.public.access_key_id"]["source"] == "PUBLIC_KEY"
    assert rows["stores.public.tier"]["value"] == "public"
    assert "hunter2" not in str(rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[stores.a]\nbuket = "x"', "buket"),
        ('[stores.a]\nsecret_access_key = "x"', "secret_access_key"),
        ('[stores.a]\ntier = "open"', "private, public"),
        ('[stores.local]\nbucket = "x"', "local"),
        ('[stores."a.b"]\nbucket = "x"', "a.b"),
        ('[stores.a]\nprefix = "../x"', "prefix"),
        ('[stores.a]\nprovider = "hetznr"', "hetzner"),
        ('[stores.a]\naddressing = "host"', "virtual"),
        ('[stores.a]\nendpoint = "s3.example.com"', "https://"),
        ('[stores.a]\nbucket = "x"\n[stores.b]\nbucket = "y"', "default"),
        ('[stores.a]\nbucket = "x"\n[placement]\noriginal = "c"', "'c'"),
        ('[stores.a]\nbucket = "x"\n[placement]\ndefault = "a"\npicture = "a"', "picture"),
    ],
)
def test_profile_that_does_not_fit_together_is_refused(read, text, says):
    """The message says what is wrong."""
    with pytest.raises(SettingInvalid) as caught:
        read(text)
    assert says in caught.value.message


def test_store_nobody_knows_is_named(read):
    """A name that is none lists those there are."""
    with pytest.raises(SettingInvalid, match="raw, processed, public"):
        read_endpoint(read(**OWN), "cold")


def test_prefix_stands_where_the_layout_says(read):
    """With {prefix} in a template only there, else before every key."""
    text = '[layout]\noriginal = "{prefix}{asset_id}.{ext}"\nposter = "media/{asset_id}.jpg"'
    layout = read(text, S3_VIDEO_PREFIX="temp/videos").layout
    assert layout.key("original", asset_id="a", ext="mp4") == "temp/videos/a.mp4"
    assert layout.key("poster", asset_id="a") == "media/a.jpg"
    plain = read('[layout]\nposter = "media/{asset_id}.jpg"', S3_PREFIX="/temp/").layout
    assert plain.key("poster", asset_id="a") == "temp/media/a.jpg"
