"""`[bucket]` of a profile: what it may say, and that a mistake is named."""

import pytest

from mediaplane.errors import SettingInvalid
from mediaplane.media.keys import Layout
from mediaplane.settings import load_settings
from mediaplane.storage.bucket.rules import BucketRules, read_rules
from mediaplane.storage.bucket.targets import read_targets

LAYOUT = Layout({"original": "o/{asset_id}", "clip": "c/{asset_id}", "frame": "f/{asset_id}", "segment": "s/{name}"})


def read(section=None, **more) -> BucketRules:
    return read_rules(section or {}, LAYOUT, where="[bucket]", **more)


def test_rules_of_a_profile_that_says_nothing():
    """Defaults: managed, every page may read and upload, clips expire when their rows do."""
    rules = read(clip_days=29.5)
    assert rules == BucketRules(expire_days={"clip": 30})
    assert read().expire_days == {}


def test_uploads_come_from_where_pages_may_read_unless_said_otherwise():
    """One list of origins is enough; two may differ."""
    assert read({"cors_origins": ["https://b.example", "https://a.example"]}).upload_origins == (
        "https://a.example",
        "https://b.example",
    )
    assert read({"cors_origins": ["https://a.example"], "upload_origins": []}).upload_origins == ()


def test_expiry_that_is_switched_off_stays_off():
    """A profile's 0 days wins over the setting's."""
    assert read({"expire_days": {"clip": 0, "temp/": 7}}, clip_days=30).expire_days == {"clip": 0, "temp/": 7}


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*.xum-ai.app", "http://localhost:*", "http://127.0.0.1:8420", "app://console", "https://[::1]"],
)
def test_origin_that_s3_takes(origin):
    """At most one `*`, anywhere."""
    assert read({"cors_origins": [origin]}).cors_origins == (origin,)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"cors_origin": []}, "cors_origin"),
        ({"cors_origins": "*"}, "cors_origins"),
        ({"cors_origins": ["https://*.example.com:*"]}, "at most one"),
        ({"cors_origins": ["example.com"]}, "is no origin"),
        ({"cors_origins": ["https://example.com/"]}, "is no origin"),
        ({"upload_origins": [3]}, "upload_origins"),
        ({"expire_days": {"clip": -1}}, "expire_days"),
        ({"expire_days": {"clip": True}}, "expire_days"),
        ({"expire_days": {"temp": 7}}, "neither a role of the layout"),
        ({"expire_days": {"segment": 7}}, "goes with its asset only"),
        ({"expire_days": 7}, "must be a table"),
        ({"cold_days": {"frames": 7}}, "cold_days"),
        ({"cold_class": "GLACIER"}, "without restoring"),
        ({"cold_class": "DEEP_ARCHIVE"}, "without restoring"),
        ({"versioning": "yes"}, "true or false"),
        ({"encryption": "rot13"}, "encryption"),
        ({"access_logs": "/prefix"}, "access_logs"),
        ({"events": "ftp://example.com"}, "events"),
        ({"events": "http://user:secret@example.com/hook"}, "over https"),
        ({"keys": "all"}, "roles or objects"),
    ],
)
def test_mistake_is_named(section, named):
    """The sentence says where it stands and what is allowed, and repeats no password's position."""
    with pytest.raises(SettingInvalid) as told:
        read(section)
    assert named in told.value.message
    assert "[bucket]" in told.value.message


S3 = {"S3_ENDPOINT": "https://s3.example.com", "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b"}


def settings(tmp_path, text, **env):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return load_settings({"MEDIAPLANE_PROFILE": str(path), **S3, **env})


TWO_STORES = """
[stores.raw]
bucket = "raw"
[stores.assets]
bucket = "assets"
tier = "public"
[placement]
default = "raw"
poster = "assets"
[layout]
original = "o/{asset_id}"
poster = "p/{asset_id}"
[bucket]
cors_origins = ["https://app.example.com"]
[bucket.stores.assets]
cors_origins = ["*"]
upload_origins = []
[environments.prod.bucket]
versioning = true
"""


def test_store_and_environment_amend_the_rules(tmp_path):
    """`[bucket]` is for all, `[environments.NAME.bucket]` goes over it, `[bucket.stores.NAME]` over both."""
    raw, assets = read_targets(settings(tmp_path, TWO_STORES, MEDIAPLANE_ENV="prod"))
    assert (raw.stores, raw.endpoint.bucket, raw.public) == (("raw",), "raw", False)
    assert (assets.stores, assets.endpoint.bucket, assets.public) == (("assets",), "assets", True)
    assert raw.rules.cors_origins == raw.rules.upload_origins == ("https://app.example.com",)
    assert (assets.rules.cors_origins, assets.rules.upload_origins) == (("*",), ())
    assert raw.rules.versioning is assets.rules.versioning is True
    assert set(raw.layout.templates) == {"original"}
    assert set(assets.layout.templates) == {"poster"}
    assert read_targets(settings(tmp_path, TWO_STORES))[0].rules.versioning is None
    assert [target.stores for target in read_targets(settings(tmp_path, TWO_STORES), only="assets")] == [("assets",)]


def test_stores_that_share_a_bucket_share_its_settings(tmp_path):
    """Two plans for one bucket would undo each other: they are one, or refused."""
    together = TWO_STORES.replace('bucket = "assets"', 'bucket = "raw"').replace('tier = "public"', "")
    with pytest.raises(SettingInvalid, match="raw and assets are in one bucket"):
        read_targets(settings(tmp_path, together))
    same = together.replace('[bucket.stores.assets]\ncors_origins = ["*"]\nupload_origins = []', "")
    (target,) = read_targets(settings(tmp_path, same))
    assert target.stores == ("raw", "assets")
    assert set(target.layout.templates) == {"original", "poster"}


def test_store_that_is_not_there_is_named(tmp_path):
    """A misspelt name is no silence."""
    with pytest.raises(SettingInvalid, match="unknown stores: other"):
        read_targets(settings(tmp_path, f"{TWO_STORES}\n[bucket.stores.other]\nmanaged = false"))


def test_stores_of_mpr_are_not_managed():
    """Bucket settings are the bucket's own business there."""
    targets = read_targets(load_settings({"MEDIAPLANE_PROFILE": "mpr", **S3}))
    assert [target.rules.managed for target in targets] == [False, False]
