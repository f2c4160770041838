"""What can be asked of a server about buckets: who may read, what expires, versions, encryption, locks, events.

Source: Amazon S3 API Reference, the operations that each function calls.
"""

import http.server
import json
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from mediaplane.storage.compatibility.subject import Subject, Unable, expect, refusal

_EVENT_SECONDS = 4.0
_EVERYONE = "*"
_NAMED = "mediaplane-example"


def private(subject: Subject) -> None:
    """Refuse strangers: neither an object nor the list of a new bucket can be read without keys."""
    subject.put("secret")
    for url in (subject.url("secret"), subject.url("")):
        status = subject.request("GET", url).status
        expect(status in (401, 403), f"a stranger is answered {status}")


def wrong_keys(subject: Subject) -> None:
    """Tell a wrong secret key by its code, 403 SignatureDoesNotMatch."""
    answer = refusal(subject.open_client(secret="wrong").list_objects_v2, Bucket=subject.bucket)  # noqa: S106
    expect(answer == "403 SignatureDoesNotMatch", answer or "it is taken")


def policy(subject: Subject) -> None:
    """Honour a bucket policy: everybody reads, but for one prefix."""
    bucket = subject.new_bucket()
    for key in ("pub/x", "closed/x"):
        subject.client.put_object(Bucket=bucket, Key=key, Body=b"1")
    statements = [
        _statement("Allow", f"arn:aws:s3:::{bucket}/*"),
        _statement("Deny", f"arn:aws:s3:::{bucket}/closed/*"),
    ]
    subject.client.put_bucket_policy(Bucket=bucket, Policy=_document(*statements))
    found = [subject.request("GET", subject.url(key, bucket)).status for key in ("pub/x", "closed/x", "")]
    expect(found == [200, 403, 403], f"public, closed and list are answered {found}")


def _statement(effect: str, resource: str) -> dict[str, Any]:
    return {"Effect": effect, "Principal": _EVERYONE, "Action": ["s3:GetObject"], "Resource": [resource]}


def object_acl(subject: Subject) -> None:
    """Honour the ACL public-read of an object."""
    subject.put("by-acl", ACL="public-read")
    status = subject.request("GET", subject.url("by-acl")).status
    expect(status == 200, f"a stranger is answered {status}")


def bucket_acl(subject: Subject) -> None:
    """Keep the ACL of a bucket."""
    client, bucket = subject.client, subject.new_bucket()
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    grants = client.get_bucket_acl(Bucket=bucket)["Grants"]
    expect(any("AllUsers" in grant["Grantee"].get("URI", "") for grant in grants), "it is taken and not kept")


def public_access_block(subject: Subject) -> None:
    """Keep a block on everything public."""
    bucket = subject.new_bucket()
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    _block(subject, bucket, **block)
    kept = subject.client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    expect(kept == block, f"other is kept: {kept}")


def public_policy_block(subject: Subject) -> None:
    """Refuse a public policy where they are blocked, and none for a named user; the owner reads as before."""
    client, bucket = subject.client, subject.new_bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    _block(subject, bucket, BlockPublicPolicy=True, RestrictPublicBuckets=True)
    everyone = _statement("Allow", f"arn:aws:s3:::{bucket}/*")
    named = {**everyone, "Principal": {"AWS": [f"arn:aws:iam:::user/{_NAMED}"]}}
    answer = refusal(client.put_bucket_policy, Bucket=bucket, Policy=_document(everyone))
    expect(answer.startswith("403"), f"a public policy: {answer or 'it is taken'}")
    answer = refusal(client.put_bucket_policy, Bucket=bucket, Policy=_document(named))
    expect(not answer, f"a policy for a named user: {answer}")
    answer = refusal(client.get_object, Bucket=bucket, Key="k")
    expect(not answer, f"the owner reads: {answer}")


