"""The difference between wanted and found: rules compared as they work, and told as people read them."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.settings import load_settings
from mediaplane.storage.bucket.difference import Difference, compare, describe
from mediaplane.storage.bucket.found import Found
from mediaplane.storage.bucket.privacy import exposes
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.bucket.wanted import Wanted, want
from mediaplane.storage.providers import AWS, CEPH

LAYOUT = load_settings({"MEDIAPLANE_PROFILE": "cortana-vision"}).layout
RULES = BucketRules(
    cors_origins=("*",),
    upload_origins=("http://localhost:*", "https://*.xum-ai.app"),
    expire_days={"clip": 30, "temp/": 7},
    cold_days={"frame": 30},
    versioning=True,
    events="https://example.com/hook",
)
CEPH_WANTED = want(replace(RULES, cold_class="STANDARD_IA"), LAYOUT, CEPH, bucket="b", public=True)


def as_server(wanted: Wanted, seed: int = 0) -> Found:
    """The bucket after everything was written, told back as servers do: sorted, cased and wrapped in their way."""
    dice = random.Random(seed)
    rules: dict[str, list[dict[str, Any]]] = {}
    for wish in wanted.wishes:
        rule = {"Sid" if wish.setting == "policy" else "ID": wish.name, **wish.rule} if wish.name else dict(wish.rule)
        rules.setdefault(wish.setting, []).append(rule)
    for setting, written in rules.items():
        dice.shuffle(written)
        for rule in written:
            _respell(setting, rule, dice)
    return Found(exists=True, rules={setting: tuple(written) for setting, written in rules.items()})


def _respell(setting: str, rule: dict[str, Any], dice: random.Random) -> None:
    if setting == "cors":
        for name in ("AllowedOrigins", "AllowedMethods", "ExposeHeaders"):
            rule[name] = dice.sample(rule[name], len(rule[name]))
        rule["ExposeHeaders"] = [dice.choice((str.lower, str))(header) for header in rule["ExposeHeaders"]]
        if dice.random() < 0.3:
            rule.pop("ID")  # some servers keep none
    if setting == "lifecycle":
        filtered = rule.pop("Filter")
        spelling = dice.randrange(3)
        if spelling == 0:
            rule["Prefix"] = filtered["Prefix"]
        else:
            rule["Filter"] = {"And": {**filtered, "Tags": []}} if spelling == 1 else filtered
    if setting == "policy":
        rule["Principal"] = dice.choice(["*", {"AWS": "*"}, {"AWS": ["*"]}])
        rule["Action"] = dice.choice([rule["Action"], [rule["Action"]]])
        rule["Resource"] = dice.choice([rule["Resource"], [rule["Resource"]]])


def lines(difference: Difference) -> list[str]:
    return [f"{change.sign} {change.setting} {change.name}".strip() for change in difference.changes]


@given(st.integers(0, 10_000))
def test_bucket_as_it_was_written_is_clean(seed):
    """However a server sorts, cases, wraps or forgets what it was given."""
    found = as_server(CEPH_WANTED, seed)
    assert lines(compare(CEPH_WANTED, found, bucket="b")) == []


def test_missing_bucket_lacks_everything():
    """The bucket first, then every setting."""
    difference = compare(CEPH_WANTED, Found(exists=False), bucket="b")
    assert difference.changes[0].setting == "bucket"
    assert len(difference.changes) == 1 + len(CEPH_WANTED.wishes)
    assert {change.sign for change in difference.changes} == {"+"}


def test_rule_that_was_changed_by_hand_is_named_with_both_sides():
    """What it is to be, and what it is."""
    found = as_server(CEPH_WANTED)
    found.rules["lifecycle"] = tuple(
        {**rule, "Expiration": {"Days": 3}} if "clip" in rule["ID"] else rule for rule in found.rules["lifecycle"]
    )
    (change,) = compare(CEPH_WANTED, found, bucket="b").changes
    assert (change.sign, change.name) == ("~", "mediaplane-expire-clip")
    assert change.what == "videos/clips/ expires after 30 days"
    assert change.was == "videos/clips/ expires after 3 days"
    assert change.why


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"Status": "Disabled"}, "switched off"),
        ({"Filter": {"And": {"Prefix": "videos/clips/", "Tags": [{"Key": "a", "Value": "b"}]}}}, '"Tags"'),
    ],
)
def test_rule_that_was_weakened_is_no_longer_the_same(more, shown):
    """A rule that is switched off, or narrowed by a tag, is drift, and the line shows by what."""
    found = as_server(CEPH_WANTED)
    found.rules["lifecycle"] = tuple(
        {**{name: value for name, value in rule.items() if name != "Prefix"}, **more} if "clip" in rule["ID"] else rule
        for rule in found.rules["lifecycle"]
    )
    (change,) = compare(CEPH_WANTED, found, bucket="b").changes
    assert shown in change.was


def test_rules_of_others_stay_and_ours_that_nobody_wants_go():
    """An ID without our prefix is somebody else's."""
    found = as_server(CEPH_WANTED)
    found.rules["lifecycle"] += (
        {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}},
        {"ID": "mediaplane-old", "Status": "Enabled", "Filter": {"Prefix": "y/"}, "Expiration": {"Days": 1}},
    )
    found.rules["cors"] += ({"AllowedOrigins": ["https://theirs.example"], "AllowedMethods": ["GET"]},)
    assert lines(compare(CEPH_WANTED, found, bucket="b")) == ["- lifecycle mediaplane-old"]


