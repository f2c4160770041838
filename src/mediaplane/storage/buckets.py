"""A bucket by boto3: that it exists, answers, and holds no unfinished uploads. Its settings are in `bucket/`."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from mediaplane.storage.credentials import plain_session
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated

_MAKING = Lock()  # clients are safe for threads, making one is not


def open_client(endpoint: S3Endpoint, *, service: str = "s3", signature: object = "s3v4") -> Any:
    """Return a boto3 client: SigV4 and no checksum trailers, which RGW 16, R2 and Hetzner refuse.

    Keys of the machine's role are renewed by the client itself. `signature` may be botocore's UNSIGNED, to ask as a
    stranger does.
    """
    config = Config(
        signature_version=signature if service == "s3" else "v4",
        s3={"addressing_style": "virtual" if endpoint.virtual_host else "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=60,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )
    given = {
        "aws_access_key_id": endpoint.access_key_id,
        "aws_secret_access_key": endpoint.secret_access_key,
        "aws_session_token": endpoint.session_token or None,
    }
    session = endpoint.role.session() if endpoint.role else plain_session()
    with _MAKING:
        return session.client(
            service,
            endpoint_url=endpoint.url,
            region_name=endpoint.region,
            verify=endpoint.ca_file or None,
            config=config,
            **({} if endpoint.role else given),
        )


def ensure_bucket(endpoint: S3Endpoint) -> bool:
    """Make the bucket, private, if it is missing; return whether it was.

    Raises:
        AccessDenied: the keys are wrong or may not; the sentence names the setting.
        StorageError: the endpoint cannot be reached, or anything else.
    """
    if exists(endpoint):
        return False
    with _translated(endpoint):
        try:
            _create(open_client(endpoint), endpoint)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":  # another process was quicker
                raise
            return False
    return True


def exists(endpoint: S3Endpoint) -> bool:
    """Return whether there is such a bucket; one that the keys may not list is there.

    Raises:
        AccessDenied: the keys are wrong.
        StorageError: the endpoint cannot be reached, or anything else.
    """
    with _translated(endpoint):
        try:
            open_client(endpoint).list_objects_v2(Bucket=endpoint.bucket, MaxKeys=1)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchBucket", "AccessDenied"):
                raise
            return bool(error.response["Error"]["Code"] == "AccessDenied")
    return True


def abort_uploads(endpoint: S3Endpoint, *, older_than: timedelta, keep: Container[str] = (), prefix: str = "") -> int:
    """Abort multipart uploads begun longer ago (their writer was killed) but those in `keep`; return how many.

    With a `prefix` only those of keys that begin so.

    Raises:
        AccessDenied: the keys may not.
        StorageError: anything else.
    """
    client, aborted = open_client(endpoint), 0
    before = datetime.now(UTC) - older_than
    with _translated(endpoint):
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=endpoint.bucket, Prefix=prefix):
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < before and upload["UploadId"] not in keep:
                    client.abort_multipart_upload(
                        Bucket=endpoint.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    aborted += 1
    return aborted


def _create(client: Any, endpoint: S3Endpoint) -> None:
    amazon = endpoint.host.endswith(".amazonaws.com") and endpoint.region != "us-east-1"
    place = {"CreateBucketConfiguration": {"LocationConstraint": endpoint.region}} if amazon else {}
    client.create_bucket(Bucket=endpoint.bucket, **place)


@contextmanager
def _translated(endpoint: S3Endpoint) -> Iterator[None]:
    with translated(f"bucket {endpoint.bucket}", endpoint.url):
        yield
