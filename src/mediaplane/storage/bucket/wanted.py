"""What a bucket is wanted to be like: the profile's rules in S3's own words, and what its provider cannot do.

Pure: nothing is asked, so all of it is tested without a server.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mediaplane.media.keys import Layout
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.providers import Provider

Rule = Mapping[str, Any]

OURS = "mediaplane-"  # begins the ID of every rule of ours; rules without it are somebody else's and stay
PUBLIC_READ_SID = "MediaplanePublicRead"  # AWS takes letters and digits only
CORS_SECONDS = 3600
_EXPOSED = ("Content-Length", "Content-Range", "ETag")
_GO_TOGETHER = {"clip": ("thumbnail",)}  # roles whose keys lie among another's, and that expire with it
_COMPANIONS = {"frame": ("debug",), **_GO_TOGETHER}  # and that may get colder with it


@dataclass(frozen=True, slots=True)
class Wish:
    """One rule or value that a setting of the bucket is to have."""

    setting: str  # of `SETTINGS`
    name: str  # its ID; empty where the setting is one value
    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Cannot:
    """What is wanted and the provider cannot do."""

    setting: str
    what: str
    instead: str  # who does it then, or what to set


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is removed after some days: by role, under `prefix` where that prefix is of nothing else."""

    subject: str  # a role of the layout, or a prefix of the bucket
    prefix: str  # empty: other things lie there too, so only rows tell what to remove
    days: int

    @property
    def role(self) -> str:
        """The role, empty where the subject is a prefix."""
        return "" if self.subject.endswith("/") else self.subject


@dataclass(frozen=True, slots=True)
class Wanted:
    """All wishes for one bucket, and what cannot be had."""

    public: bool
    wishes: tuple[Wish, ...]
    cannot: tuple[Cannot, ...]

    def of(self, setting: str) -> tuple[Wish, ...]:
        """Return the wishes for one setting."""
        return tuple(wish for wish in self.wishes if wish.setting == setting)


def want(rules: BucketRules, layout: Layout, provider: Provider, *, bucket: str, public: bool) -> Wanted:
    """Return what the bucket is to be like; `layout` has the roles that are kept in this store."""
    parts = [
        *_cors(rules, provider),
        *_lifecycle(rules, layout, provider),
        *_versioning(rules, provider),
        *_values(rules, provider),
        *_events(rules, layout, provider),
        *_privacy(provider, bucket, public=public),
    ]
    wishes = tuple(part for part in parts if isinstance(part, Wish))
    return Wanted(public, wishes, tuple(part for part in parts if isinstance(part, Cannot)))


def expiries(rules: BucketRules, layout: Layout) -> tuple[Expiry, ...]:
    """Return what expires in a store with these roles."""
    return tuple(
        Expiry(subject, _own_prefix(subject, layout, with_it=_GO_TOGETHER.get(subject, ())), days)
        for subject, days in sorted(rules.expire_days.items())
        if days and _concerns(subject, layout)
    )


def _cors(rules: BucketRules, provider: Provider) -> Iterator[Wish | Cannot]:
    """Yield one rule for the pages that may write, then one for those that may only read.

    No origin stands in both: RGW looks only at the first rule that names the origin, whatever its methods.
    """
    writers = rules.upload_origins
    readers = tuple(origin for origin in rules.cors_origins if origin not in writers)
    if not provider.cors:
        if writers or readers:
            yield Cannot("cors", "which pages may read and upload", _CORS_ELSEWHERE.get(provider.name, _SET_BY_HAND))
        return
    if not provider.cors_star_anywhere:
        writers, readers = (
            tuple(origin for origin in origins if _star_leads(origin)) for origins in (writers, readers)
        )
        for origin in sorted({*rules.upload_origins, *rules.cors_origins} - {*writers, *readers}):
            yield Cannot(
                "cors", f"pages of {origin}", f"{provider.name} takes a * only right behind ://: name the rest"
            )
    if writers:
        methods = ("GET", "HEAD", "PUT", "POST") if provider.post_policy else ("GET", "HEAD", "PUT")
        yield _cors_rule("upload", writers, methods, "browsers upload straight to the bucket and play")
    if readers:
        yield _cors_rule("read", readers, ("GET", "HEAD"), "players in a browser read playlists, segments and ranges")


_SET_BY_HAND = "set it in the provider's console"
_CORS_ELSEWHERE = {
    "google": "set it with `gcloud storage buckets update --cors-file`",
    "minio": "MinIO lets all pages in; MINIO_API_CORS_ALLOW_ORIGIN of the server narrows that",
}


