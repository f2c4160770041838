"""What `bucket policy` prints, put on a bucket of a real Ceph: each role can do its work, and nothing else."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from botocore.exceptions import ClientError

from mediaplane.errors import AccessDenied
from mediaplane.media.keys import check_key
from mediaplane.settings import load_settings
from mediaplane.storage import buckets
from mediaplane.storage.bucket.apply import plan, prepare
from mediaplane.storage.bucket.policy import bucket_policy
from mediaplane.storage.bucket.targets import Target, read_targets
from mediaplane.storage.connectivity import check_permissions
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.s3_intake import S3Intake
from mediaplane.storage.signing import S3Signer

GUEST = "arn:aws:iam:::user/guest"
ORIGINAL = check_key("videos/original/a1/master.mp4")
CLIP = check_key("videos/clips/a1/c1.mp4")
MISSING = check_key("videos/original/a1/master.mov")
STRANGER = check_key("private/diary.txt")
PART = 5 << 20


@pytest.fixture
def owner(rgw, fresh_bucket):
    """The bucket as its owner opens it."""
    return S3Endpoint(rgw.http_endpoint, fresh_bucket(rgw), rgw.access_key, rgw.secret_key, provider_name="ceph")


def target_of(owner, profile="cortana-vision", **change) -> Target:
    env = {
        "MEDIAPLANE_PROFILE": profile,
        "S3_ENDPOINT": owner.url,
        "S3_BUCKET": owner.bucket,
        "S3_PROVIDER": "ceph",
        "S3_ACCESS_KEY_ID": owner.access_key_id,
        "S3_SECRET_ACCESS_KEY": owner.secret_access_key,
    }
    return replace(read_targets(load_settings(env))[0], **change)


def as_guest(rgw, owner, policy) -> S3Endpoint:
    """Put the policy on the bucket, two objects into it, and return the bucket as the guest opens it."""
    client = buckets.open_client(owner)
    client.put_bucket_policy(Bucket=owner.bucket, Policy=json.dumps(policy))
    for key in (ORIGINAL, STRANGER):
        client.put_object(Bucket=owner.bucket, Key=key, Body=b"0123456789")
    return replace(owner, access_key_id=rgw.guest_access_key, secret_access_key=rgw.guest_secret_key)


async def body(size=10):
    yield b"x" * size


async def read(store, key, **part):
    return b"".join([chunk async for chunk in store.read(key, **part)])


def refused(work) -> bool:
    """Tell whether boto3 or our code was refused for lack of permission."""
    try:
        asyncio.run(work()) if asyncio.iscoroutinefunction(work) else work()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    except AccessDenied:
        return True
    return False


def may_not_touch_settings(endpoint) -> bool:
    client = buckets.open_client(endpoint)
    place = {"Bucket": endpoint.bucket}
    rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["DELETE"]}
    return all(
        refused(work)
        for work in (
            lambda: client.put_bucket_cors(**place, CORSConfiguration={"CORSRules": [rule]}),
            lambda: client.delete_bucket_policy(**place),
            lambda: client.put_bucket_versioning(**place, VersioningConfiguration={"Status": "Enabled"}),
            lambda: client.delete_bucket_lifecycle(**place),
            lambda: client.delete_bucket(**place),
        )
    )


def test_gateway_reads_and_takes_uploads(rgw, owner):
    """Its URLs read everything and write originals; direct uploads in parts work; it deletes and lists nothing."""
    endpoint = as_guest(rgw, owner, bucket_policy(target_of(owner), {"gateway": GUEST}))
    store, signer = S3Store(endpoint), S3Signer(endpoint, lifetime=timedelta(hours=1))
    intake = S3Intake(endpoint, lifetime=timedelta(hours=1))
    assert httpx.get(signer.sign_get(ORIGINAL), headers={"Range": "bytes=2-4"}).text == "234"
    assert httpx.head(signer.sign_head(ORIGINAL)).status_code == 200
    fresh = check_key("videos/original/a2/master.mp4")
    url = signer.sign_put(fresh, size_bytes=3, content_type="video/mp4")
    assert httpx.put(url, content=b"abc", headers={"Content-Type": "video/mp4"}).status_code == 200

    async def upload_in_parts():
        ref = await intake.begin(fresh, content_type="video/mp4")
        first = intake.sign_part(fresh, ref, number=1, size_bytes=PART)
        sent = await asyncio.to_thread(httpx.put, first, content=b"x" * PART)
        assert sent.status_code == 200
        parts = await intake.parts(fresh, ref)
        await intake.join(fresh, ref, parts)
        await intake.abort(fresh, await intake.begin(fresh, content_type="video/mp4"))

    asyncio.run(upload_in_parts())
    assert asyncio.run(store.stat(fresh)).size_bytes == PART
    assert refused(lambda: asyncio.run(store.delete([ORIGINAL])))
    assert refused(lambda: asyncio.run(read(store, STRANGER)))
    assert refused(lambda: asyncio.run(store.put(CLIP, body(), content_type="video/mp4")))
    assert refused(lambda: list(asyncio.run(all_of(store, ""))))
    assert may_not_touch_settings(endpoint)


async def all_of(store, prefix):
    return [info.key async for info in store.walk(prefix)]


def test_worker_makes_and_deletes(rgw, owner):
    """It reads originals by ranges, writes what it makes, in parts too, deletes, and ends abandoned uploads."""
    endpoint = as_guest(rgw, owner, bucket_policy(target_of(owner), {"worker": GUEST}))
    store = S3Store(endpoint, part_bytes=PART)
    assert asyncio.run(read(store, ORIGINAL, start=2, length=3)) == b"234"
    assert asyncio.run(store.put(CLIP, body(2 * PART + 1), content_type="video/mp4")).size_bytes == 2 * PART + 1
    others = [check_key(f"frames/a1/{number}.jpg") for number in range(3)]
    for key in others:
        asyncio.run(store.put(key, body(), content_type="image/jpeg"))
    buckets.open_client(endpoint).create_multipart_upload(Bucket=endpoint.bucket, Key=CLIP)
    assert buckets.abort_uploads(endpoint, older_than=timedelta(seconds=-5)) == 1
    asyncio.run(store.delete([CLIP, *others, ORIGINAL, MISSING]))
    left = buckets.open_client(owner).list_objects_v2(Bucket=owner.bucket)
    assert [entry["Key"] for entry in left["Contents"]] == [STRANGER]
    assert refused(lambda: asyncio.run(store.put(ORIGINAL, body(), content_type="video/mp4")))
    assert refused(lambda: asyncio.run(store.delete([STRANGER])))
    assert refused(lambda: asyncio.run(all_of(store, "")))
    assert may_not_touch_settings(endpoint)


def test_scanner_lists_originals_only(rgw, owner):
    """It lists under the originals' prefix, and can read no byte."""
    endpoint = as_guest(rgw, owner, bucket_policy(target_of(owner), {"scanner": GUEST}))
    store = S3Store(endpoint)
    assert asyncio.run(all_of(store, "videos/original/")) == [ORIGINAL]
    assert refused(lambda: asyncio.run(all_of(store, "")))
    assert refused(lambda: asyncio.run(all_of(store, "private/")))
    assert refused(lambda: asyncio.run(read(store, ORIGINAL)))
    assert refused(lambda: asyncio.run(store.put(ORIGINAL, body(), content_type="video/mp4")))
    assert refused(lambda: asyncio.run(store.delete([ORIGINAL])))
    assert may_not_touch_settings(endpoint)


