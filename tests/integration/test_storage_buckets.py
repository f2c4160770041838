"""Bucket settings, listing and the engine's surroundings on the real S3 servers."""

import asyncio
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mediaplane.errors import AccessDenied, StorageError
from mediaplane.media.keys import check_key
from mediaplane.storage import buckets
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.listing import Listing
from mediaplane.storage.s3 import S3Store
from tests.services.rgw import free_port

MODIFIED = "Sat, 21 Nov 2026 07:52:34 GMT"


@pytest.fixture
def endpoint(s3_server, fresh_bucket):
    """A fresh bucket on each server."""
    return S3Endpoint(s3_server.http_endpoint, fresh_bucket(s3_server), s3_server.access_key, s3_server.secret_key)


async def one(body=b"x"):
    yield body


def test_bucket_is_made_once_and_private(s3_server, endpoint):
    """A missing bucket is made, twice is no error, and nobody else may read it."""
    fresh = replace(endpoint, bucket=f"{endpoint.bucket}-new")
    assert buckets.ensure_bucket(fresh) is True
    assert buckets.ensure_bucket(fresh) is False
    s3_server.client().put_object(Bucket=fresh.bucket, Key="a", Body=b"1")
    assert httpx.get(f"{fresh.url}/{fresh.bucket}/a").status_code == 403
    assert httpx.get(f"{fresh.url}/{fresh.bucket}?list-type=2").status_code == 403
    assert buckets.exists(fresh)


def test_bucket_over_https_and_virtual_host(s3_server, endpoint, localhost_names):
    """Bucket settings go the same ways as bytes do."""
    fresh = replace(
        endpoint,
        url=s3_server.endpoint(scheme="https", addressing="virtual"),
        bucket=f"{endpoint.bucket}-tls",
        virtual_host=True,
        ca_file=str(s3_server.ca_file),
    )
    assert buckets.ensure_bucket(fresh) is True
    assert buckets.exists(fresh)


def test_abandoned_uploads_are_aborted(endpoint):
    """Multipart uploads of killed writers go, younger ones stay."""
    client = buckets.open_client(endpoint)
    for key in ("a/b", "c"):
        upload = client.create_multipart_upload(Bucket=endpoint.bucket, Key=key)
        client.upload_part(Bucket=endpoint.bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    assert buckets.abort_uploads(endpoint, older_than=timedelta(hours=1)) == 0
    assert buckets.abort_uploads(endpoint, older_than=timedelta(seconds=-5)) == 2
    assert not client.list_multipart_uploads(Bucket=endpoint.bucket).get("Uploads")


@pytest.mark.parametrize(
    ("change", "kind", "setting"),
    [
        ({"access_key_id": "nobody"}, AccessDenied, "S3_ACCESS_KEY_ID"),
        ({"secret_access_key": "wrong"}, AccessDenied, "S3_SECRET_ACCESS_KEY"),
        ({"bucket": "there-is-no-such-bucket"}, StorageError, "S3_BUCKET"),
        ({"url": f"http://127.0.0.1:{free_port()}"}, StorageError, "connection refused; check S3_ENDPOINT"),
        ({"url": "http://no-such-host.invalid"}, StorageError, "host name is unknown; check S3_ENDPOINT"),
    ],
    ids=["key", "secret", "bucket", "port", "host"],
)
def test_what_is_wrong_is_told(endpoint, change, kind, setting):
    """Each wrong setting is named, whoever meets it first."""
    wrong = replace(endpoint, **change)
    with pytest.raises(kind) as told:
        list(Listing(wrong, retry_for=timedelta(seconds=1)).walk("", ""))
    sentences = [told.value.message]
    if "bucket" not in change:
        with pytest.raises(kind) as told:
            buckets.ensure_bucket(wrong)
        sentences.append(told.value.message)
    for sentence in sentences:
        assert all(word in sentence.replace("(", "").replace(")", "") for word in setting.split("; "))


def test_keys_that_may_not_make_a_bucket(s3_server, endpoint):
    """A user without the permission is told so."""
    guest = replace(
        endpoint,
        access_key_id=s3_server.guest_access_key,
        secret_access_key=s3_server.guest_secret_key,
        bucket=f"{endpoint.bucket}-x",
    )
    if s3_server.name == "rgw":  # there every user may make buckets; one that may not be looked into is there
        assert buckets.ensure_bucket(replace(guest, bucket=endpoint.bucket)) is False
    else:
        with pytest.raises(AccessDenied):
            buckets.ensure_bucket(guest)


def test_clock_that_is_wrong(endpoint, monkeypatch):
    """A clock an hour off is told as that, not as a wrong key."""
    late = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: late)
    with pytest.raises(StorageError, match="clock"):
        buckets.exists(endpoint)


