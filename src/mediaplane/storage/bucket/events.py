"""Writing event notifications, where Ceph goes another way than Amazon: it has topics of its own, and adds."""

from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from mediaplane.storage.bucket.difference import is_removable
from mediaplane.storage.bucket.found import NOTIFICATION_KINDS, Found
from mediaplane.storage.bucket.wanted import Rule, Wanted
from mediaplane.storage.buckets import open_client
from mediaplane.storage.endpoint import S3Endpoint

_KINDS = {"sqs": "QueueConfigurations", "lambda": "LambdaFunctionConfigurations"}  # all others: topics


def write_events(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    """Write the notifications that are wished for; those of others stay."""
    if "webhook" in endpoint.provider.event_targets:
        _write_on_ceph(client, endpoint, wanted, found)
        return
    config = _foreign(found)
    for wish in wanted.of("events"):
        if wish.rule["Kind"] == "eventbridge":
            config["EventBridgeConfiguration"] = {}
        else:
            kind, entry = _entry(wish.name, wish.rule, wish.rule["Target"])
            config.setdefault(kind, []).append(entry)
    client.put_bucket_notification_configuration(Bucket=endpoint.bucket, NotificationConfiguration=config)


def _write_on_ceph(client: Any, endpoint: S3Endpoint, wanted: Wanted, found: Found) -> None:
    """Add or replace ours by its ID, and remove what is no longer wished for: a document adds to those that are there.

    Source: Ceph documentation, "Bucket notifications", "S3 Bucket Notifications Compatibility".
    """
    wishes = wanted.of("events")
    for wish in wishes:
        arn = _make_topic(endpoint, wish.rule) if wish.rule["Kind"] == "webhook" else wish.rule["Target"]
        kind, entry = _entry(wish.name, wish.rule, arn)
        client.put_bucket_notification_configuration(Bucket=endpoint.bucket, NotificationConfiguration={kind: [entry]})
    kept = {wish.name for wish in wishes}
    for rule in found.rules.get("events", ()):
        if rule["ID"] not in kept and is_removable("events", rule, public=wanted.public):
            _remove_on_ceph(endpoint, rule["ID"])


def _entry(name: str, rule: Rule, arn: str) -> tuple[str, dict[str, Any]]:
    kind = _KINDS.get(rule["Kind"], "TopicConfigurations")
    entry = {"Id": name, NOTIFICATION_KINDS[kind]: arn, "Events": rule["Events"]}
    if rule["Prefix"]:
        entry["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": rule["Prefix"]}]}}
    return kind, entry


def _foreign(found: Found) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for kind, entries in found.raw.get("events", {}).items():
        if kind not in NOTIFICATION_KINDS:
            config[kind] = entries
        elif kept := [entry for entry in entries if not is_removable("events", entry, public=False)]:
            config[kind] = kept
    return config


def _make_topic(endpoint: S3Endpoint, rule: Rule) -> str:
    """Make the topic that pushes to the webhook, or point it there; return its ARN.

    Source: Ceph documentation, "Bucket notifications", "Create a Topic".
    """
    topics = open_client(endpoint, service="sns")
    attributes = {"push-endpoint": rule["Target"]}
    return str(topics.create_topic(Name=f"mediaplane-{endpoint.bucket}", Attributes=attributes)["TopicArn"])


def _remove_on_ceph(endpoint: S3Endpoint, name: str) -> None:
    """Remove one notification, by Ceph's own request, which boto3 does not know.

    Only after the server has shown the notification: one that does not know `?notification` would delete the bucket.
    Source: Ceph documentation, "Bucket Operations", "Delete Notification".
    """
    keys = endpoint.keys()
    url = f"{endpoint.origin}{endpoint.base_path.rstrip('/')}?notification={name}"
    request = AWSRequest("DELETE", url)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    S3SigV4Auth(credentials, "s3", endpoint.region).add_auth(request)
    answer = URLLib3Session(verify=endpoint.ca_file or True).send(request.prepare())
    if answer.status_code >= 300:
        parsed = {"Error": {"Code": ""}, "ResponseMetadata": {"HTTPStatusCode": answer.status_code}}
        raise ClientError(parsed, "DeleteBucketNotification")
