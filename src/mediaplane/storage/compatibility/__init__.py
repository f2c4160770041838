"""What an S3 server can really do, found out by asking it: beside what `providers.py` declares of it.

`measure` tries every ability on a bucket of its own, which it removes; it needs keys that may make buckets. The plane
itself never tries anything out: it believes the declaration, so `differences` between both are faults.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from mediaplane.storage.compatibility import bucket_settings, integrity, links, multipart, objects
from mediaplane.storage.compatibility.subject import Subject, Unable, subject_on
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.providers import Provider

Check = Callable[[Subject], None]


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing a server may be able to do."""

    name: str
    check: Check

    @property
    def sentence(self) -> str:
        """What it means, as its check says."""
        return (self.check.__doc__ or "").strip().split("\n")[0]


@dataclass(frozen=True, slots=True)
class Measured:
    """Whether a server can, and how it showed where it cannot."""

    ability: Ability
    able: bool
    note: str = ""


ABILITIES: Mapping[str, tuple[Ability, ...]] = {
    "Objects and keys": (
        Ability("metadata and MD5 as ETag", objects.metadata),
        Ability("odd characters in keys", objects.odd_keys),
        Ability("key of 1,024 bytes", objects.long_key),
        Ability("keys that are no paths", objects.keys_that_are_no_paths),
        Ability("`a` beside `a/b`", objects.key_below_key),
        Ability("byte ranges", objects.ranges),
        Ability("conditional reads", objects.conditional_reads),
        Ability("list in byte order", objects.list_order),
        Ability("list by folder", objects.list_folders),
        Ability("batch delete", objects.batch_delete),
        Ability("copy on the server", objects.copy),
        Ability("tags", objects.tags),
        Ability("storage class", objects.colder_class),
        Ability("create only (If-None-Match)", objects.create_only),
        Ability("replace only (If-Match)", objects.replace_only),
    ),
    "Uploads in parts": (
        Ability("upload in parts", multipart.in_parts),
        Ability("unequal parts", multipart.unequal_parts),
        Ability("small parts refused", multipart.small_part),
        Ability("abort", multipart.abort),
        Ability("read a part by number", multipart.part_by_number),
        Ability("part from another object", multipart.copied_part),
        Ability("create only, in parts", multipart.create_only),
    ),
    "Signed URLs and browsers": (
        Ability("signed GET", links.signed_get),
        Ability("expiry of signed URLs", links.expiry),
        Ability("signed PUT, type bound", links.signed_put),
        Ability("signed PUT, size bound", links.sized_put),
        Ability("signed part", links.signed_part),
        Ability("POST policy", links.post_policy),
        Ability("CORS", links.cors),
        Ability("CORS, `*` anywhere", links.cors_star_anywhere),
    ),
    "Checksums": (
        Ability("upload without checksum", integrity.required_checksums),
        Ability("SDKs' default checksum", integrity.default_checksums),
        Ability("checksum returned", integrity.stored_checksum),
        Ability("wrong CRC32 refused", integrity.wrong_crc32),
        Ability("wrong MD5 refused", integrity.wrong_md5),
    ),
    "Buckets": (
        Ability("private at first", bucket_settings.private),
        Ability("wrong keys told", bucket_settings.wrong_keys),
        Ability("bucket policy", bucket_settings.policy),
        Ability("object ACL", bucket_settings.object_acl),
        Ability("bucket ACL", bucket_settings.bucket_acl),
        Ability("public access block", bucket_settings.public_access_block),
        Ability("public policies refused", bucket_settings.public_policy_block),
        Ability("public ACLs refused", bucket_settings.public_acl_block),
        Ability("expiry", bucket_settings.expiry),
        Ability("abort of abandoned uploads", bucket_settings.abort_unfinished),
        Ability("move to a colder class", bucket_settings.lifecycle_transition),
        Ability("rules by tag", bucket_settings.lifecycle_tags),
        Ability("versioning", bucket_settings.versioning),
        Ability("encryption (SSE-S3)", bucket_settings.encryption),
        Ability("default encryption", bucket_settings.default_encryption),
        Ability("customer's keys (SSE-C)", bucket_settings.customer_key),
        Ability("object lock", bucket_settings.object_lock),
        Ability("access logs", bucket_settings.access_logs),
        Ability("events to a webhook", bucket_settings.notifications),
    ),
}