async def test_listing_in_small_pages(endpoint):
    """Pages meet without a gap or a double, whatever their size, from any place."""
    client = buckets.open_client(endpoint)
    keys = sorted(f"{folder}{name}" for folder in ("", "a/", "a-b/", "a/b/") for name in ("x", "x-", "x.y", "é", "y/z"))
    for key in keys:
        client.put_object(Bucket=endpoint.bucket, Key=key, Body=b"")
    for page_keys in (1, 2, 3, 1000):
        listing = Listing(endpoint, page_keys=page_keys)
        assert [info.key for info in listing.walk("", "")] == keys
        later = [key for key in keys if key.startswith("a") and key > "a/b/x-"]
        assert [info.key for info in listing.walk("a", "a/b/x-")] == later


async def test_listing_of_a_bucket_filled_by_hand(rgw, fresh_bucket):
    """Folder markers and keys with empty or dot parts do not end a walk; they are left out of it."""
    endpoint = S3Endpoint(rgw.http_endpoint, fresh_bucket(rgw), rgw.access_key, rgw.secret_key)
    client = buckets.open_client(endpoint)
    for key in ("a/", "a//b", "a/./b", "a/../b", "/a", "a/b", "b\\c", "tab\tkey", "z"):
        client.put_object(Bucket=endpoint.bucket, Key=key, Body=b"")
    assert [info.key for info in Listing(endpoint).walk("", "")] == ["a/b", "z"]


async def test_environment_of_aws_tools_is_not_read(endpoint, monkeypatch):
    """AWS_* variables of the user's shell change nothing: obstore would read them all."""
    for name, value in {
        "AWS_SESSION_TOKEN": "stranger",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_REGION": "mars-1",
        "AWS_PROFILE": "none",
    }.items():
        monkeypatch.setenv(name, value)
    store, key = S3Store(endpoint), check_key("a")
    await store.put(key, one(), content_type="text/plain")
    assert [info.key async for info in store.walk("")] == ["a"]


def test_session_token_is_sent():
    """Temporary keys go with their token in every kind of request, and put sends no checksum of its own."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_all, args=(listener, seen), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = S3Endpoint(url, "bucket", "AKID", "secret", session_token="the/token")

        async def run():
            store = S3Store(endpoint, retry_for=timedelta(seconds=1))
            with pytest.raises(StorageError, match="bytes were sent"):  # the stand-in stores nothing
                await store.put(check_key("a"), one(b"abc"), content_type="text/plain")
            return [info async for info in store.walk("")]

        assert asyncio.run(run()) == []
    put, head, listed = seen
    assert "x-amz-security-token: the/token" in listed
    assert put.startswith("PUT /bucket/a ")
    assert head.startswith("HEAD /bucket/a ")
    assert listed.startswith("GET /bucket?")
    for request in (put, head, listed):
        assert "x-amz-security-token: the/token" in request
        assert "checksum" not in request
        assert "trailer" not in request


def test_answer_that_is_cut_off():
    """A body that ends before its length is an error, never a short object."""

    def cut(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                head = f"HTTP/1.1 200 OK\r\nLast-Modified: {MODIFIED}\r\nContent-Length: 5000000\r\n\r\n"
                connection.sendall(head.encode() + b"x" * 3_000_000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=cut, args=(listener,), daemon=True).start()
        endpoint = S3Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", "bucket", "AKID", "secret")
        store = S3Store(endpoint, retry_for=timedelta(seconds=1))

        async def run():
            return [chunk async for chunk in store.read(check_key("a"))]

        with pytest.raises(StorageError) as told:
            asyncio.run(run())
        assert told.value.retryable


def answer_all(listener: socket.socket, seen: list[str]) -> None:
    """Answer each request as an empty S3."""
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            request = connection.recv(65536).decode()
            seen.append(request)
            body = page if request.startswith("GET") else b""
            head = f'HTTP/1.1 200 OK\r\nETag: "a"\r\nLast-Modified: {MODIFIED}\r\nContent-Length: {len(body)}\r\n'
            connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
