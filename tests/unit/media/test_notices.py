"""What buckets tell, in the words of each provider: read into ours, or refused, whatever comes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidNotice
from mediaplane.media.notices import MOST_NOTICES, Kind, Notice, read_body, read_notices, sns_type

KEY = "videos/original/match-01/master.mp4"


def aws(name: str = "ObjectCreated:Put", key: str = KEY) -> dict:
    return {
        "Records": [
            {
                "eventVersion": "2.5",
                "eventSource": "aws:s3",
                "awsRegion": "eu-west-1",
                "eventTime": "2026-11-20T12:00:00.000Z",
                "eventName": name,
                "userIdentity": {"principalId": "AWS:AIDAJDPLRKLG7UEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "192.0.2.1"},
                "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "mediaplane-originals",
                    "bucket": {"name": "media", "ownerIdentity": {"principalId": "A3NL"}, "arn": "arn:aws:s3:::media"},
                    "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204", "sequencer": "0055AED6DCD90281E5"},
                },
            }
        ]
    }


def minio(key: str = KEY.replace("/", "%2F")) -> dict:
    record = aws("s3:ObjectCreated:CompleteMultipartUpload", key)["Records"][0]
    record |= {"eventSource": "minio:s3", "source": {"host": "10.0.0.1", "port": "", "userAgent": "MinIO (linux)"}}
    record["s3"]["object"] |= {"contentType": "video/mp4", "userMetadata": {"content-type": "video/mp4"}}
    return {"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": f"media/{KEY}", "Records": [record]}


def ceph(key: str = KEY) -> dict:
    record = aws("ObjectCreated:Put", key)["Records"][0]
    record |= {"eventSource": "ceph:s3", "eventId": "1575221657.102001.80dad3aad8584778352c68ea06250327"}
    record["s3"]["bucket"]["id"] = "47cb87b2-1a8c-4a2c.4246.1"
    record["s3"]["object"] |= {"versionId": "", "metadata": [], "tags": []}
    return {"Records": [{**record, "opaqueData": "me@example.com"}]}


def sns(message: object, kind: str = "Notification") -> dict:
    return {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:media",
        "Subject": "Amazon S3 Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-11-20T12:00:00.000Z",
        "SignatureVersion": "2",
    }


def event_bridge(kind: str = "Object Created", key: str = KEY) -> dict:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-11-20T12:00:00Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:s3:::media"],
        "detail": {
            "version": "0",
            "bucket": {"name": "media"},
            "object": {"key": key, "size": 5, "etag": "b1946ac92492d234", "sequencer": "00617F08299329D189"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "reason": "PutObject",
        },
    }


def r2(action: str = "PutObject", key: str = KEY) -> dict:
    return {
        "account": "3f4b7e3dcab231cbfdaa90a6a28bd548",
        "action": action,
        "bucket": "media",
        "object": {"key": key, "size": 65536, "eTag": "c846ff7a18f28c2e262116d6e8719ef0"},
        "eventTime": "2026-11-20T12:00:00.000Z",
    }


def pulled(message: object) -> str:
    """A message as Cloudflare's pull API gives its body."""
    return base64.b64encode(json.dumps(message).encode()).decode()


@pytest.mark.parametrize(
    "document",
    [
        aws(),
        minio(),
        ceph(),
        sns(aws()),
        sns(event_bridge()),
        event_bridge(),
        r2(),
        r2("CompleteMultipartUpload"),
        [r2()],
        {"messages": [{"id": "1", "body": r2(), "attempts": 1}]},
        {"messages": [{"id": "1", "body": pulled(r2())}]},
    ],
    ids=["aws", "minio", "ceph", "sns", "sns of eventbridge", "eventbridge", "r2", "r2 multipart", "list", "batch",
         "pulled batch"],
)  # fmt: skip
def test_every_provider_says_the_same(document):
    """A new object is read as one, whoever tells of it and however it is wrapped."""
    (notice,) = read_notices(read_body(json.dumps(document)))
    assert (notice.kind, notice.bucket, notice.keys[0]) == (Kind.CAME, "media", KEY)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (aws("ObjectRemoved:Delete"), Kind.WENT),
        (aws("s3:ObjectRemoved:DeleteMarkerCreated"), Kind.WENT),
        (aws("LifecycleExpiration:Delete"), Kind.WENT),
        (event_bridge("Object Deleted"), Kind.WENT),
        (r2("DeleteObject"), Kind.WENT),
        (r2("LifecycleDeletion"), Kind.WENT),
        (aws("ObjectTagging:Put"), Kind.OTHER),
        (event_bridge("Object Tags Added"), Kind.OTHER),
        (r2("SomethingNew"), Kind.OTHER),
    ],
)
def test_what_went_and_what_does_not_concern_us(document, kind):
    """Deletions are told from arrivals, and from all else."""
    assert [notice.kind for notice in read_notices(document)] == [kind]