# What of a `Provider` can be tried, and the abilities that it takes, all of them.
DECLARED: Mapping[str, tuple[str, ...]] = {
    "checksum_trailers": ("SDKs' default checksum", "checksum returned", "wrong CRC32 refused"),
    "equal_parts": ("unequal parts",),
    "post_policy": ("POST policy",),
    "batch_delete": ("batch delete",),
    "conditional_writes": ("create only (If-None-Match)", "replace only (If-Match)"),
    "conditional_completion": ("create only, in parts",),
    "storage_classes": ("storage class",),
    "cors": ("CORS",),
    "cors_star_anywhere": ("CORS, `*` anywhere",),
    "lifecycle_expiry": ("expiry",),
    "lifecycle_transition": ("move to a colder class",),
    "lifecycle_abort": ("abort of abandoned uploads",),
    "versioning": ("versioning",),
    "default_encryption": ("default encryption", "encryption (SSE-S3)"),
    "access_logs": ("access logs",),
    "event_targets": ("events to a webhook",),
    "bucket_acl": ("bucket ACL",),
    "bucket_policy": ("bucket policy",),
    "public_access_block": ("public access block",),
    "public_policy_block": ("public policies refused",),
    "public_acl_block": ("public ACLs refused",),
}
# To take and keep it is not yet to do it, which would show after a day: here only a lack is a difference.
KEPT_ONLY = ("storage_classes", "lifecycle_expiry", "lifecycle_transition", "lifecycle_abort")


def measure(endpoint: S3Endpoint, on_progress: Callable[[str], None] = lambda _: None) -> list[Measured]:
    """Try every ability on the endpoint, in the order of `ABILITIES`; a few seconds on a server that is near.

    The endpoint's bucket is not touched.

    Raises:
        AccessDenied: the keys are wrong, or may not make buckets.
        StorageError: the endpoint cannot be reached.
    """
    with subject_on(endpoint) as subject:
        found = []
        for ability in (ability for group in ABILITIES.values() for ability in group):
            on_progress(ability.name)
            found.append(_try(ability, subject))
    return found


def _try(ability: Ability, subject: Subject) -> Measured:
    try:
        ability.check(subject)
    except Unable as error:
        return Measured(ability, able=False, note=str(error))
    except ClientError as error:
        answer = error.response
        status, code = answer["ResponseMetadata"].get("HTTPStatusCode"), answer["Error"].get("Code")
        return Measured(ability, able=False, note=f"{error.operation_name}: {status} {code}")
    except BotoCoreError as error:
        return Measured(ability, able=False, note=type(error).__name__)
    return Measured(ability, able=True)


@dataclass(frozen=True, slots=True)
class Difference:
    """A declaration that is not what was measured."""

    sentence: str
    promised: bool  # True: it is declared and lacking, so the plane would try it and fail


def differences(provider: Provider, runs: Sequence[Sequence[Measured]]) -> Iterator[Difference]:
    """Yield each declaration of the provider that is not what was measured.

    `runs` are of one server, over HTTP and HTTPS say: it can what it can in all of them.
    """
    able = {one.ability.name for one in runs[0]}
    for run in runs:
        able &= {one.ability.name for one in run if one.able}
    for field, names in DECLARED.items():
        missing = [name for name in names if name not in able]
        declared = _declares(provider, field)
        if declared is not bool(missing) or (missing == [] and field in KEPT_ONLY):
            continue
        found = f"it cannot: {', '.join(missing)}" if missing else "it can do all of it"
        sentence = f"{provider.name}: {field} is declared {getattr(provider, field)}, but {found}"
        yield Difference(sentence, promised=declared)


def _declares(provider: Provider, field: str) -> bool:
    match field:
        case "equal_parts":
            return not provider.equal_parts
        case "storage_classes":
            return bool(provider.colder_class)
        case "event_targets":
            return "webhook" in provider.event_targets
        case "public_policy_block" | "public_acl_block":
            return provider.public_access_block and bool(getattr(provider, field))
        case _:
            return bool(getattr(provider, field))
