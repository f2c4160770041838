"""Header signatures against botocore's, and Amazon's printed example."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mediaplane.storage.sigv4 import PAYLOAD, HeaderSigner, quote_key, quote_query

SIGNED_AT = datetime(2031, 3, 4, 5, 30, tzinfo=UTC)
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def header_of(lines: str, name: str) -> str:
    return next(line.partition(": ")[2] for line in lines.split("\r\n") if line.startswith(f"{name}:"))


def test_example_of_amazon():
    """The GET of Amazon's page comes out. Source: "Authenticating Requests: Using the Authorization Header"."""
    time = datetime(2013, 5, 24, tzinfo=UTC)
    signer = HeaderSigner("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1", time)
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"}
    lines = signer.sign("GET", "/test.txt", "", headers, EMPTY_SHA256)
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert header_of(lines, "authorization").endswith(f"Signature={signature}")


@pytest.mark.parametrize("key", ["a.mp4", "x y/1+2", "100%/é/日本語😀", "line\nbreak", "!*'()&=?#;:@,$[]\"<>|^`{}"])
@pytest.mark.parametrize("query", [{}, {"uploadId": "a/b+c=", "partNumber": "7"}, {"delete": ""}, {"prefix": "ü/ x"}])
@pytest.mark.parametrize("token", ["", "tok/en+with=all"])
def test_signature_is_botocores(key, query, token):
    """Equal requests at equal times have the same signature, whatever the key, query and token."""
    headers = {"host": "s3.example.com", "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==", "x-amz-meta-name": "a  b"}
    headers["x-amz-meta-name"] = "a b"  # what has more than one space in a row would be folded
    url = f"https://s3.example.com/bucket/{quote_key(key)}"
    request = AWSRequest("PUT", f"{url}?{quote_query(query)}" if query else url, headers=dict(headers), data=b"x")
    request.context["payload_signing_enabled"] = False
    auth = S3SigV4Auth(Credentials("AKID", "secret", token or None), "s3", "eu-central-1")
    with patch("botocore.auth.get_current_datetime", return_value=SIGNED_AT.replace(tzinfo=None)):
        auth.add_auth(request)
    signer = HeaderSigner("AKID", "secret", token, "eu-central-1", SIGNED_AT)
    signed = {**headers, "host": "s3.example.com"}
    lines = signer.sign("PUT", f"/bucket/{quote_key(key)}", quote_query(query), signed, PAYLOAD)
    theirs = request.headers["Authorization"].partition("Signature=")[2]
    assert header_of(lines, "authorization").partition("Signature=")[2] == theirs
