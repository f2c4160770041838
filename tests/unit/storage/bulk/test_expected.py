"""What a ranged download is compared with, as the object's headers tell."""

from pathlib import Path

import pytest

from mediaplane.storage.bulk.digests import Crc32, encode
from mediaplane.storage.bulk.ranges import _expect
from mediaplane.storage.bulk.work import Download, Found
from mediaplane.storage.connection import wait_for
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.exchange import Answer
from mediaplane.storage.wire import Client

PART = 8 << 20


@pytest.mark.parametrize("provider", ["", "minio"])
@pytest.mark.parametrize("ending", ["-2", ""], ids=["composite", "whole"])
def test_crc32_that_the_store_tells_counts_whatever_the_provider(provider: str, ending: str):
    """Some servers tell it unasked: an MD5 of the bytes is not compared with it."""
    endpoint = S3Endpoint("http://127.0.0.1:1", "bucket", "key", "secret", provider_name=provider)
    crc32 = Crc32(b"bytes").digest()
    head = Answer(
        b'HTTP/1.1 200 OK\r\nETag: "0011223344556677-2"\r\n'
        + f"x-amz-checksum-crc32: {encode(crc32)}{ending}\r\n".encode()
        + f"x-amz-meta-mediaplane-part-bytes: {PART}\r\n".encode()
    )
    work = Download(endpoint, Found("big", 2 * PART, "", None), Path("big"))
    expected, size = wait_for(_expect(Client(endpoint), None, work, head, 1))
    assert expected.digest == crc32
    assert expected.check.new(b"bytes").digest() == crc32
    assert (expected.is_composite, size) == ((True, PART) if ending else (False, 1))