def public_acl_block(subject: Subject) -> None:
    """Refuse an ACL that lets everybody read where they are blocked, and no other write."""
    client, bucket = subject.client, subject.new_bucket()
    _block(subject, bucket, BlockPublicAcls=True)
    answer = refusal(client.put_object, Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    expect(answer.startswith("403"), f"a public object: {answer or 'it is taken'}")
    answer = refusal(client.put_object, Bucket=bucket, Key="k", Body=b"1")
    expect(not answer, f"a private object: {answer}")


def _block(subject: Subject, bucket: str, **blocked: bool) -> None:
    subject.client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def expiry(subject: Subject) -> None:
    """Keep rules that remove objects after some days."""
    rule = {"ID": "clips", "Status": "Enabled", "Filter": {"Prefix": "clips/"}, "Expiration": {"Days": 30}}
    expect(_kept_rules(subject, [rule])["clips"].get("Expiration", {}).get("Days") == 30, "the expiry is lost")


def abort_unfinished(subject: Subject) -> None:
    """Keep rules that abort abandoned uploads in parts."""
    after = {"DaysAfterInitiation": 1}
    rule = {"ID": "p", "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": after}
    expect(_kept_rules(subject, [rule])["p"].get("AbortIncompleteMultipartUpload"), "the rule is lost")


def lifecycle_transition(subject: Subject) -> None:
    """Keep rules that move objects to a colder class."""
    move = {"Days": 30, "StorageClass": "STANDARD_IA"}
    rule = {"ID": "frames", "Status": "Enabled", "Filter": {"Prefix": "frames/"}, "Transitions": [move]}
    expect(_kept_rules(subject, [rule])["frames"].get("Transitions"), "the transition is lost")


def lifecycle_tags(subject: Subject) -> None:
    """Keep rules for objects with a tag."""
    chosen = {"And": {"Prefix": "a/", "Tags": [{"Key": "ttl", "Value": "1"}]}}
    rule = {"ID": "tagged", "Status": "Enabled", "Filter": chosen, "Expiration": {"Days": 1}}
    kept = _kept_rules(subject, [rule])["tagged"].get("Filter", {})
    expect(kept.get("And", {}).get("Tags"), "the tag is lost: the rule would meet more than it should")


def _kept_rules(subject: Subject, rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    client, bucket = subject.client, subject.new_bucket()
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    kept = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: {} for rule in rules} | {rule["ID"]: rule for rule in kept}


def versioning(subject: Subject) -> None:
    """Keep what is overwritten or deleted as versions."""
    client, bucket = subject.client, subject.new_bucket()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, _ = (client.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    client.delete_object(Bucket=bucket, Key="k")
    old = client.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read()
    expect(old == b"1", "the first version is lost")
    listed = client.list_object_versions(Bucket=bucket)
    expect(len(listed["Versions"]) == 2 and len(listed["DeleteMarkers"]) == 1, "the versions are listed wrongly")


def encryption(subject: Subject) -> None:
    """Encrypt an object when asked to (SSE-S3) and say so."""
    subject.put("sse", ServerSideEncryption="AES256")
    head = subject.client.head_object(Bucket=subject.bucket, Key="sse")
    expect(head.get("ServerSideEncryption") == "AES256", "it is taken and not reported")


def default_encryption(subject: Subject) -> None:
    """Keep a bucket's default encryption."""
    client, bucket = subject.client, subject.new_bucket()
    chosen = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=chosen)
    client.get_bucket_encryption(Bucket=bucket)


def customer_key(subject: Subject) -> None:
    """Encrypt with a key of the customer's (SSE-C)."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    subject.put("ssec", b"hello", **key)
    answer = refusal(subject.client.get_object, Bucket=subject.bucket, Key="ssec")
    expect(answer.startswith("400"), f"without the key: {answer or 'it is served'}")
    expect(subject.get("ssec", **key) == b"hello", "other bytes come back")


def access_logs(subject: Subject) -> None:
    """Keep where a bucket's access logs go."""
    client, bucket = subject.client, subject.new_bucket()
    chosen = {"LoggingEnabled": {"TargetBucket": subject.bucket, "TargetPrefix": "logs/"}}
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=chosen)
    expect(client.get_bucket_logging(Bucket=bucket).get("LoggingEnabled"), "it is taken and not kept")


def object_lock(subject: Subject) -> None:
    """Refuse to delete a version under retention."""
    bucket = subject.new_bucket(ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(minutes=10)
    made = subject.client.put_object(
        Bucket=bucket, Key="k", Body=b"1", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ContentMD5="xMpCOKC5I4INzFCab3WEmw==",
    )  # fmt: skip
    answer = refusal(subject.client.delete_object, Bucket=bucket, Key="k", VersionId=made["VersionId"])
    expect(answer.startswith("403"), answer or "it is deleted")


def notifications(subject: Subject) -> None:
    """Tell a webhook of new objects (topics by SNS, as RGW has them); only tried on this machine."""
    if urlsplit(subject.endpoint.url).hostname not in ("127.0.0.1", "localhost", "s3.localhost"):
        raise Unable("not tried: the server cannot reach this machine")
    with _webhook() as (url, events):
        try:
            attributes = {"push-endpoint": url, "persistent": "false"}
            topic = subject.open_client("sns").create_topic(Name="mediaplane", Attributes=attributes)["TopicArn"]
        except (ClientError, BotoCoreError) as error:
            raise Unable(f"no topic can be made ({type(error).__name__})") from error
        bucket = subject.new_bucket()
        chosen = {"Id": "n1", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
        subject.client.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [chosen]}
        )
        subject.client.put_object(Bucket=bucket, Key="videos/x", Body=b"1")
        try:
            record = json.loads(events.get(timeout=_EVENT_SECONDS))["Records"][0]
        except queue.Empty:
            raise Unable("it can be set, but no event comes") from None
        expect(record["s3"]["object"]["key"] == "videos/x", "the event names another key")


@contextmanager
def _webhook() -> Iterator[tuple[str, "queue.Queue[bytes]"]]:
    events: queue.Queue[bytes] = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.put(self.rfile.read(int(self.headers.get("content-length") or 0)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", events
        finally:
            server.shutdown()