def _star_leads(origin: str) -> bool:
    return "*" not in origin or origin == "*" or "://*" in origin


def _cors_rule(name: str, origins: tuple[str, ...], methods: tuple[str, ...], why: str) -> Wish:
    rule = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": list(methods),
        "AllowedHeaders": ["*"],
        "ExposeHeaders": list(_EXPOSED),
        "MaxAgeSeconds": CORS_SECONDS,
    }
    return Wish("cors", OURS + name, rule, why)


def _lifecycle(rules: BucketRules, layout: Layout, provider: Provider) -> Iterator[Wish | Cannot]:
    for expiry in expiries(rules, layout):
        what = f"{expiry.subject} expires after {expiry.days} days"
        if not expiry.prefix:
            shared = f"{what}: its keys share their prefix {_prefix(expiry.subject, layout)!r} with others'"
            yield Cannot("lifecycle", shared, "mediaplane's retention job removes what has a row")
        elif not provider.lifecycle_expiry:
            yield Cannot("lifecycle", f"{what} ({expiry.prefix})", "mediaplane's retention job does it, once a day")
        else:
            rule = {"Filter": {"Prefix": expiry.prefix}, "Expiration": {"Days": expiry.days}}
            why = "what nobody asked for again is not kept; mediaplane removes the rows"
            yield _lifecycle_rule(f"expire-{_slug(expiry.subject)}", rule, why)
    for subject, days in sorted(rules.cold_days.items()):
        if days and _concerns(subject, layout):
            yield _cold(subject, days, rules, layout, provider)
    if rules.unfinished_days:
        if provider.lifecycle_abort:
            rule = {
                "Filter": {"Prefix": ""},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": rules.unfinished_days},
            }
            yield _lifecycle_rule(
                "unfinished", rule, "parts of abandoned uploads are paid for and no listing shows them"
            )
        else:
            what = f"abandoned multipart uploads are aborted after {rules.unfinished_days} days"
            yield Cannot("lifecycle", what, _ABORTED_BY.get(provider.name, "mediaplane's own job aborts them"))


# Source: MinIO documentation, "S3 API compatibility": it lists the uploads of one key only, so nobody else can.
_ABORTED_BY = {"minio": "MinIO does it by itself after a day (MINIO_API_STALE_UPLOADS_EXPIRY)"}


def _cold(subject: str, days: int, rules: BucketRules, layout: Layout, provider: Provider) -> Wish | Cannot:
    what = f"{subject} moves to a colder class after {days} days"
    prefix = _own_prefix(subject, layout, with_it=_COMPANIONS.get(subject, ()))
    cold_class = rules.cold_class or provider.colder_class
    if not provider.lifecycle_transition:
        return Cannot("lifecycle", what, f"{provider.name} moves nothing: it stays in its class")
    if not prefix:
        shared = f"{what}: its keys share their prefix {_prefix(subject, layout)!r} with others'"
        return Cannot("lifecycle", shared, "give the role a prefix of its own in [layout]")
    if not cold_class:
        return Cannot("lifecycle", what, "name a class that the operator has set up: [bucket] cold_class")
    rule = {"Filter": {"Prefix": prefix}, "Transitions": [{"Days": days, "StorageClass": cold_class}]}
    return _lifecycle_rule(f"cold-{_slug(subject)}", rule, "it is seldom read again, and cheaper there")


def _lifecycle_rule(name: str, rule: Rule, why: str) -> Wish:
    return Wish("lifecycle", OURS + name, {"Status": "Enabled", **rule}, why)


def _versioning(rules: BucketRules, provider: Provider) -> Iterator[Wish | Cannot]:
    if rules.versioning is None:
        return
    if not provider.versioning:
        if rules.versioning:
            yield Cannot("versioning", "old versions are kept", f"{provider.name} has none: keep copies elsewhere")
        return
    why = "what was deleted or overwritten can be had back" if rules.versioning else "deleting removes the bytes"
    yield Wish("versioning", "", {"Status": "Enabled" if rules.versioning else "Suspended"}, why)
    if rules.versioning and rules.old_version_days and provider.lifecycle_expiry:
        rule = {
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": rules.old_version_days},
        }
        yield _lifecycle_rule("old-versions", rule, "deleted bytes go at last, and are not paid for for ever")


