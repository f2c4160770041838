"""Settings of a bucket, by boto3: that it exists, may be read by browsers, and answers; bytes go another way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from mediaplane.errors import MediaplaneError
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated

_CORS_SECONDS = 3600
_EXPOSED = ["ETag", "Content-Length", "Content-Range"]


def open_client(endpoint: S3Endpoint) -> Any:
    """Return a boto3 client: SigV4 and no checksum trailers, which RGW 16, R2 and Hetzner refuse."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        aws_session_token=endpoint.session_token or None,
        verify=endpoint.ca_file or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if endpoint.virtual_host else "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 3, "mode": "standard"},
        ),
    )


def ensure_bucket(endpoint: S3Endpoint) -> bool:
    """Make the bucket, private, if it is missing; return whether it was.

    Raises:
        AccessDenied: the keys are wrong or may not; the sentence names the setting.
        StorageError: the endpoint cannot be reached, or anything else.
    """
    client = open_client(endpoint)
    with _translated(endpoint):
        if _exists(client, endpoint.bucket):
            return False
        try:
            _create(client, endpoint)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":  # another process was quicker
                raise
            return False
    return True


def set_cors(endpoint: S3Endpoint, origins: Sequence[str]) -> None:
    """Let pages of `origins` (`*`: all) read objects by GET and HEAD; replaces the bucket's rules if they differ.

    Raises:
        AccessDenied: the keys may not.
        StorageError: anything else.
    """
    rule = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": _EXPOSED,
        "MaxAgeSeconds": _CORS_SECONDS,
    }
    client = open_client(endpoint)
    with _translated(endpoint):
        if [_comparable(found) for found in _cors_rules(client, endpoint.bucket)] != [_comparable(rule)]:
            client.put_bucket_cors(Bucket=endpoint.bucket, CORSConfiguration={"CORSRules": [rule]})


def abort_uploads(endpoint: S3Endpoint, *, older_than: timedelta) -> int:
    """Abort multipart uploads begun longer ago (their writer was killed); return how many those were.

    Raises:
        AccessDenied: the keys may not.
        StorageError: anything else.
    """
    client, aborted = open_client(endpoint), 0
    before = datetime.now(UTC) - older_than
    with _translated(endpoint):
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=endpoint.bucket):
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < before:
                    client.abort_multipart_upload(
                        Bucket=endpoint.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    aborted += 1
    return aborted


def check(endpoint: S3Endpoint) -> MediaplaneError | None:
    """Return what is wrong with endpoint, keys or bucket, as a sentence that names the setting; None: nothing.

    Lists one key: unlike HEAD of the bucket, the refusal of that has a code that tells wrong keys from wrong clocks.
    """
    try:
        with _translated(endpoint):
            open_client(endpoint).list_objects_v2(Bucket=endpoint.bucket, MaxKeys=1)
    except MediaplaneError as error:
        return error
    return None


def _exists(client: Any, bucket: str) -> bool:
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return False
        raise
    return True


def _create(client: Any, endpoint: S3Endpoint) -> None:
    amazon = endpoint.host.endswith(".amazonaws.com") and endpoint.region != "us-east-1"
    place = {"CreateBucketConfiguration": {"LocationConstraint": endpoint.region}} if amazon else {}
    client.create_bucket(Bucket=endpoint.bucket, **place)


def _cors_rules(client: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        rules: list[dict[str, Any]] = client.get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return []
        raise
    return rules


def _comparable(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the rule with its lists as sets: servers sort them, and RGW lower-cases headers."""
    return {
        name: {item.lower() for item in value} if isinstance(value, list) else value
        for name, value in rule.items()
        if name != "ID"
    }


@contextmanager
def _translated(endpoint: S3Endpoint) -> Iterator[None]:
    with translated(f"bucket {endpoint.bucket}", endpoint.url):
        yield