def test_keys_as_senders_write_them():
    """S3's records quote keys as forms do, Ceph's do not, and nothing says which: both are looked for."""
    (quoted,) = read_notices(aws(key="a+b%2Bc/%C3%A9.mp4"))
    assert quoted.keys == ("a b+c/é.mp4", "a+b%2Bc/%C3%A9.mp4")
    (plain,) = read_notices(event_bridge(key="a+b/é.mp4"))
    assert plain.keys == ("a+b/é.mp4",)
    (r2_plain,) = read_notices(r2(key="a+b.mp4"))
    assert r2_plain.keys == ("a+b.mp4",)


@pytest.mark.parametrize("key", ["", "../x", "a//b", "a\0b", "a\ud800", "x" * 2000, "a\\b"])
def test_keys_that_cannot_be(key):
    """A notice about a key that no object of ours has is read, and names nothing to look for."""
    for notice in (*read_notices(event_bridge(key=key)), *read_notices(r2(key=key))):
        assert notice.keys == ()


def test_messages_that_ask_for_nothing():
    """Test messages and confirmations are understood, and tell of nothing."""
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026", "Bucket": "media", "RequestId": "1"}
    assert read_notices(test) == []
    assert read_notices(sns(test)) == []
    assert read_notices(sns("You have chosen to subscribe", "SubscriptionConfirmation")) == []
    assert sns_type(sns("…", "SubscriptionConfirmation")) == "SubscriptionConfirmation"
    assert read_notices({"Records": []}) == []


@pytest.mark.parametrize(
    "document",
    [
        None, 1, "text", {}, [1], {"Records": [1]}, {"Records": [{"s3": {}}]}, {"messages": [1]}, {"messages": [{}]},
        {"action": "PutObject"}, {"detail-type": "Object Created"}, sns("no JSON"), sns(sns(sns(sns(sns(aws()))))),
        {"Records": [{"eventName": 1, "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]},
        {"Type": "Notification", "TopicArn": "t"},
    ],
)  # fmt: skip
def test_what_no_bucket_tells(document):
    """What is not understood is refused with a sentence."""
    with pytest.raises(InvalidNotice):
        read_notices(document)


def test_too_much_at_once():
    """A body with more notices than any server sends is refused."""
    with pytest.raises(InvalidNotice):
        read_notices({"Records": aws()["Records"] * (MOST_NOTICES + 1)})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, "é", b"bm8ganNvbg=="])
def test_bodies_that_are_no_json(body):
    """A body that cannot be read is refused, however it is broken."""
    with pytest.raises(InvalidNotice):
        read_notices(read_body(body))


texts = st.text(max_size=8) | st.sampled_from(
    ["Records", "s3", "bucket", "name", "object", "key", "eventName", "Type", "Notification", "TopicArn", "Message",
     "messages", "body", "detail-type", "detail", "action", "ObjectCreated:Put", "PutObject", "{}", "e30="]
)  # fmt: skip
rubbish = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


@given(rubbish)
def test_rubbish_is_read_or_refused(document):
    """Whatever a document holds, it is notices or a refusal, never another error."""
    try:
        found = read_notices(document)
    except InvalidNotice:
        return
    assert all(isinstance(notice, Notice) for notice in found)


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(body):
    """Whatever bytes come, they are a document or a refusal."""
    try:
        read_notices(read_body(body))
    except InvalidNotice:
        return