def _values(rules: BucketRules, provider: Provider) -> Iterator[Wish | Cannot]:
    if rules.encryption:
        if provider.default_encryption:
            algorithm, _, key = rules.encryption.partition("aws:kms:")
            value = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": algorithm}
            yield Wish("encryption", "", value, "bytes lie encrypted on the provider's disks")
        else:
            yield Cannot("encryption", f"new objects are encrypted with {rules.encryption}", _NO_ENCRYPTION)
    if rules.access_logs:
        if provider.access_logs:
            target, _, prefix = rules.access_logs.partition("/")
            yield Wish(
                "access logs", "", {"TargetBucket": target, "TargetPrefix": prefix}, "who read what is on record"
            )
        else:
            yield Cannot("access logs", f"requests are logged to {rules.access_logs}", _NO_LOGS)


_NO_ENCRYPTION = "the operator encrypts the disks, or set [bucket] encryption to nothing"
_NO_LOGS = "the gateway's own log has what goes through it; signed URLs are not seen there"


def _events(rules: BucketRules, layout: Layout, provider: Provider) -> Iterator[Wish | Cannot]:
    if not rules.events or "original" not in layout.templates:
        return
    kind = event_kind(rules.events)
    if kind not in provider.event_targets:
        known = ", ".join(provider.event_targets) or "nobody"
        instead = f"{provider.name} can tell {known}; docs/arrivals.md has other ways, `mediaplane scan` finds the rest"
        yield Cannot("events", f"new originals are told to {hide_password(rules.events)}", instead)
        return
    rule = {
        "Kind": kind,
        "Target": rules.events,
        "Events": [] if kind == "eventbridge" else ["s3:ObjectCreated:*"],
        "Prefix": "" if kind == "eventbridge" else layout.prefix("original"),
    }
    name = "eventbridge" if kind == "eventbridge" else OURS + "originals"
    yield Wish("events", name, rule, "an original that was put into the bucket is found at once")


def event_kind(target: str) -> str:
    """Return what kind of listener a URL, an ARN or `eventbridge` is, as providers declare them."""
    if target.startswith(("http://", "https://")):
        return "webhook"
    return target.split(":")[2] if target.startswith("arn:") and target.count(":") >= 2 else target


def hide_password(url: str) -> str:
    """Return the URL without a password that stands in it, or the secret behind our own address for notices."""
    return re.sub(r"(/v1/events/s3/)[^/?#]+", r"\1***", re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url))


def _privacy(provider: Provider, bucket: str, *, public: bool) -> Iterator[Wish | Cannot]:
    if provider.public_access_block:
        block = {"IgnorePublicAcls": True, **({"BlockPublicAcls": True} if provider.public_acl_block else {})}
        if public or provider.public_policy_block:
            block |= dict.fromkeys(("BlockPublicPolicy", "RestrictPublicBuckets"), not public)
        why = "only the bucket policy lets anyone read" if public else "nothing in it can become public by mistake"
        yield Wish("public access", "", block, why)
    if not public:
        return
    if provider.bucket_policy:
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        yield Wish("policy", PUBLIC_READ_SID, statement, "the store is public: its objects have plain URLs")
    elif provider.bucket_acl:
        yield Wish("acl", "AllUsers READ", {"Grantee": "AllUsers", "Permission": "READ"}, "the store is public")
    else:
        instead = "connect a domain to the bucket in the provider's console and set its URL as public_url"
        yield Cannot("policy", "anyone may read its objects", instead)


def _concerns(subject: str, layout: Layout) -> bool:
    """Return whether the store keeps such objects: a prefix is one of the bucket, whatever the layout."""
    return subject.endswith("/") or subject in layout.templates


def _prefix(subject: str, layout: Layout) -> str:
    return subject if subject.endswith("/") else layout.prefix(subject)


def _own_prefix(subject: str, layout: Layout, *, with_it: tuple[str, ...]) -> str:
    """Return the prefix under which nothing else can lie, or nothing.

    A rule on a shared prefix would take along what it is not about: `users/` is where the clips of one layout
    begin, and its originals too. A prefix that the profile names itself is meant, but never one with HLS or clips in
    it, whose rows do not go by their age.
    """
    prefix = _prefix(subject, layout)
    others = ("segment", "playlist", "clip") if subject.endswith("/") else tuple(layout.templates)
    for other in others:
        if other not in (subject, *with_it) and other in layout.templates:
            others_prefix = layout.prefix(other)
            if others_prefix.startswith(prefix) or prefix.startswith(others_prefix):
                return ""
    return prefix


def _slug(subject: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", subject).strip("-")
