"""Who needs which permission: the least that gateway, worker and scanner can work with, as IAM or bucket policies.

What each may do is what its code calls, under the prefixes of the layout. None of them may list a bucket but the
scanner, under the originals' prefix, and the worker where it has to look for what has expired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediaplane.media.keys import Layout
from mediaplane.storage.bucket.targets import Target
from mediaplane.storage.bucket.wanted import expiries

ROLES = ("gateway", "worker", "scanner")
FORMATS = ("iam", "bucket")
OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")
_PARTS = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")  # the rest of a multipart upload is s3:PutObject
_VERSION = "2012-10-17"
_ARN = "arn:aws:s3:::"


@dataclass(frozen=True, slots=True)
class Grant:
    """Some actions on keys under some prefixes, or on the bucket where there are none."""

    name: str  # letters and digits only, as IAM wants a Sid
    actions: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()  # what may be asked for as the prefix of a listing


def grants(target: Target, role: str) -> tuple[Grant, ...]:
    """Return what `role` needs on one bucket: nothing where it has nothing to do there."""
    layout = target.layout
    if target.rules.keys == "objects":
        return (Grant("Objects", OBJECT_ACTIONS, _prefixes(layout)),) if role != "scanner" else ()
    originals, made = _split(layout)
    if role == "scanner":
        return tuple(Grant("Finds", ("s3:ListBucket",), listed=(prefix,)) for prefix in originals)
    if role == "gateway":
        found = [Grant("Reads", ("s3:GetObject",), _prefixes(layout))]
        if originals:
            found.append(Grant("Uploads", ("s3:PutObject", *_PARTS), originals))
        return tuple(found)
    return tuple(_of_worker(target, made))


def _of_worker(target: Target, made: tuple[str, ...]) -> Iterator[Grant]:
    everything = _prefixes(target.layout)
    yield Grant("ReadsAndDeletes", ("s3:GetObject", "s3:DeleteObject", *_PARTS), everything)
    if made:
        yield Grant("Writes", ("s3:PutObject",), made)
    yield Grant("FindsUnfinished", ("s3:ListBucketMultipartUploads",))
    searched = [expiry.prefix for expiry in expiries(target.rules, target.layout) if expiry.prefix]
    if searched and not target.endpoint.provider.lifecycle_expiry:
        yield Grant("FindsExpired", ("s3:ListBucket",), listed=tuple(searched))


def iam_policy(targets: Sequence[Target], role: str) -> dict[str, Any]:
    """Return the policy to attach to the role's own user: all its buckets."""
    found = [
        _statement(grant, target, f"{_sid(target)}{grant.name}" if len(targets) > 1 else grant.name)
        for target in targets
        for grant in grants(target, role)
    ]
    return {"Version": _VERSION, "Statement": found}


def bucket_policy(target: Target, principals: Mapping[str, str]) -> dict[str, Any]:
    """Return the policy to put on one bucket; `principals` are the ARNs of the roles' users.

    Roles that share a user, as with one key for all, share its statements.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for role, principal in principals.items():
        for grant in grants(target, role):
            sid = grant.name if target.rules.keys == "objects" else f"{role.title()}{grant.name}"
            statement = _statement(grant, target, sid)
            place = (sid, principal)
            found.setdefault(place, {**statement, "Principal": {"AWS": [principal]}})
    return {"Version": _VERSION, "Statement": list(found.values())}


def _statement(grant: Grant, target: Target, sid: str) -> dict[str, Any]:
    bucket = f"{_ARN}{target.endpoint.bucket}"
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": list(grant.actions)}
    if grant.prefixes:
        statement["Resource"] = [f"{bucket}/{prefix}*" for prefix in grant.prefixes]
    else:
        statement["Resource"] = [bucket]
    if any(grant.listed):
        # what is asked for has to begin so: an empty prefix lists everything
        statement["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in grant.listed]}}
    return statement


def _sid(target: Target) -> str:
    return "".join(part.title() for part in target.stores[0].replace("_", "-").split("-"))


def _split(layout: Layout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the prefixes of originals, and those of what is made from them."""
    originals = {role: layout.templates[role] for role in layout.templates if role == "original"}
    made = {role: layout.templates[role] for role in layout.templates if role != "original"}
    return _prefixes(Layout(originals)), _prefixes(Layout(made))


def _prefixes(layout: Layout) -> tuple[str, ...]:
    """Return the shortest prefixes that cover all roles."""
    found = sorted({layout.prefix(role) for role in layout.templates})
    return tuple(prefix for prefix in found if not any(prefix != other and prefix.startswith(other) for other in found))
