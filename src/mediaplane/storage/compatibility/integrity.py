"""What can be asked of a server about checksums.

Source: Amazon S3 User Guide, "Checking object integrity". Newer SDKs send a CRC32 with every upload unless they are
told `when_required`: over HTTP as a header, over HTTPS as a trailer, which is what some servers refuse.
"""

import base64
import zlib

from mediaplane.storage.compatibility.subject import Subject, expect, refusal

_BODY = b"hello" * 1000


def default_checksums(subject: Subject) -> None:
    """Take uploads as newer SDKs send them by default (over HTTPS with a checksum in a trailer)."""
    client = subject.open_client(request_checksum_calculation="when_supported")
    client.put_object(Bucket=subject.bucket, Key="by-default", Body=_BODY)
    expect(subject.get("by-default") == _BODY, "other bytes are stored")


def required_checksums(subject: Subject) -> None:
    """Take uploads without a checksum, as we send them."""
    subject.put("without", _BODY)
    expect(subject.get("without") == _BODY, "other bytes are stored")


def stored_checksum(subject: Subject) -> None:
    """Return the CRC32 that an object was uploaded with."""
    subject.put("crc", _BODY, ChecksumCRC32=_crc32(_BODY))
    head = subject.client.head_object(Bucket=subject.bucket, Key="crc", ChecksumMode="ENABLED")
    expect(head.get("ChecksumCRC32") == _crc32(_BODY), "it is taken and not returned")


def wrong_crc32(subject: Subject) -> None:
    """Refuse an upload whose CRC32 is wrong."""
    answer = refusal(subject.put, key="wrong-crc", body=_BODY, ChecksumCRC32=_crc32(b"another"))
    expect(answer.startswith("400"), answer or "it is stored")


def wrong_md5(subject: Subject) -> None:
    """Refuse an upload whose Content-MD5 is wrong."""
    answer = refusal(subject.put, key="wrong-md5", body=_BODY, ContentMD5=base64.b64encode(b"0" * 16).decode())
    expect(answer.startswith("400"), answer or "it is stored")


def _crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