def test_what_could_not_be_read_is_no_difference():
    """Unknown is told as unknown."""
    found = as_server(CEPH_WANTED)
    del found.rules["cors"]
    found.unknown["cors"] = "the keys may not read it"
    difference = compare(CEPH_WANTED, found, bucket="b")
    assert difference.clean
    assert difference.unknown == {"cors": "the keys may not read it"}


def test_versioning_never_switched_on_is_as_good_as_suspended():
    """A fresh bucket keeps no versions; one that the profile does not speak of is told."""
    off = want(BucketRules(versioning=False), LAYOUT, CEPH, bucket="b", public=False)
    found = as_server(off)
    assert lines(compare(off, replace_rules(found, versioning=()), bucket="b")) == []
    assert lines(compare(off, replace_rules(found, versioning=({"Status": "Enabled"},)), bucket="b")) == [
        "~ versioning"
    ]
    silent = want(BucketRules(), LAYOUT, CEPH, bucket="b", public=False)
    told = compare(silent, replace_rules(as_server(silent), versioning=({"Status": "Enabled"},)), bucket="b")
    assert "old versions" in told.notes[0]


def replace_rules(found: Found, **rules) -> Found:
    return Found(exists=True, rules={**found.rules, **rules})


PRIVATE = want(BucketRules(), LAYOUT, AWS, bucket="b", public=False)


def test_strangers_are_shut_out_of_a_private_bucket():
    """Grants and statements for everybody go, whoever wrote them; those for named users stay."""
    found = as_server(PRIVATE)
    found.rules["acl"] = ({"ID": "AllUsers READ", "Grantee": "AllUsers", "Permission": "READ"},)
    everyone = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    found.rules["policy"] = (
        {"ID": "Web", "Sid": "Web", "Principal": "*", **everyone},
        {"ID": "Ann", "Sid": "Ann", "Principal": {"AWS": "arn:aws:iam::1:user/ann"}, **everyone},
    )
    found.listed_by_anyone = True
    assert lines(compare(PRIVATE, found, bucket="b")) == ["- policy Web", "- acl AllUsers READ"]


def test_listing_by_strangers_that_nothing_explains_cannot_be_mended():
    """It is wrong all the same: the check fails, and the line says where to look."""
    found = as_server(PRIVATE)
    found.listed_by_anyone = True
    difference = compare(PRIVATE, found, bucket="b")
    assert [change.sign for change in difference.changes] == ["!"]
    assert not difference.mendable


GET = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize(
    ("statement", "private", "public"),
    [
        (GET, True, False),
        ({**GET, "Principal": {"AWS": ["arn:aws:iam::1:root", "*"]}}, True, False),
        ({**GET, "Principal": {"AWS": "arn:aws:iam::1:root"}}, False, False),
        ({**GET, "Effect": "Deny"}, False, False),
        ({**GET, "Action": ["s3:GetObject", "s3:ListBucket"]}, True, True),
        ({**GET, "Action": "s3:*"}, True, True),
        ({**GET, "Action": "s3:Get*"}, True, True),
        ({**GET, "Action": "s3:PutObject"}, True, True),
        ({"Effect": "Allow", "Principal": "*", "NotAction": "s3:PutObject", "Resource": "*"}, True, True),
        ({"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::1:root"}, "Action": "s3:ListBucket"}, True, True),
        ({**GET, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False, False),
        ({**GET, "Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}}, True, False),
        ({**GET, "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, True, False),
        ({**GET, "Condition": {"StringLike": {"aws:Referer": "https://example.com/*"}}}, True, False),
        ({**GET, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False, False),
    ],
)
def test_statement_that_lets_strangers_in(statement, private, public):
    """As Amazon decides what is public; on a public store reading by key is what it is for."""
    assert exposes(statement, public=False) == private
    assert exposes(statement, public=True) == public


def test_sentences():
    """Rules of others are told in the same words."""
    assert describe("acl", {"Grantee": "AllUsers", "Permission": "READ"}) == "AllUsers may READ"
    assert describe(
        "lifecycle", {"Prefix": "", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
    ) == ("old versions go after 3 days")
    assert describe("public access", {}) == "blocked: nothing"
    assert "everything but s3:PutObject" in describe("policy", {"NotAction": "s3:PutObject", "Resource": "*"})
