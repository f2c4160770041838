"""Changing a bucket's settings: only what differs, and never a rule of somebody else's that harms nobody."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mediaplane.errors import AccessDenied, StorageError
from mediaplane.storage.bucket.difference import (
    SETTINGS,
    Difference,
    compare,
    is_removable,
    match,
)
from mediaplane.storage.bucket.events import write_events
from mediaplane.storage.bucket.found import Found, find
from mediaplane.storage.bucket.privacy import group_of
from mediaplane.storage.bucket.targets import Target
from mediaplane.storage.bucket.wanted import Rule, Wanted, Wish
from mediaplane.storage.buckets import ensure_bucket, exists, open_client
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated

_PERMISSIONS = {
    "cors": "s3:PutBucketCORS",
    "lifecycle": "s3:PutLifecycleConfiguration",
    "versioning": "s3:PutBucketVersioning",
    "encryption": "s3:PutEncryptionConfiguration",
    "access logs": "s3:PutBucketLogging",
    "events": "s3:PutBucketNotification",
    "policy": "s3:PutBucketPolicy",
    "acl": "s3:PutBucketAcl",
    "public access": "s3:PutBucketPublicAccessBlock",
}


def plan(endpoint: S3Endpoint, wanted: Wanted) -> Difference:
    """Return what is to be changed: about ten requests, none of which changes anything.

    Raises:
        AccessDenied: the keys are wrong altogether.
        StorageError: the endpoint cannot be reached, or fails.
    """
    return compare(wanted, find(endpoint, wanted), bucket=endpoint.bucket)


def apply(
    endpoint: S3Endpoint, wanted: Wanted, agreed: Difference | None = None, *, only: Collection[str] = SETTINGS
) -> Difference:
    """Make the agreed changes, or all that are due, and return what then still differs; `only` some settings.

    Raises:
        AccessDenied: the keys may not; what came before is done.
        StorageError: the bucket is no longer what was agreed on, or the server refuses.
    """
    found = find(endpoint, wanted)
    changes = compare(wanted, found, bucket=endpoint.bucket).changes
    if agreed and changes != agreed.changes:
        raise StorageError(f"bucket {endpoint.bucket} was changed by somebody else meanwhile: plan again")
    due = {change.setting for change in changes} & set(only)
    if "bucket" in due:
        ensure_bucket(endpoint)
        # a fresh bucket has settings of its own by now: Amazon blocks public access, R2 aborts uploads
        found = find(endpoint, wanted)
        due = {change.setting for change in compare(wanted, found, bucket=endpoint.bucket).changes} & set(only)
    client = open_client(endpoint)
    for setting in _in_order(due, public=wanted.public):
        try:
            with translated(f"bucket {endpoint.bucket}, {setting}", endpoint.url):
                _WRITERS[setting](client, endpoint, wanted, found)
        except AccessDenied as error:
            if not error.keys_known:
                raise
            problem = f"the keys may not change its {setting}: {_PERMISSIONS[setting]} is missing"
            raise AccessDenied(f"bucket {endpoint.bucket}", problem, keys_known=True) from error
    return plan(endpoint, wanted)


def prepare(target: Target) -> list[str]:
    """Do what every start does: make a bucket that is missing, and let browsers read from it; return remarks.

    A bucket that is made here, or is on our own server, gets all its settings. One that was there before keeps them but
    for CORS, which takes nothing away; `bucket apply` is for the rest.

    Raises:
        AccessDenied: the keys are wrong altogether.
        StorageError: the endpoint cannot be reached, or fails.
    """
    endpoint, wanted = target.endpoint, target.wanted
    if target.rules.keys == "objects" and not target.embedded:
        return []  # such keys may do nothing with a bucket
    if not target.rules.managed and not target.embedded:
        if exists(endpoint):
            return []
        return [f"bucket {endpoint.bucket} does not exist: make it, or `mediaplane bucket apply --force` does"]
    due = plan(endpoint, wanted)
    fresh = any(change.setting == "bucket" for change in due.changes)
    only = SETTINGS if fresh or target.embedded else ("cors",)
    if not any(change.setting in only for change in due.changes):
        return [_cors_remark(endpoint)] if "cors" in due.unknown else []
    try:
        apply(endpoint, wanted, only=only)
    except AccessDenied as error:
        return [error.message, *([_cors_remark(endpoint)] if not fresh else [])]
    return []


def _cors_remark(endpoint: S3Endpoint) -> str:
    return f"the keys may not set CORS on {endpoint.bucket}: browsers play only if its rules allow GET and HEAD"


def _in_order(settings: Collection[str], *, public: bool) -> list[str]:
    """Return the settings in the order in which each is allowed: a public policy comes after its block has gone."""
    ordered = [setting for setting in SETTINGS if setting in settings and setting in _WRITERS]
    if public and "public access" in ordered:
        ordered.remove("public access")
        ordered.insert(0, "public access")
    return ordered


def _merged(setting: str, wanted: Wanted, found: Found) -> tuple[list[tuple[Wish, Rule]], list[Rule]]:
    """Return the wished rules, each with its ID, and the rules of others that stay."""
    rules = found.rules.get(setting, ())
    wishes = wanted.of(setting)
    replaced = [match(setting, wish, rules) for wish in wishes]
    others = [
        rule
        for rule in rules
        if not any(rule is one for one in replaced) and not is_removable(setting, rule, public=wanted.public)
    ]
    return [(wish, wish.rule) for wish in wishes], others


def _write_cors(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    """Write the rules, those for all pages last: servers take the first that fits."""
    ours, others = _merged("cors", wanted, found)
    rules = [{"ID": wish.name, **rule} for wish, rule in ours] + others
    rules.sort(key=lambda rule: "*" in rule["AllowedOrigins"])
    if rules:
        client.put_bucket_cors(Bucket=endpoint.bucket, CORSConfiguration={"CORSRules": rules})
    else:
        client.delete_bucket_cors(Bucket=endpoint.bucket)


def _write_lifecycle(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    ours, others = _merged("lifecycle", wanted, found)
    rules = [{"ID": wish.name, **rule} for wish, rule in ours] + [_with_filter(rule) for rule in others]
    if not rules:
        client.delete_bucket_lifecycle(Bucket=endpoint.bucket)
        return
    size = found.raw.get("lifecycle")
    more = {"TransitionDefaultMinimumObjectSize": size} if size else {}
    client.put_bucket_lifecycle_configuration(Bucket=endpoint.bucket, LifecycleConfiguration={"Rules": rules}, **more)


def _with_filter(rule: Rule) -> Rule:
    """Return a rule of the old form, prefix beside the filter, in the new one: the two may not be mixed.

    Source: Amazon S3 API Reference, PutBucketLifecycleConfiguration, `Prefix`.
    """
    if "Prefix" not in rule:
        return rule
    kept = {name: value for name, value in rule.items() if name != "Prefix"}
    return {"Filter": {"Prefix": rule["Prefix"]}, **kept}


def _write_versioning(client: Any, endpoint: S3Endpoint, wanted: Wanted, _found: Found) -> None:
    client.put_bucket_versioning(Bucket=endpoint.bucket, VersioningConfiguration=dict(_value("versioning", wanted)))


def _write_encryption(client: Any, endpoint: S3Endpoint, wanted: Wanted, _found: Found) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": dict(_value("encryption", wanted))}
    client.put_bucket_encryption(Bucket=endpoint.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _write_access_logs(client: Any, endpoint: S3Endpoint, wanted: Wanted, _found: Found) -> None:
    status = {"LoggingEnabled": dict(_value("access logs", wanted))}
    client.put_bucket_logging(Bucket=endpoint.bucket, BucketLoggingStatus=status)


def _write_public_access(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    before = next(iter(found.rules.get("public access", ())), {})
    block = {**before, **_value("public access", wanted)}
    client.put_public_access_block(Bucket=endpoint.bucket, PublicAccessBlockConfiguration=block)


def _value(setting: str, wanted: Wanted) -> Rule:
    return wanted.of(setting)[0].rule


def _write_policy(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    ours, others = _merged("policy", wanted, found)
    statements = [{name: value for name, value in rule.items() if name != "ID"} for rule in others]
    statements += [{"Sid": wish.name, **rule} for wish, rule in ours]
    if statements:
        document = {"Version": "2012-10-17", **found.raw.get("policy", {}), "Statement": statements}
        client.put_bucket_policy(Bucket=endpoint.bucket, Policy=json.dumps(document))
    else:
        client.delete_bucket_policy(Bucket=endpoint.bucket)


def _write_acl(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    """Take away what groups of strangers may do; grants to accounts stay."""
    if wanted.of("acl"):
        client.put_bucket_acl(Bucket=endpoint.bucket, ACL="public-read")
        return
    acl = found.raw["acl"]
    grants = [grant for grant in acl["Grants"] if not group_of(grant)]
    client.put_bucket_acl(Bucket=endpoint.bucket, AccessControlPolicy={"Owner": acl["Owner"], "Grants": grants})


_WRITERS: Mapping[str, Callable[[Any, S3Endpoint, Wanted, Found], None]] = {
    "versioning": _write_versioning,
    "encryption": _write_encryption,
    "access logs": _write_access_logs,
    "cors": _write_cors,
    "lifecycle": _write_lifecycle,
    "events": write_events,
    "policy": _write_policy,
    "acl": _write_acl,
    "public access": _write_public_access,
}
