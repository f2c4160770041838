"""What each S3 provider can do and wants: the one place that knows.

An ability is declared, never tried out at run time; where one is missing the code takes another way by itself, or says
which setting to change. What is true for most stands in the defaults of `Provider`; `OTHER` is who is not known, and so
promises little. MinIO, Ceph and SeaweedFS run anywhere: no host name tells them, S3_PROVIDER does.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Provider:
    """The abilities of one provider; what is true for most of them is the default."""

    name: str
    hosts: tuple[str, ...] = ()  # endings of the endpoint's host name
    region: str = "us-east-1"  # where neither setting nor host name tell
    region_in_host: str = ""  # a pattern whose first group is the region
    virtual_host: bool = False  # the addressing it wants

    # objects
    checksum_trailers: bool = False  # takes and returns x-amz-checksum-* headers
    equal_parts: bool = False  # refuses multipart uploads whose parts, but the last, differ in size
    post_policy: bool = True
    batch_delete: bool = True
    conditional_writes: bool = False  # If-None-Match and If-Match on PUT
    conditional_completion: bool = False  # the same on CompleteMultipartUpload
    smallest_part_bytes: int = 5 << 20
    largest_part_bytes: int = 5 * GIB
    most_parts: int = 10_000
    storage_classes: tuple[str, ...] = ("STANDARD",)
    transfer_acceleration: bool = False

    # Settings of a bucket, by the S3 API. What is not declared is not tried: RGW 16 takes DELETE of ?encryption for the
    # deletion of the bucket, SeaweedFS 4.48 PUT of ?logging for its making.
    cors: bool = True
    cors_star_anywhere: bool = True  # in an origin; False: only for the first labels of the host
    lifecycle_expiry: bool = True
    lifecycle_transition: bool = False
    lifecycle_abort: bool = True  # of multipart uploads that were abandoned
    versioning: bool = True
    default_encryption: bool = False
    access_logs: bool = False
    event_notifications: bool = False
    event_targets: tuple[str, ...] = ()  # who can be told: of webhook, sns, sqs, lambda, eventbridge
    bucket_acl: bool = True
    bucket_policy: bool = True
    public_access_block: bool = False
    public_policy_block: bool = True  # of it, BlockPublicPolicy and RestrictPublicBuckets
    public_acl_block: bool = True  # a part of it: ACLs that grant anything to all are refused

    @property
    def colder_class(self) -> str:
        """The storage class for what is read seldom; empty where there is none."""
        return next((name for name in ("STANDARD_IA", "NEARLINE") if name in self.storage_classes), "")


# Source: Amazon S3 API Reference (PutObject, CompleteMultipartUpload, PutBucket…); Amazon S3 User Guide, "Amazon S3
# multipart upload limits", "Understanding and managing Amazon S3 storage classes", "Checking object integrity in
# Amazon S3", "Virtual hosting of general purpose buckets".
AWS = Provider(
    "aws",
    hosts=(".amazonaws.com", ".amazonaws.com.cn"),
    region_in_host=r"^(?:.+\.)?s3[.-](?:dualstack\.|fips\.)?([a-z]{2,}(?:-[a-z]+)+-\d)\.amazonaws\.com",
    virtual_host=True,
    checksum_trailers=True,
    conditional_writes=True,
    conditional_completion=True,
    storage_classes=(
        "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
    ),
    transfer_acceleration=True,
    lifecycle_transition=True,
    default_encryption=True,
    access_logs=True,
    event_notifications=True,
    event_targets=("sns", "sqs", "lambda", "eventbridge"),
    public_access_block=True,
)  # fmt: skip

# Source: Cloudflare R2 docs, "S3 API compatibility", "Upload objects" (parts of equal size), "Presigned URLs" (no
# POST), "Storage classes". Trailers of newer SDKs were answered with Unauthorized (amd/gaia#3029).
R2 = Provider(
    "r2",
    hosts=(".r2.cloudflarestorage.com",),
    region="auto",
    equal_parts=True,
    post_policy=False,
    conditional_writes=True,
    storage_classes=("STANDARD", "STANDARD_IA"),
    lifecycle_transition=True,
    versioning=False,
    bucket_policy=False,
    bucket_acl=False,
)

# Source: Hetzner Docs, Object Storage, "List of supported actions" and "Overview" (endpoints). Built on Ceph; trailers
# were answered with XAmzContentSHA256Mismatch (home-assistant/core#144015).
HETZNER = Provider(
    "hetzner",
    hosts=(".your-objectstorage.com",),
    region="fsn1",
    region_in_host=r"^(?:.+\.)?([a-z]+\d)\.your-objectstorage\.com$",
    virtual_host=True,
)

# Source: MinIO documentation, "S3 API compatibility" (CORS is the server's, there are no ACLs, lifecycle rules abort no
# uploads) and "Thresholds and limits".
MINIO = Provider(
    "minio",
    checksum_trailers=True,
    conditional_writes=True,
    conditional_completion=True,
    cors=False,
    lifecycle_transition=True,
    lifecycle_abort=False,
    default_encryption=True,
    event_notifications=True,
    event_targets=("sqs",),
    bucket_acl=False,
)

# Source: Ceph documentation, "Ceph Object Gateway S3 API" and "Bucket notifications"; release 16, which Debian has,
# takes no trailers over TLS, ignores If-None-Match on CompleteMultipartUpload, where public policies are blocked takes
# one for a named user for public too, and where public ACLs are blocked refuses every PutObject (seen on radosgw 16.2).
CEPH = Provider(
    "ceph",
    lifecycle_transition=True,
    event_notifications=True,
    event_targets=("webhook", "sns"),
    public_access_block=True,
    public_policy_block=False,
    public_acl_block=False,
)

# Source: SeaweedFS wiki, "Amazon S3 API"; docs/providers.md is what release 4.48 was seen to do. It takes lifecycle
# rules, but nobody acts on them where `weed admin` and `weed worker` do not run (bitnami/charts#36560).
SEAWEEDFS = Provider(
    "seaweedfs",
    checksum_trailers=True,
    conditional_writes=True,
    conditional_completion=True,
    cors_star_anywhere=False,
    lifecycle_expiry=False,
    lifecycle_abort=False,
)

# Source: Google Cloud Storage documentation, "XML API overview", "Fully migrate from Amazon S3", "Interoperability with
# other storage providers"; DeleteObjects is refused (boto/boto3#2293). It has conditions of its own
# (x-goog-if-generation-match), checksums of its own (x-goog-hash), and settings of buckets in documents of its own.
GOOGLE = Provider(
    "google",
    hosts=("storage.googleapis.com",),
    region="auto",
    batch_delete=False,
    storage_classes=("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"),
    cors=False,
    lifecycle_expiry=False,
    lifecycle_abort=False,
    versioning=False,
    bucket_policy=False,
    bucket_acl=False,
)

# Source: DigitalOcean Documentation, "Spaces S3 Compatibility", "Spaces Limits".
DIGITALOCEAN = Provider(
    "digitalocean",
    hosts=(".digitaloceanspaces.com",),
    region_in_host=r"^(?:.+\.)?([a-z]+\d)\.digitaloceanspaces\.com$",
    virtual_host=True,
    access_logs=True,
)

# Source: Backblaze B2 documentation, "S3-Compatible API", "S3-Compatible App Keys", "S3 Put Lifecycle Configuration".
BACKBLAZE = Provider(
    "backblaze",
    hosts=(".backblazeb2.com",),
    region_in_host=r"^(?:.+\.)?s3\.([a-z]+-[a-z]+-\d+)\.backblazeb2\.com$",
    post_policy=False,
    default_encryption=True,
    bucket_policy=False,
)

OTHER = Provider("other", post_policy=False, bucket_acl=False)

PROVIDERS = (AWS, R2, HETZNER, MINIO, CEPH, SEAWEEDFS, GOOGLE, DIGITALOCEAN, BACKBLAZE, OTHER)


def find_provider(url: str, named: str = "") -> Provider:
    """Return the provider of an endpoint: the one that is named, else by its host name, else `other`."""
    host = (urlsplit(url).hostname or "").lower()
    for provider in PROVIDERS:
        if named == provider.name or (not named and _is_host_of(provider, host)):
            return provider
    return OTHER


def find_region(provider: Provider, url: str) -> str:
    """Return the region that signatures name where no setting tells: the host name's, else the provider's."""
    host = (urlsplit(url).hostname or "").lower()
    match = re.search(provider.region_in_host, host) if provider.region_in_host else None
    return match.group(1) if match else provider.region


def _is_host_of(provider: Provider, host: str) -> bool:
    return any(f".{host}".endswith(ending if ending.startswith(".") else f".{ending}") for ending in provider.hosts)
