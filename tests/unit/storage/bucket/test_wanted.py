"""From a profile's rules to S3's: what is wished for, what the provider cannot do, and that no rule takes too much."""

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.keys import Layout
from mediaplane.settings import load_settings
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.bucket.wanted import Cannot, Wanted, event_kind, expiries, want
from mediaplane.storage.providers import AWS, CEPH, GOOGLE, HETZNER, MINIO, OTHER, PROVIDERS, R2, SEAWEEDFS

CORTANA = load_settings({"MEDIAPLANE_PROFILE": "cortana-vision"}).layout
USERS = Layout(  # as `viral-clip` has it: everything of a user under one prefix
    {
        "original": "users/{uid}/{asset_id}/original.{ext}",
        "clip": "users/{uid}/{asset_id}/clips/{name}.mp4",
        "log": "logs/{job_id}.json",
    }
)
RULES = BucketRules(expire_days={"clip": 30, "temp/": 7}, cold_days={"frame": 30})


def wanted(rules=RULES, layout=CORTANA, provider=AWS, *, public=False) -> Wanted:
    return want(rules, layout, provider, bucket="b", public=public)


def rule_of(found: Wanted, name: str):
    return next(wish.rule for wish in found.wishes if wish.name == name)


def cannot(found: Wanted, setting: str) -> list[Cannot]:
    return [entry for entry in found.cannot if entry.setting == setting]


