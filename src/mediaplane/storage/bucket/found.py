"""What a bucket is like on its server, asked by boto3: one request for each setting that its provider has.

A setting that the keys may not read is told as unknown, not taken for unset.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore import UNSIGNED
from botocore.exceptions import ClientError

from mediaplane.errors import AccessDenied, MediaplaneError
from mediaplane.storage.bucket.privacy import as_list, group_of
from mediaplane.storage.bucket.wanted import Rule, Wanted
from mediaplane.storage.buckets import exists, open_client
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import of_boto3, translated

NOTIFICATION_KINDS = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}


@dataclass(slots=True)
class Found:
    """The bucket as it is: the rules of each setting that could be read, under their IDs as the server has them."""

    exists: bool
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)  # setting -> why it could not be read
    raw: dict[str, Any] = field(default_factory=dict)  # whole documents, for what is written back
    listed_by_anyone: bool = False


def find(endpoint: S3Endpoint, wanted: Wanted) -> Found:
    """Ask for every setting that is wished for, or that could hold rules of ours or let strangers in.

    Raises:
        AccessDenied: the keys are wrong altogether.
        StorageError: the endpoint cannot be reached, or fails.
    """
    client = open_client(endpoint)
    found = Found(exists=exists(endpoint))
    if not found.exists:
        return found
    for setting, (permission, read) in _readers(endpoint, wanted).items():
        try:
            found.rules[setting] = tuple(_ask(endpoint, partial(read, client, endpoint, found)))
        except AccessDenied:
            found.unknown[setting] = f"the keys may not read it ({permission})"
        except _NotThere:
            found.unknown[setting] = "the server does not have this setting: is S3_PROVIDER right?"
    found.listed_by_anyone = _lists_for_anyone(endpoint)
    return found


Reader = Callable[[Any, S3Endpoint, Found], Iterator[Rule]]


def _readers(endpoint: S3Endpoint, wanted: Wanted) -> Mapping[str, tuple[str, Reader]]:
    provider = endpoint.provider
    readers: list[tuple[bool, str, str, Reader]] = [
        (provider.cors, "cors", "s3:GetBucketCORS", _cors),
        (provider.lifecycle_expiry, "lifecycle", "s3:GetLifecycleConfiguration", _lifecycle),
        (provider.versioning, "versioning", "s3:GetBucketVersioning", _versioning),
        (bool(wanted.of("encryption")), "encryption", "s3:GetEncryptionConfiguration", _encryption),
        (bool(wanted.of("access logs")), "access logs", "s3:GetBucketLogging", _access_logs),
        (bool(provider.event_targets), "events", "s3:GetBucketNotification", _events),
        (provider.public_access_block, "public access", "s3:GetBucketPublicAccessBlock", _public_access),
        (provider.bucket_policy, "policy", "s3:GetBucketPolicy", _policy),
        (provider.bucket_acl, "acl", "s3:GetBucketAcl", _acl),
    ]
    return {setting: (permission, read) for able, setting, permission, read in readers if able}


class _NotThere(Exception):
    """The server does not know the request."""


def _ask(endpoint: S3Endpoint, read: Callable[[], Iterator[Rule]]) -> list[Rule]:
    try:
        return list(read())
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (405, 501):
            raise _NotThere from error
        if status == 404 and error.response["Error"]["Code"] != "NoSuchBucket":
            return []  # NoSuchCORSConfiguration and its like: never set
        raise _ours(endpoint, error) from error


def _ours(endpoint: S3Endpoint, error: ClientError) -> MediaplaneError:
    return of_boto3(f"bucket {endpoint.bucket}", endpoint.url, error)


def _cors(client: Any, endpoint: S3Endpoint, _found: Found) -> Iterator[Rule]:
    yield from client.get_bucket_cors(Bucket=endpoint.bucket).get("CORSRules", [])


def _lifecycle(client: Any, endpoint: S3Endpoint, found: Found) -> Iterator[Rule]:
    answer = client.get_bucket_lifecycle_configuration(Bucket=endpoint.bucket)
    # not of a rule but of all: kept as it is when rules are written
    if size := answer.get("TransitionDefaultMinimumObjectSize"):
        found.raw["lifecycle"] = size
    yield from answer.get("Rules", [])


def _versioning(client: Any, endpoint: S3Endpoint, _found: Found) -> Iterator[Rule]:
    if status := client.get_bucket_versioning(Bucket=endpoint.bucket).get("Status"):
        yield {"Status": status}


def _encryption(client: Any, endpoint: S3Endpoint, _found: Found) -> Iterator[Rule]:
    answer = client.get_bucket_encryption(Bucket=endpoint.bucket)["ServerSideEncryptionConfiguration"]
    for rule in answer.get("Rules", []):
        if default := rule.get("ApplyServerSideEncryptionByDefault"):
            yield default


def _access_logs(client: Any, endpoint: S3Endpoint, _found: Found) -> Iterator[Rule]:
    if enabled := client.get_bucket_logging(Bucket=endpoint.bucket).get("LoggingEnabled"):
        yield {name: enabled.get(name, "") for name in ("TargetBucket", "TargetPrefix")}


def _public_access(client: Any, endpoint: S3Endpoint, _found: Found) -> Iterator[Rule]:
    yield client.get_public_access_block(Bucket=endpoint.bucket)["PublicAccessBlockConfiguration"]


def _policy(client: Any, endpoint: S3Endpoint, found: Found) -> Iterator[Rule]:
    document = json.loads(client.get_bucket_policy(Bucket=endpoint.bucket)["Policy"])
    found.raw["policy"] = {name: value for name, value in document.items() if name != "Statement"}
    for statement in as_list(document.get("Statement")):
        yield {"ID": statement.get("Sid", ""), **statement}


def _acl(client: Any, endpoint: S3Endpoint, found: Found) -> Iterator[Rule]:
    answer = client.get_bucket_acl(Bucket=endpoint.bucket)
    found.raw["acl"] = {name: answer[name] for name in ("Owner", "Grants")}
    for grant in answer["Grants"]:
        if group := group_of(grant):
            yield {"ID": f"{group} {grant['Permission']}", "Grantee": group, "Permission": grant["Permission"]}


def _events(client: Any, endpoint: S3Endpoint, found: Found) -> Iterator[Rule]:
    answer = client.get_bucket_notification_configuration(Bucket=endpoint.bucket)
    answer.pop("ResponseMetadata", None)
    found.raw["events"] = answer
    if "EventBridgeConfiguration" in answer:
        yield {"ID": "eventbridge", "Kind": "eventbridge", "Target": "eventbridge"}
    for kind, arn_name in NOTIFICATION_KINDS.items():
        for entry in answer.get(kind, []):
            arn = entry[arn_name]
            url = topic_url(endpoint, arn) if "webhook" in endpoint.provider.event_targets else ""
            rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            filters = {str(rule["Name"]).title(): rule["Value"] for rule in rules}
            target = {"Kind": "webhook", "Target": url} if url else {"Kind": arn.split(":")[2], "Target": arn}
            yield {"ID": entry.get("Id", ""), **target, "Events": entry["Events"], **filters}


def topic_url(endpoint: S3Endpoint, arn: str) -> str:
    """Return the webhook that a topic of Ceph pushes to, or nothing.

    Source: Ceph documentation, "Bucket notifications", Get Topic Information.
    """
    try:
        topic = open_client(endpoint, service="sns").get_topic_attributes(TopicArn=arn)["Attributes"]
        address = json.loads(topic["EndPoint"])["EndpointAddress"]
    except (ClientError, KeyError, ValueError):
        return ""  # a topic of somebody else's
    return str(address) if str(address).startswith(("http://", "https://")) else ""


def _lists_for_anyone(endpoint: S3Endpoint) -> bool:
    """Ask for the list without keys: the one answer about privacy that every provider gives.

    Raises:
        StorageError: the endpoint cannot be reached.
    """
    client = open_client(endpoint, signature=UNSIGNED)
    try:
        with translated(f"bucket {endpoint.bucket}", endpoint.url):
            client.list_objects_v2(Bucket=endpoint.bucket, MaxKeys=1)
    except MediaplaneError as error:
        if isinstance(error.__cause__, ClientError):
            return False
        raise
    return True
