"""What can be asked of a server about uploads in parts.

Source: Amazon S3 User Guide, "Uploading and copying objects using multipart upload".
"""

import hashlib
import os
from collections.abc import Sequence

from mediaplane.storage.compatibility.subject import Subject, expect, refusal

_SMALLEST = 5 << 20  # of every part but the last


def in_parts(subject: Subject) -> None:
    """Take parts, list them and the upload, and answer the MD5 of the parts' MD5s as ETag."""
    parts = [os.urandom(_SMALLEST)] * 2 + [b"end"]
    upload_id, sent = _send(subject, "parts", parts)
    listed = subject.client.list_parts(Bucket=subject.bucket, Key="parts", UploadId=upload_id)["Parts"]
    expect([part["Size"] for part in listed] == [len(part) for part in parts], "the parts are listed wrongly")
    uploads = subject.client.list_multipart_uploads(Bucket=subject.bucket).get("Uploads", [])
    expect(upload_id in [upload["UploadId"] for upload in uploads], "the upload is not listed")
    _complete(subject, "parts", upload_id, sent)
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()  # noqa: S324
    head = subject.client.head_object(Bucket=subject.bucket, Key="parts")
    expect(head["ContentLength"] == sum(map(len, parts)), f"{head['ContentLength']} bytes are stored")
    expect(head["ETag"] == f'"{digest}-3"', f"the ETag is {head['ETag']}")


def unequal_parts(subject: Subject) -> None:
    """Take parts of different sizes."""
    parts = [os.urandom(_SMALLEST + 1), os.urandom(_SMALLEST), b"end"]
    upload_id, sent = _send(subject, "unequal", parts)
    _complete(subject, "unequal", upload_id, sent)
    expect(subject.get("unequal") == b"".join(parts), "other bytes are stored")


def small_part(subject: Subject) -> None:
    """Refuse a part under 5 MiB that is not the last."""
    upload_id, sent = _send(subject, "small", [b"x", b"y"])
    complete = subject.client.complete_multipart_upload
    answer = refusal(complete, Bucket=subject.bucket, Key="small", UploadId=upload_id, MultipartUpload={"Parts": sent})
    expect(answer == "400 EntityTooSmall", answer or "it was taken")


def abort(subject: Subject) -> None:
    """Forget an upload that is aborted."""
    upload_id, _ = _send(subject, "aborted", [b"x"])
    subject.client.abort_multipart_upload(Bucket=subject.bucket, Key="aborted", UploadId=upload_id)
    answer = refusal(subject.client.list_parts, Bucket=subject.bucket, Key="aborted", UploadId=upload_id)
    expect(answer.startswith("404"), answer or "its parts are still listed")


def part_by_number(subject: Subject) -> None:
    """Serve one part of an object by its number."""
    upload_id, sent = _send(subject, "numbered", [os.urandom(_SMALLEST), b"end"])
    _complete(subject, "numbered", upload_id, sent)
    found = subject.get("numbered", PartNumber=2)
    expect(found == b"end", f"{len(found)} bytes came")


def copied_part(subject: Subject) -> None:
    """Make a part from a range of another object."""
    content = os.urandom(_SMALLEST + 10)
    subject.put("source", content)
    upload_id = subject.client.create_multipart_upload(Bucket=subject.bucket, Key="joined")["UploadId"]
    sent = []
    for number, end in ((1, _SMALLEST - 1), (2, _SMALLEST + 9)):
        first = 0 if number == 1 else _SMALLEST
        made = subject.client.upload_part_copy(
            Bucket=subject.bucket,
            Key="joined",
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": subject.bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{end}",
        )
        sent.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
    _complete(subject, "joined", upload_id, sent)
    expect(subject.get("joined") == content, "other bytes are stored")


def create_only(subject: Subject) -> None:
    """Honour If-None-Match: * when an upload in parts is completed."""
    subject.put("taken")
    upload_id, sent = _send(subject, "taken", [b"z"])
    complete = subject.client.complete_multipart_upload
    place = {"Bucket": subject.bucket, "Key": "taken", "UploadId": upload_id}
    answer = refusal(complete, **place, MultipartUpload={"Parts": sent}, IfNoneMatch="*")
    expect(answer.startswith("412"), answer or "it is ignored")


def _send(subject: Subject, key: str, parts: Sequence[bytes]) -> tuple[str, list[dict[str, object]]]:
    upload_id: str = subject.client.create_multipart_upload(Bucket=subject.bucket, Key=key)["UploadId"]
    sent: list[dict[str, object]] = []
    for number, part in enumerate(parts, start=1):
        made = subject.client.upload_part(
            Bucket=subject.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part
        )
        sent.append({"PartNumber": number, "ETag": made["ETag"]})
    return upload_id, sent


def _complete(subject: Subject, key: str, upload_id: str, sent: Sequence[dict[str, object]]) -> None:
    subject.client.complete_multipart_upload(
        Bucket=subject.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": list(sent)}
    )
