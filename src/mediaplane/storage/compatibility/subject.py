"""The server under examination: a bucket of our own on it, a client, and plain requests without a client."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ProxyConnectionError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated

_SECONDS = 20


class Unable(Exception):
    """The server cannot do it; the text says how it showed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plain request got."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Subject:
    """One endpoint and a bucket made for the examination."""

    def __init__(self, endpoint: S3Endpoint) -> None:
        self.endpoint = endpoint
        self.client = self.open_client()
        self.bucket = endpoint.bucket
        self._buckets: list[str] = []

    def open_client(self, service: str = "s3", *, secret: str = "", **options: Any) -> Any:
        """Return a boto3 client that repeats nothing that was answered; `options` are those of botocore's `Config`."""
        keys = self.endpoint.keys()
        chosen = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        style = "virtual" if self.endpoint.virtual_host and service == "s3" else "path"
        client = boto3.client(
            service,
            endpoint_url=self.endpoint.url,
            region_name=self.endpoint.region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=secret or keys.secret_access_key,
            aws_session_token=keys.session_token or None,
            verify=self.endpoint.ca_file or None,
            config=Config(
                signature_version="s3v4" if service == "s3" else None,
                s3={"addressing_style": style},
                retries={"mode": "standard", "total_max_attempts": 1},
                connect_timeout=5,
                read_timeout=_SECONDS,
                **{**chosen, **options},
            ),
        )
        client.meta.events.register(f"needs-retry.{client.meta.service_model.service_id.hyphenize()}", _again_once)
        return client

    def new_bucket(self, **options: Any) -> str:
        """Make another bucket, which goes with the examination."""
        name = f"mediaplane-{uuid.uuid4().hex[:20]}"
        self.client.create_bucket(Bucket=name, **options)
        self._buckets.append(name)
        return name

    def url(self, key: str, bucket: str = "") -> str:
        """Return the plain URL of an object, unsigned; `key` needs no quoting."""
        place = replace(self.endpoint, bucket=bucket or self.bucket)
        return f"{place.origin}{place.base_path}{key}"

    def put(self, key: str, body: bytes = b"1", **options: Any) -> Any:
        """Put an object into the bucket."""
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **options)

    def get(self, key: str, **options: Any) -> bytes:
        """Return an object's bytes."""
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key, **options)["Body"].read()
        return body

    def request(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request as a browser would, through the proxy and with the authority that the client uses."""
        session = URLLib3Session(
            verify=self.endpoint.ca_file or True, proxies=get_environ_proxies(url), timeout=_SECONDS
        )
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body).prepare()
        answer = session.send(request)
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, named, answer.content)

    def remove(self) -> None:
        """Remove what the examination made; what a lock still holds stays."""
        for bucket in [self.bucket, *self._buckets]:
            with suppress(ClientError, BotoCoreError):
                _empty(self.client, bucket)
                self.client.delete_bucket(Bucket=bucket)


@contextmanager
def subject_on(endpoint: S3Endpoint) -> Iterator[Subject]:
    """Give a subject with a fresh bucket on the endpoint, and remove it afterwards.

    Raises:
        AccessDenied: the keys are wrong, or may not make buckets.
        StorageError: the endpoint cannot be reached.
    """
    subject = Subject(replace(endpoint, bucket=f"mediaplane-{uuid.uuid4().hex[:20]}"))
    with translated("making a bucket for the examination", endpoint.url):
        subject.client.create_bucket(Bucket=subject.bucket)
    try:
        yield subject
    finally:
        subject.remove()


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """Return how the call was refused, `404 NoSuchKey`; empty where it was not."""
    try:
        call(**arguments)
    except ClientError as error:
        return f"{error.response['ResponseMetadata'].get('HTTPStatusCode')} {error.response['Error'].get('Code')}"
    return ""


def expect(fact: object, otherwise: str) -> None:
    """Go on where `fact` holds.

    Raises:
        Unable: it does not.
    """
    if not fact:
        raise Unable(otherwise)


def _again_once(attempts: int, caught_exception: Exception | None, **_: Any) -> int | None:
    """Return the seconds after which a request is sent anew where the connection ended without an answer.

    A server may close a connection that was kept, as SeaweedFS does after some refusals, while the next request is on
    its way: that says nothing of what the server can do.
    """
    lost = isinstance(caught_exception, ConnectionClosedError | ProxyConnectionError)
    return 0 if lost and attempts == 1 else None


def _empty(client: Any, bucket: str) -> None:
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            with suppress(ClientError):
                client.delete_object(
                    Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True
                )
