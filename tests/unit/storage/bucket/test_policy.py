"""The least permissions: each role gets what it calls, under the layout's prefixes, and no more."""

import json
from dataclasses import replace

import pytest

from mediaplane.settings import load_settings
from mediaplane.storage.bucket.policy import ROLES, bucket_policy, iam_policy
from mediaplane.storage.bucket.targets import Target, read_targets

S3 = {"S3_ENDPOINT": "https://s3.eu-west-1.amazonaws.com", "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b"}


def targets(profile: str, **env) -> list[Target]:
    return read_targets(load_settings({"MEDIAPLANE_PROFILE": profile, **S3, **env}))


def actions(policy) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("role", ROLES)
def test_role_stays_under_its_prefixes(role):
    """Nothing is granted on all keys, and listing only where a condition bounds it."""
    policy = iam_policy(targets("cortana-vision"), role)
    for statement in policy["Statement"]:
        assert not any(resource.endswith(":::cortana-vision-dev/*") for resource in statement["Resource"])
        if "s3:ListBucket" in statement["Action"]:
            assert statement["Condition"]["StringLike"]["s3:prefix"] == ["videos/original/*"]
        assert statement["Sid"].isalnum(), "IAM takes letters and digits only"


def test_roles_differ():
    """Only the worker deletes, only the scanner lists, nobody touches the bucket's settings."""
    (target,) = targets("cortana-vision")
    granted = {role: actions(iam_policy([target], role)) for role in ROLES}
    assert "s3:DeleteObject" not in granted["gateway"] | granted["scanner"]
    assert granted["scanner"] == {"s3:ListBucket"}
    assert "s3:ListBucket" not in granted["gateway"] | granted["worker"]
    assert not any(action.startswith("s3:PutBucket") or "*" in action for action in set().union(*granted.values()))


def test_bookmarkai_has_exactly_three_actions():
    """Put, get and delete under its prefixes, for all roles alike; its scanner has nothing to look with."""
    (target,) = targets("bookmarkai", S3_MEDIA_BUCKET="media")
    for role in ("gateway", "worker"):
        policy = iam_policy([target], role)
        assert actions(policy) == {"s3:PutObject", "s3:GetObject", "s3:DeleteObject"}
        (statement,) = policy["Statement"]
        assert "arn:aws:s3:::media/temp/videos/*" in statement["Resource"]
        assert "Condition" not in statement
    assert iam_policy([target], "scanner")["Statement"] == []
    whole = bucket_policy(target, dict.fromkeys(ROLES, "arn:aws:iam:::user/one"))
    assert len(whole["Statement"]) == 1, "one user, one statement"


def test_stores_get_what_lies_in_them():
    """Of two buckets the gateway uploads to one and reads from both."""
    raw, out = targets("mpr")
    uploads = [entry for entry in iam_policy([raw, out], "gateway")["Statement"] if "s3:PutObject" in entry["Action"]]
    assert [entry["Resource"] for entry in uploads] == [["arn:aws:s3:::mpr-in/*"]]
    sids = [entry["Sid"] for entry in iam_policy([raw, out], "worker")["Statement"]]
    assert len(sids) == len(set(sids))


def test_worker_may_look_for_what_expired_where_the_provider_does_not():
    """Listing is granted under the prefixes that expire, and only where our own job has to look."""
    (target,) = targets("cortana-vision")
    seaweed = replace(target, endpoint=replace(target.endpoint, provider_name="seaweedfs"))
    listing = [entry for entry in iam_policy([seaweed], "worker")["Statement"] if "s3:ListBucket" in entry["Action"]]
    assert [entry["Condition"]["StringLike"]["s3:prefix"] for entry in listing] == [["videos/clips/*"]]


def test_bucket_policy_names_its_users():
    """A statement a role, and valid JSON of a size that S3 takes."""
    (target,) = targets("cortana-vision")
    policy = bucket_policy(target, {role: f"arn:aws:iam::1:user/{role}" for role in ROLES})
    assert {entry["Principal"]["AWS"][0].rpartition("/")[2] for entry in policy["Statement"]} == set(ROLES)
    assert len(json.dumps(policy)) < 20 << 10  # Source: Amazon S3 User Guide, "Bucket policies": 20 KB
