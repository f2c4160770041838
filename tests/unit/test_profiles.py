"""The profiles `mpr` and `bookmarkai`: a deployment can point them at its existing buckets with its own variables."""

import pytest

from mediaplane.media.keys import ObjectKey
from mediaplane.settings import load_settings
from mediaplane.storage.bucket.targets import read_store_rules
from mediaplane.storage.open import open_stores

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


XUM = {
    "MEDIAPLANE_PROFILE": "xum",
    "S3_ENDPOINT": "https://fsn1.your-objectstorage.com",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "S3_PUBLIC_URL": "https://cdn.xum-ai.app",
}


def test_xum_has_three_tiered_buckets():
    """Submissions and what is made of them are private; what is public has URLs of the CDN."""
    settings = load_settings(XUM)
    found = {store.name: (store.bucket, store.tier) for store in settings.stores}
    assert found == {
        "raw": ("xum-raw-submissions", "private"),
        "processed": ("xum-processed-datasets", "private"),
        "assets": ("xum-public-assets", "public"),
    }
    assert settings.placement == {"default": "processed", "original": "raw"}
    opened = open_stores(settings, public_url="http://127.0.0.1", signing_key="key")
    url = opened["assets"].signer.sign_get(ObjectKey("logo.svg"))
    assert url == "https://cdn.xum-ai.app/logo.svg"
    assert "X-Amz-Signature" in opened["raw"].signer.sign_get(ObjectKey("submissions/kim/a/original.mp4"))


def test_xum_binds_uploads():
    """URLs to upload with live 15 minutes, contributors upload for tasks only, and only the product's pages may."""
    settings = load_settings(XUM)
    assert (settings.upload_minutes, settings.upload_needs_task, settings.auth) == (15, True, True)
    assert settings.origins == ("https://*.xum-ai.app", "http://localhost:*")
    rules = {name: read_store_rules(settings, name) for name in ("raw", "processed", "assets")}
    assert {"https://*.xum-ai.app", "http://localhost:*"} <= set(rules["raw"].upload_origins)
    assert (rules["processed"].upload_origins, rules["assets"].upload_origins) == ((), ())
    assert "*" not in rules["raw"].cors_origins and rules["assets"].cors_origins == ("*",)


def test_xum_buckets_are_named_by_variables():
    """A deployment points the profile at buckets of its own."""
    named = {"S3_RAW_BUCKET": "r", "S3_PROCESSED_BUCKET": "p", "S3_PUBLIC_BUCKET": "a"}
    assert [store.bucket for store in load_settings({**XUM, **named}).stores] == ["r", "p", "a"]


def test_layouts_have_a_key_for_every_role():
    """No stage of the pipeline is without a place to write to."""
    roles = set(load_settings({}).layout.templates)
    for environ in (MPR, BOOKMARKAI, XUM):
        assert set(load_settings(environ).layout.templates) == roles


VIRAL_CLIP = {
    "MEDIAPLANE_PROFILE": "viral-clip",
    "R2_ACCOUNT_ID": "0123456789abcdef",
    "R2_BUCKET_NAME": "clips-prod",
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_PUBLIC_URL": "https://cdn.example.com",
}


def test_viral_clip_reads_its_variables():
    """Account, bucket, keys and CDN are taken as written there; an endpoint of one's own goes before the account's."""
    settings = load_settings(VIRAL_CLIP)
    assert settings.s3_endpoint == "https://0123456789abcdef.r2.cloudflarestorage.com"
    assert (settings.s3_bucket, settings.s3_access_key_id) == ("clips-prod", "key")
    assert (settings.s3_public_url, settings.highlights) == ("https://cdn.example.com", "default")
    other = load_settings({**VIRAL_CLIP, "R2_ENDPOINT_URL": "http://127.0.0.1:9000", "R2_REGION": "auto"})
    assert (other.s3_endpoint, other.s3_region) == ("http://127.0.0.1:9000", "auto")
    assert sorted(settings.plans) == ["creator", "free", "studio"]


def test_viral_clip_keys_are_below_the_user():
    """Every role of the layout has its key below the user and the asset, so that both can be purged and proven gone."""
    layout = load_settings(VIRAL_CLIP).layout
    for role, template in layout.templates.items():
        assert template.startswith("users/{uid}/{asset_id}/"), role
    assert layout.key("highlights", uid="u1", asset_id="a1") == "users/u1/a1/highlights.json"


def test_viral_clip_urls_are_the_cdn_and_the_key(tmp_path):
    """Clips are told by plain CDN URLs, without a signature; with no CDN they are signed."""
    key = ObjectKey("users/u1/a1/clips/clip_01_01_größe_vertical.mp4")
    for cdn in ("https://cdn.example.com", ""):
        settings = load_settings({**VIRAL_CLIP, "R2_PUBLIC_URL": cdn, "MEDIAPLANE_STATE_DIR": str(tmp_path)})
        url = open_stores(settings, public_url="http://127.0.0.1:1", signing_key="k")["media"].signer.sign_get(key)
        assert ("X-Amz-Signature" in url) == (not cdn)
        assert url.startswith(f"{cdn}/users/u1/a1/clips/clip_01_01_gr%C3%B6%C3%9Fe_vertical.mp4") or not cdn