def test_lifecycle_of_a_layout():
    """Clips and temporary things expire, frames get colder, abandoned uploads end; prefixes are the layout's."""
    found = wanted()
    assert rule_of(found, "mediaplane-expire-clip") == {
        "Status": "Enabled",
        "Filter": {"Prefix": "videos/clips/"},
        "Expiration": {"Days": 30},
    }
    assert rule_of(found, "mediaplane-expire-temp")["Filter"] == {"Prefix": "temp/"}
    assert rule_of(found, "mediaplane-cold-frame")["Transitions"] == [{"Days": 30, "StorageClass": "STANDARD_IA"}]
    assert rule_of(found, "mediaplane-unfinished")["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not found.cannot


def test_rule_on_a_shared_prefix_is_refused():
    """Clips below `users/` are expired by rows: a rule on that prefix would take the originals too."""
    found = wanted(replace(RULES, expire_days={"clip": 30, "log": 7}), USERS)
    assert [wish.name for wish in found.of("lifecycle")] == ["mediaplane-expire-log", "mediaplane-unfinished"]
    (told,) = cannot(found, "lifecycle")
    assert "users/" in told.what
    assert "retention job" in told.instead


def test_prefix_with_hls_in_it_never_expires():
    """What a profile names itself is meant, but neither a playlist without its segments nor a row without its bytes."""
    rules = BucketRules(expire_days={"videos/": 7, "videos/proxy/x/": 7, "thumbs/": 7, "frame": 7})
    assert [(expiry.subject, expiry.prefix) for expiry in expiries(rules, CORTANA)] == [
        ("frame", ""),  # debug pictures lie below it, and have rows of their own
        ("thumbs/", "thumbs/"),
        ("videos/", ""),
        ("videos/proxy/x/", ""),
    ]


def test_provider_without_lifecycle_leaves_it_to_us():
    """What it cannot do is said, with who does it."""
    found = wanted(provider=GOOGLE)
    assert found.of("lifecycle") == ()
    assert [("retention job" in entry.instead, "own job" in entry.instead) for entry in cannot(found, "lifecycle")] == [
        (True, False),
        (True, False),
        (False, False),
        (False, True),
    ]
    assert "STALE_UPLOADS" in cannot(wanted(provider=MINIO), "lifecycle")[-1].instead


def test_colder_class_is_named_where_only_the_operator_knows_it():
    """Ceph's classes are its operator's: the profile names one, or is asked to."""
    assert "cold_class" in cannot(wanted(provider=CEPH), "lifecycle")[0].instead
    found = wanted(replace(RULES, cold_class="COLD"), provider=CEPH)
    assert rule_of(found, "mediaplane-cold-frame")["Transitions"][0]["StorageClass"] == "COLD"
    assert "stays" in cannot(wanted(provider=HETZNER), "lifecycle")[0].instead


def test_cors_names_each_origin_once():
    """RGW looks only at the first rule that names an origin: pages that upload must find reading there as well."""
    found = wanted(BucketRules(cors_origins=("*", "https://a.example"), upload_origins=("https://a.example",)))
    upload, read = found.of("cors")
    assert upload.rule["AllowedOrigins"] == ["https://a.example"]
    assert {"GET", "HEAD", "PUT"} <= set(upload.rule["AllowedMethods"])
    assert "ETag" in upload.rule["ExposeHeaders"]
    assert (read.rule["AllowedOrigins"], read.rule["AllowedMethods"]) == (["*"], ["GET", "HEAD"])
    assert wanted(BucketRules(cors_origins=(), upload_origins=())).of("cors") == ()
    assert "POST" not in wanted(BucketRules(), provider=R2).of("cors")[0].rule["AllowedMethods"]


def test_cors_where_the_server_sets_it():
    """MinIO and Google have no CORS by this API; what to do instead is said."""
    assert "MINIO_API_CORS" in cannot(wanted(provider=MINIO), "cors")[0].instead
    assert "gcloud" in cannot(wanted(provider=GOOGLE), "cors")[0].instead


def test_privacy_of_the_two_tiers():
    """A private store has everything public blocked; a public one is read by key, and never listed."""
    private, public = wanted(), wanted(public=True)
    assert set(private.of("public access")[0].rule.values()) == {True}
    assert private.of("policy") == ()
    block = public.of("public access")[0].rule
    assert block["IgnorePublicAcls"]
    assert not block["BlockPublicPolicy"]
    (statement,) = public.of("policy")
    assert (statement.rule["Action"], statement.rule["Resource"]) == ("s3:GetObject", "arn:aws:s3:::b/*")
    assert "public_url" in cannot(wanted(provider=R2, public=True), "policy")[0].instead


def test_block_on_ceph_leaves_policies_to_named_users():
    """radosgw 16 takes every policy for public: with the block nobody could be given a permission."""
    assert set(wanted(provider=CEPH).of("public access")[0].rule) == {"IgnorePublicAcls"}


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("https://example.com/hook", "webhook"),
        ("arn:aws:sqs:eu-west-1:1:q", "sqs"),
        ("arn:minio:sqs::_:webhook", "sqs"),
        ("arn:aws:lambda:eu-west-1:1:function:f", "lambda"),
        ("eventbridge", "eventbridge"),
    ],
)
def test_kind_of_a_listener(target, kind):
    """By the URL's scheme or the ARN's service."""
    assert event_kind(target) == kind


def test_events_go_to_who_can_be_told():
    """A webhook on Ceph, queues on Amazon; elsewhere it is said, without the password of the URL."""
    rules = BucketRules(events="https://me:secret@example.com/hook")
    (wish,) = wanted(rules, provider=CEPH).of("events")
    assert (wish.rule["Kind"], wish.rule["Prefix"]) == ("webhook", "videos/original/")
    (told,) = cannot(wanted(rules), "events")
    assert "secret" not in told.what + told.instead
    ours = BucketRules(events="https://media.example.com/v1/events/s3/secret")
    (told_ours,) = cannot(wanted(ours), "events")
    assert "secret" not in told_ours.what + told_ours.instead and "***" in told_ours.what
    assert "sqs" in told.instead
    assert wanted(rules, Layout({"clip": "c/{clip_id}"}), CEPH).of("events") == ()


