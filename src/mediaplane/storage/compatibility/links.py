"""What can be asked of a server about URLs that carry their own permission, and about browsers.

Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters" and "POST Policy".
"""

import time
from typing import Any

from mediaplane.storage.compatibility.subject import Answer, Subject, expect

_FORM = "mediaplane-form"
_ALLOWED = "access-control-allow-origin"


def signed_get(subject: Subject) -> None:
    """Serve a signed URL, also in ranges and under another name; refuse one that was changed."""
    subject.put("signed", b"0123456789")
    url = _sign(subject, "get_object", "signed", ResponseContentDisposition='attachment; filename="f.mp4"')
    answer = subject.request("GET", url)
    expect(answer.status == 200 and answer.body == b"0123456789", f"it answers {answer.status}")
    expect("f.mp4" in answer.headers.get("content-disposition", ""), "the name to save under is not honoured")
    part = subject.request("GET", url, headers={"Range": "bytes=2-4"})
    expect(part.status == 206 and part.body == b"234", f"a range answers {part.status}")
    changed = subject.request("GET", url[:-2] + ("00" if url[-2:] != "00" else "11"))
    expect(changed.status == 403, f"a changed signature answers {changed.status}")


def expiry(subject: Subject) -> None:
    """Refuse a signed URL after its time."""
    subject.put("brief")
    url = _sign(subject, "get_object", "brief", seconds=1)
    time.sleep(2.2)
    status = subject.request("GET", url).status
    expect(status == 403, f"it answers {status}")


def signed_put(subject: Subject) -> None:
    """Take a signed PUT of its content type only."""
    url = _sign(subject, "put_object", "typed", ContentType="image/jpeg")
    status = subject.request("PUT", url, b"abc", {"Content-Type": "image/jpeg"}).status
    expect(status == 200, f"it answers {status}")
    status = subject.request("PUT", url, b"abc", {"Content-Type": "text/html"}).status
    expect(status == 403, f"another content type answers {status}")


def sized_put(subject: Subject) -> None:
    """Take a signed PUT of its size only."""
    url = _sign(subject, "put_object", "sized", ContentLength=3)
    status = subject.request("PUT", url, b"abc").status
    expect(status == 200, f"it answers {status}")
    status = subject.request("PUT", url, b"abcdef").status
    expect(status == 403, f"another size answers {status}")


def signed_part(subject: Subject) -> None:
    """Take a part at a signed URL."""
    upload_id = subject.client.create_multipart_upload(Bucket=subject.bucket, Key="by-part")["UploadId"]
    answer = subject.request("PUT", _sign(subject, "upload_part", "by-part", UploadId=upload_id, PartNumber=1), b"abc")
    expect(answer.status == 200, f"it answers {answer.status}")
    parts = [{"PartNumber": 1, "ETag": answer.headers["etag"]}]
    subject.client.complete_multipart_upload(
        Bucket=subject.bucket, Key="by-part", UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    expect(subject.get("by-part") == b"abc", "other bytes are stored")


def post_policy(subject: Subject) -> None:
    """Take a form post within its policy, and refuse one that is too large."""
    form = subject.client.generate_presigned_post(
        subject.bucket, "posted", Conditions=[["content-length-range", 1, 10]], ExpiresIn=60
    )
    accepted = _post(subject, form, b"12345")
    expect(accepted in (200, 201, 204), f"it answers {accepted}")
    expect(subject.get("posted") == b"12345", "other bytes are stored")
    refused = _post(subject, form, b"1" * 50)
    expect(refused in (400, 403, 413), f"a larger body answers {refused}")


def cors(subject: Subject) -> None:
    """Keep CORS rules with a wildcard host, and answer preflights by them."""
    _allow(subject, "https://*.example.app", "http://localhost:3000")
    known = _preflight(subject, "https://a.example.app")
    expect(known.status in (200, 204), f"a preflight answers {known.status}")
    expect(_ALLOWED in known.headers, "a known origin is not allowed")
    expect(_ALLOWED not in _preflight(subject, "https://evil.example").headers, "every origin is allowed")


def cors_star_anywhere(subject: Subject) -> None:
    """Honour a wildcard anywhere in an origin: `http://localhost:*`, `https://pr-*.example.app`."""
    _allow(subject, "http://localhost:*", "https://pr-*.example.app")
    for origin in ("http://localhost:5173", "https://pr-7.example.app"):
        expect(_ALLOWED in _preflight(subject, origin).headers, f"{origin} is not allowed")
    expect(_ALLOWED not in _preflight(subject, "https://evil.example").headers, "every origin is allowed")


def _allow(subject: Subject, *origins: str) -> None:
    rule = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    }
    subject.client.put_bucket_cors(Bucket=subject.bucket, CORSConfiguration={"CORSRules": [rule]})


def _preflight(subject: Subject, origin: str) -> Answer:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    return subject.request("OPTIONS", subject.url("x"), headers={"Origin": origin, **asked})


def _sign(subject: Subject, operation: str, key: str, *, seconds: int = 60, **more: Any) -> str:
    url: str = subject.client.generate_presigned_url(
        operation, Params={"Bucket": subject.bucket, "Key": key, **more}, ExpiresIn=seconds
    )
    return url


def _post(subject: Subject, form: dict[str, Any], content: bytes) -> int:
    fields = "".join(
        f'--{_FORM}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    )
    file = f'--{_FORM}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = fields.encode() + file.encode() + content + f"\r\n--{_FORM}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={_FORM}"}
    return subject.request("POST", form["url"], body, headers).status