@pytest.fixture
def bookmarks(rgw, owner):
    """The bucket of `bookmarkai` as its one user opens it: put, get and delete under its prefixes, nothing else."""
    policy = bucket_policy(target_of(owner, "bookmarkai"), {"gateway": GUEST, "worker": GUEST, "scanner": GUEST})
    actions = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert sorted(actions) == ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    return as_guest(rgw, owner, policy)


VIDEO = check_key("temp/videos/2026/11/21/0f3a_1795250000.mp4")


def test_bookmarkai_stores_reads_and_deletes(bookmarks, owner):
    """Small and large videos, ranges, signed URLs, batches of deletions: all of it with three actions."""
    store = S3Store(bookmarks, part_bytes=PART)
    signer = S3Signer(bookmarks, lifetime=timedelta(hours=1))
    asyncio.run(store.put(VIDEO, body(), content_type="video/mp4"))
    large = check_key("temp/videos/2026/11/21/ffff_1795250001.mp4")
    assert asyncio.run(store.put(large, body(2 * PART + 1), content_type="video/mp4")).size_bytes == 2 * PART + 1
    assert asyncio.run(read(store, VIDEO, start=1, length=2)) == b"xx"
    assert httpx.get(signer.sign_get(VIDEO)).status_code == 200
    asyncio.run(store.delete([VIDEO, large, check_key("temp/videos/none.mp4")]))
    listed = buckets.open_client(owner).list_objects_v2(Bucket=owner.bucket, Prefix="temp/")
    assert "Contents" not in listed


def test_bookmarkai_is_told_that_a_missing_key_may_be_missing(bookmarks):
    """Without s3:ListBucket a missing key is refused, not missing: the error says so, and that the keys are known."""
    store = S3Store(bookmarks)
    for work in (store.stat(VIDEO), read(store, VIDEO)):
        with pytest.raises(AccessDenied):
            asyncio.run(work)
    with pytest.raises(AccessDenied, match="nothing is stored there") as told:
        asyncio.run(read(store, VIDEO))
    assert told.value.keys_known
    with pytest.raises(AccessDenied) as wrong:
        asyncio.run(read(S3Store(replace(bookmarks, secret_access_key="wrong")), VIDEO))
    assert not wrong.value.keys_known


def test_bookmarkai_may_do_nothing_else(bookmarks):
    """Neither list, nor leave its prefixes, nor look at or change the bucket's settings."""
    store = S3Store(bookmarks)
    assert refused(lambda: asyncio.run(all_of(store, "temp/videos/")))
    assert refused(lambda: asyncio.run(read(store, STRANGER)))
    assert refused(lambda: asyncio.run(store.put(STRANGER, body(), content_type="text/plain")))
    assert refused(lambda: asyncio.run(store.delete([STRANGER])))
    assert refused(lambda: buckets.abort_uploads(bookmarks, older_than=timedelta(0)))
    assert may_not_touch_settings(bookmarks)


def test_bookmarkai_starts_without_listing(bookmarks, owner):
    """The check at start passes, and nothing is changed, remarked, or taken for different."""
    assert check_permissions(bookmarks, VIDEO) is None
    assert buckets.exists(bookmarks)
    assert prepare(target_of(owner, "bookmarkai", endpoint=bookmarks)) == []
    difference = plan(bookmarks, target_of(owner, "bookmarkai").wanted)
    assert difference.clean
    assert set(difference.unknown) >= {"cors", "lifecycle", "policy"}
