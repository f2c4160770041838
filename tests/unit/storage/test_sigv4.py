"""Our SigV4 against boto3's presigner and the example that Amazon prints."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mediaplane.media.keys import check_key
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.signing import S3Signer
from mediaplane.storage.sigv4 import KeyedHash, Signature, authorisation, canonical_request, quote_key, quote_query

WINDOW = 1800
SIGNED_AT = datetime(2031, 3, 4, 5, 30, tzinfo=UTC)
KEYS = ["a.mp4", "frames/x y/1500.jpg", "a+b", "a~b", "100%/é/日本語😀", "!*'()&=?#;:@,$[]\"<>|^`{}", "dots.../..a"]


def boto3_url(endpoint: S3Endpoint, method: str, key: str, seconds: int, headers: dict[str, str] | None = None) -> str:
    """The URL that botocore signs for the same request at the same time."""
    credentials = Credentials(endpoint.access_key_id, endpoint.secret_access_key, endpoint.session_token or None)
    auth = S3SigV4QueryAuth(credentials, "s3", endpoint.region, expires=seconds)
    url = f"{endpoint.origin}{endpoint.base_path}{quote_key(key)}"
    request = AWSRequest(method=method, url=url, headers=headers or {})
    with patch("botocore.auth.get_current_datetime", return_value=SIGNED_AT.replace(tzinfo=None)):
        auth.add_auth(request)
    return str(request.url)


def parameters(url: str) -> dict[str, list[str]]:
    """The query, without regard to its order."""
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


ENDPOINTS = [
    S3Endpoint("https://s3.eu-central-1.amazonaws.com", "bucket", "AKID/EXAMPLE", "sec/ret+key", "eu-central-1"),
    S3Endpoint("http://127.0.0.1:9000", "bucket", "AKID", "secret"),
    S3Endpoint("https://s3.example.com:443/", "bucket", "AKID", "secret", virtual_host=True),
    S3Endpoint("http://s3.localhost:8333", "bucket", "AKID", "secret", virtual_host=True),
    S3Endpoint("https://example.com/base", "bucket", "AKID", "secret", session_token="tok/en+with=all&that"),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.url)
@pytest.mark.parametrize("key", KEYS)
def test_signature_is_boto3s(endpoint, key):
    """Equal requests at equal times have the same signature and parameters, for every method."""
    signer = S3Signer(endpoint, lifetime=timedelta(hours=1), now=lambda: SIGNED_AT.timestamp() + 1000)
    seconds = 3600 + WINDOW
    ours = signer.sign_get(check_key(key))
    theirs = boto3_url(endpoint, "GET", key, seconds)
    assert parameters(ours) == parameters(theirs)
    assert ours.split("?")[0] == theirs.split("?")[0]
    assert parameters(signer.sign_head(check_key(key))) == parameters(boto3_url(endpoint, "HEAD", key, seconds))
    put = signer.sign_put(check_key(key), size_bytes=123, content_type="video/mp4; codecs=avc1")
    headers = {"Content-Length": "123", "Content-Type": "video/mp4; codecs=avc1"}
    assert parameters(put) == parameters(boto3_url(endpoint, "PUT", key, seconds, headers))


def test_signature_of_amazons_example():
    """The example in Amazon's documentation comes out. Source: "Authenticating Requests: Using Query Parameters"."""
    time = datetime(2013, 5, 24, tzinfo=UTC)
    query = quote_query(
        authorisation(
            access_key_id="AKIAIOSFODNN7EXAMPLE", region="us-east-1", time=time, seconds=86400,
            session_token="", signed_headers="host",
        )
    )  # fmt: skip
    request = canonical_request("GET", "/test.txt", query, {"host": "examplebucket.s3.amazonaws.com"})
    signature = Signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", time, "us-east-1").of(request)
    assert signature == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.mark.parametrize("size_bytes", [0, 1, 32, 63, 64, 65, 200])
def test_keyed_hash_is_hmac(size_bytes):
    """The hash made by hand is HMAC-SHA256 for keys of every length."""
    import hmac

    key = bytes(range(size_bytes))
    keyed = KeyedHash(key)
    for text in (b"", b"a", b"long" * 100):
        assert keyed.of(text) == hmac.digest(key, text, "sha256")


def test_url_changes_with_the_day():
    """The key of the day is not kept longer than the day."""
    clock = [datetime(2031, 3, 4, 23, 59, 59, tzinfo=UTC).timestamp()]
    signer = S3Signer(ENDPOINTS[1], lifetime=timedelta(hours=1), now=lambda: clock[0])
    assert "%2F20310304%2F" in signer.sign_get(check_key("a"))
    clock[0] += 1
    assert "%2F20310305%2F" in signer.sign_get(check_key("a"))


def test_clock_that_goes_back():
    """A clock set back signs with the earlier time, never with a time of the future."""
    clock = [SIGNED_AT.timestamp()]
    signer = S3Signer(ENDPOINTS[1], lifetime=timedelta(hours=1), now=lambda: clock[0])
    signer.sign_get(check_key("a"))
    clock[0] -= 7200
    assert "X-Amz-Date=20310304T033000Z" in signer.sign_get(check_key("a"))


def test_endpoint_leaves_the_default_port_out_of_the_host():
    """Clients do not send a default port, so it may not be signed."""
    endpoint = ENDPOINTS[2]
    assert endpoint.host == "bucket.s3.example.com"
    assert replace(endpoint, url="http://[::1]:80", virtual_host=False).host == "[::1]"
    assert replace(endpoint, url="http://s3.example.com:443").host == "bucket.s3.example.com:443"