def test_old_versions_go_at_last():
    """Who keeps versions keeps them for a time: deleted is to be deleted."""
    found = wanted(BucketRules(versioning=True, old_version_days=9))
    assert rule_of(found, "mediaplane-old-versions")["NoncurrentVersionExpiration"] == {"NoncurrentDays": 9}
    assert cannot(wanted(BucketRules(versioning=True), provider=R2), "versioning")
    assert wanted().of("versioning") == ()


def test_encryption_and_logs_where_there_are_any():
    """By the provider, or said."""
    rules = BucketRules(encryption="aws:kms:arn:aws:kms:eu-west-1:1:key/k", access_logs="logs/raw/")
    found = wanted(rules)
    assert found.of("encryption")[0].rule == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "arn:aws:kms:eu-west-1:1:key/k",
    }
    assert found.of("access logs")[0].rule == {"TargetBucket": "logs", "TargetPrefix": "raw/"}
    assert {entry.setting for entry in wanted(rules, provider=OTHER).cannot} >= {"encryption", "access logs"}
    assert wanted(BucketRules(encryption="aws:kms")).of("encryption")[0].rule == {"SSEAlgorithm": "aws:kms"}


NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3)
TEMPLATES = st.lists(st.one_of(NAMES, st.just("{asset_id}"), st.just("{name}")), min_size=1, max_size=4).map("/".join)
LAYOUTS = st.dictionaries(
    st.sampled_from(["original", "segment", "playlist", "clip", "frame", "log", "poster"]), TEMPLATES, min_size=1
).map(Layout)


@given(LAYOUTS, st.data())
def test_no_expiry_rule_reaches_another_role(layout, data):
    """Whatever the layout: a key of one role never begins with the prefix that another role's rule removes."""
    subjects = sorted(set(layout.templates) - {"segment", "playlist"})
    rules = BucketRules(expire_days=dict.fromkeys(subjects, 1))
    roles = list(layout.templates)
    filled = {name: data.draw(NAMES, label=name) for name in ("asset_id", "name")}
    for provider in PROVIDERS:
        for wish in want(rules, layout, provider, bucket="b", public=False).of("lifecycle"):
            subject = wish.name.removeprefix("mediaplane-expire-")
            if subject not in layout.templates:
                continue
            prefix = wish.rule["Filter"]["Prefix"]
            assert prefix
            for role in roles:
                assert role == subject or not layout.templates[role].format(**filled).startswith(prefix)


def test_every_wish_is_of_a_setting_its_provider_declares():
    """SeaweedFS makes a bucket where logging is put, Ceph deletes one: nothing undeclared is ever written."""
    rules = BucketRules(
        expire_days={"clip": 30},
        cold_days={"frame": 30},
        versioning=True,
        encryption="AES256",
        access_logs="l",
        events="https://e.example",
    )
    abilities = {
        "cors": "cors", "versioning": "versioning", "encryption": "default_encryption", "access logs": "access_logs",
        "events": "event_targets", "policy": "bucket_policy", "acl": "bucket_acl",
        "public access": "public_access_block",
    }  # fmt: skip
    for provider in PROVIDERS:
        for public in (False, True):
            for wish in wanted(rules, provider=provider, public=public).wishes:
                if wish.setting == "lifecycle":
                    assert provider.lifecycle_expiry or provider.lifecycle_abort
                else:
                    assert getattr(provider, abilities[wish.setting]), (provider.name, wish)
    assert not wanted(rules, provider=SEAWEEDFS).of("lifecycle")


def test_star_that_the_provider_does_not_take_is_told():
    """SeaweedFS knows it right behind the scheme only; the origins it knows are still written."""
    found = wanted(BucketRules(upload_origins=("http://localhost:*", "https://*.xum-ai.app")), provider=SEAWEEDFS)
    assert [wish.rule["AllowedOrigins"] for wish in found.of("cors")] == [["https://*.xum-ai.app"], ["*"]]
    assert [entry.what for entry in cannot(found, "cors")] == ["pages of http://localhost:*"]
