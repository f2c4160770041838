"""An S3 bucket server in memory: what it answers to a request, without any network. `fault_server.py` puts it on one.

It keeps what it is sent and checks Content-MD5 and x-amz-checksum-*; signatures are for the real servers to check.
"""

# ruff: noqa: N802, ARG002 -- methods are named after S3's operations, and all are called alike
import base64
import hashlib
import re
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from threading import RLock
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

Headers = dict[str, str]
KEPT = ("content-type", "cache-control", "content-encoding", "content-disposition")


@dataclass
class Stored:
    """One object."""

    body: bytes
    etag: str
    modified: datetime
    headers: Headers  # content-type and x-amz-meta-*
    storage_class: str = "STANDARD"


@dataclass
class Multipart:
    """One upload under way."""

    bucket: str
    key: str
    headers: Headers
    begun: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Request:
    """One request as it came in."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: Mapping[str, str]  # lower case
    body: bytes

    @property
    def operation(self) -> str:
        """Return S3's name for it."""
        if not self.bucket:
            return "ListBuckets"
        if not self.key:
            named = {"delete": "DeleteObjects", "uploads": "ListMultipartUploads", "location": "GetBucketLocation"}
            return next((value for name, value in named.items() if name in self.query), _BUCKET[self.method])
        if "uploads" in self.query:
            return "CreateMultipartUpload"
        if "uploadId" in self.query:
            copied = self.method == "PUT" and "x-amz-copy-source" in self.headers
            return "UploadPartCopy" if copied else _UPLOAD[self.method]
        if self.method == "PUT" and "x-amz-copy-source" in self.headers:
            return "CopyObject"
        return f"{_OBJECT[self.method]}Object"


_BUCKET = {"GET": "ListObjectsV2", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "?"}
_UPLOAD = {
    "PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts",
}  # fmt: skip
_OBJECT = {"PUT": "Put", "GET": "Get", "HEAD": "Head", "DELETE": "Delete", "POST": "Post"}


@dataclass
class Answer:
    """One answer; the body of a HEAD is not sent, its length is."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


class MemoryS3:
    """Buckets and uploads; thread-safe."""

    def __init__(self, *buckets: str) -> None:
        self.objects: dict[str, dict[str, Stored]] = {bucket: {} for bucket in buckets}
        self.uploads: dict[str, Multipart] = {}
        self.lock = RLock()

    def put(self, bucket: str, key: str, body: bytes, **headers: str) -> None:
        """Store an object, as a test's beginning."""
        self._store(bucket, key, body, {"content-type": "binary/octet-stream", **headers}, _etag(body))

    def body(self, bucket: str, key: str) -> bytes | None:
        """Return what is stored."""
        with self.lock:
            found = self.objects[bucket].get(key)
            return found.body if found else None

    def answer(self, request: Request) -> Answer:
        """Do what is asked and return the answer."""
        with self.lock:
            if request.bucket and request.bucket not in self.objects:
                return error(404, "NoSuchBucket")
            made = getattr(self, f"_do_{request.operation}", None)
            answer: Answer = made(request) if made else error(501, "NotImplemented")
            return answer

    def _store(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str], etag: str) -> Stored:
        kept = {name: value for name, value in headers.items() if name in KEPT or name.startswith("x-amz-meta-")}
        now = datetime.fromtimestamp(int(time.time()), UTC)
        stored = Stored(body, etag, now, kept, headers.get("x-amz-storage-class", "STANDARD"))
        with self.lock:
            self.objects[bucket][key] = stored
        return stored

    def _do_ListBuckets(self, request: Request) -> Answer:
        rows = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>"
            for name in sorted(self.objects)
        )
        return xml(f"<ListAllMyBucketsResult><Buckets>{rows}</Buckets></ListAllMyBucketsResult>")

    def _do_HeadBucket(self, request: Request) -> Answer:
        return Answer()

    def _do_GetBucketLocation(self, request: Request) -> Answer:
        return xml("<LocationConstraint/>")

    def _do_PutObject(self, request: Request) -> Answer:
        body = _decoded(request)
        if wrong := _wrong_digest(request.headers, body):
            return wrong
        if request.headers.get("if-none-match") == "*" and request.key in self.objects[request.bucket]:
            return error(412, "PreconditionFailed")
        stored = self._store(request.bucket, request.key, body, request.headers, _etag(body))
        return Answer(headers={"ETag": stored.etag, **_checksums(request.headers)})

    def _do_GetObject(self, request: Request) -> Answer:
        stored = self.objects[request.bucket].get(request.key)
        if stored is None:
            return error(404, "NoSuchKey")
        wanted = request.headers.get("if-match")
        if wanted and wanted.strip('"') != stored.etag.strip('"'):
            return error(412, "PreconditionFailed")
        headers = {
            "ETag": stored.etag,
            "Last-Modified": format_datetime(stored.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            **stored.headers,
        }
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if not found:
            return Answer(200, headers, stored.body)
        size = len(stored.body)
        start = int(found[1]) if found[1] else max(0, size - int(found[2]))
        end = min(size, int(found[2]) + 1) if found[1] and found[2] else size
        if start >= size:
            return error(416, "InvalidRange")
        return Answer(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}, stored.body[start:end])

    def _do_HeadObject(self, request: Request) -> Answer:
        return self._do_GetObject(request)

    def _do_DeleteObject(self, request: Request) -> Answer:
        self.objects[request.bucket].pop(request.key, None)
        return Answer(204)

    def _do_DeleteObjects(self, request: Request) -> Answer:
        body = _decoded(request)
        if wrong := _wrong_digest(request.headers, body):
            return wrong
        keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", body.decode(), re.DOTALL)]
        if len(keys) > 1000:
            return error(400, "MalformedXML")
        for key in keys:
            self.objects[request.bucket].pop(key, None)
        quiet = b"<Quiet>true</Quiet>" in body
        rows = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return xml(f"<DeleteResult>{rows}</DeleteResult>")

    def _do_CopyObject(self, request: Request) -> Answer:
        source = self._source(request)
        if source is None:
            return error(404, "NoSuchKey")
        replaced = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
        headers = dict(request.headers) if replaced else dict(source.headers)
        if "x-amz-storage-class" in request.headers:
            headers["x-amz-storage-class"] = request.headers["x-amz-storage-class"]
        stored = self._store(request.bucket, request.key, source.body, headers, _etag(source.body))
        return xml(f"<CopyObjectResult><ETag>{stored.etag}</ETag>{_stamp(stored)}</CopyObjectResult>")

    def _source(self, request: Request) -> Stored | None:
        bucket, _, key = unquote(request.headers["x-amz-copy-source"].lstrip("/")).partition("/")
        return self.objects.get(bucket, {}).get(key)

    def _do_CreateMultipartUpload(self, request: Request) -> Answer:
        upload_id = uuid.uuid4().hex
        self.uploads[upload_id] = Multipart(request.bucket, request.key, dict(request.headers), datetime.now(UTC))
        return xml(
            "<InitiateMultipartUploadResult>"
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key><UploadId>{upload_id}</UploadId>"
            "</InitiateMultipartUploadResult>"
        )

    def _do_UploadPart(self, request: Request) -> Answer:
        body = _decoded(request)
        if wrong := _wrong_digest(request.headers, body):
            return wrong
        return self._take_part(request, body)

    def _do_UploadPartCopy(self, request: Request) -> Answer:
        source = self._source(request)
        if source is None:
            return error(404, "NoSuchKey")
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("x-amz-copy-source-range", ""))
        body = source.body[int(found[1]) : int(found[2]) + 1] if found else source.body
        answer = self._take_part(request, body)
        if answer.status != 200:
            return answer
        return xml(f"<CopyPartResult><ETag>{answer.headers['ETag']}</ETag></CopyPartResult>")

    def _take_part(self, request: Request, body: bytes) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        upload.parts[int(request.query["partNumber"])] = body
        return Answer(headers={"ETag": _etag(body), **_checksums(request.headers)})

    def _do_CompleteMultipartUpload(self, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        asked = re.findall(r"<PartNumber>(\d+)</PartNumber>", request.body.decode())
        etags = re.findall(r"<ETag>(.*?)</ETag>", request.body.decode())
        for number, etag in zip(asked, etags, strict=True):
            part = upload.parts.get(int(number))
            if part is None or _etag(part).strip('"') != unescape(etag).strip('"'):
                return error(400, "InvalidPart")
        bodies = [upload.parts[int(number)] for number in asked]
        digests = b"".join(hashlib.md5(body).digest() for body in bodies)
        etag = f'"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"'
        self._store(upload.bucket, upload.key, b"".join(bodies), upload.headers, etag)
        del self.uploads[request.query["uploadId"]]
        return xml(
            f"<CompleteMultipartUploadResult><Key>{escape(request.key)}</Key><ETag>{etag}</ETag>"
            "</CompleteMultipartUploadResult>"
        )

    def _do_AbortMultipartUpload(self, request: Request) -> Answer:
        if self.uploads.pop(request.query["uploadId"], None) is None:
            return error(404, "NoSuchUpload")
        return Answer(204)

    def _do_ListMultipartUploads(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        rows = "".join(
            f"<Upload><Key>{_shown(request, upload.key)}</Key><UploadId>{name}</UploadId>"
            f"<Initiated>{upload.begun:%Y-%m-%dT%H:%M:%S.000Z}</Initiated></Upload>"
            for name, upload in sorted(self.uploads.items(), key=lambda item: item[1].key)
            if upload.bucket == request.bucket and upload.key.startswith(prefix)
        )
        return xml(
            f"<ListMultipartUploadsResult>{_encoding(request)}<IsTruncated>false</IsTruncated>{rows}"
            "</ListMultipartUploadsResult>"
        )

    def _do_ListObjectsV2(self, request: Request) -> Answer:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = unquote(query["continuation-token"]) if "continuation-token" in query else query.get("start-after", "")
        limit = min(1000, int(query.get("max-keys", "1000")))
        rows: list[str] = []
        folders: set[str] = set()
        last, truncated = after, False
        for key in sorted(self.objects[request.bucket], key=str.encode):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            shown = key[: end + len(delimiter)] if end >= 0 else key
            if not key.startswith(prefix) or key.encode() <= after.encode() or shown in folders or shown == after:
                continue
            if after and end >= 0 and after.startswith(shown):
                continue
            if len(rows) + len(folders) == limit:
                truncated = True
                break
            last = shown
            if end >= 0:
                folders.add(shown)
            else:
                rows.append(_row(request, key, self.objects[request.bucket][key]))
        common = "".join(
            f"<CommonPrefixes><Prefix>{_shown(request, folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        token = f"<NextContinuationToken>{quote(last, safe='')}</NextContinuationToken>" if truncated else ""
        return xml(
            f"<ListBucketResult><Name>{request.bucket}</Name>{_encoding(request)}"
            f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{''.join(rows)}{common}{token}</ListBucketResult>"
        )


def parse_target(target: str) -> tuple[str, str, dict[str, str]]:
    """Return bucket, key and query of a request's target, path style."""
    path, _, query = target.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    # errors: what http.server read as Latin-1 is bytes again
    return unquote(bucket), unquote(key), dict(parse_qsl(query, keep_blank_values=True))


def error(status: int, code: str, **headers: str) -> Answer:
    """Return an error as S3 says it."""
    text = f"<Error><Code>{code}</Code><Message>on cue</Message><RequestId>1</RequestId></Error>"
    return Answer(status, {"Content-Type": "application/xml", **headers}, text.encode())


def xml(text: str) -> Answer:
    """Return a document."""
    return Answer(
        headers={"Content-Type": "application/xml"}, body=f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
    )


def unescape(text: str) -> str:
    """Return the text of an XML element, as an XML reader would."""
    from xml.etree import ElementTree

    return ElementTree.fromstring(f"<a>{text}</a>").text or ""


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _stamp(stored: Stored) -> str:
    return f"<LastModified>{stored.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"


def _row(request: Request, key: str, stored: Stored) -> str:
    return (
        f"<Contents><Key>{_shown(request, key)}</Key>{_stamp(stored)}<ETag>{escape(stored.etag, {chr(34): '&quot;'})}"
        f"</ETag><Size>{len(stored.body)}</Size><StorageClass>{stored.storage_class}</StorageClass></Contents>"
    )


def _shown(request: Request, key: str) -> str:
    return quote(key, safe="/") if request.query.get("encoding-type") == "url" else escape(key)


def _encoding(request: Request) -> str:
    return "<EncodingType>url</EncodingType>" if request.query.get("encoding-type") == "url" else ""


def _decoded(request: Request) -> bytes:
    """Return the body without `aws-chunked` framing."""
    if "aws-chunked" not in request.headers.get("content-encoding", ""):
        return request.body
    rest, pieces = request.body, []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        pieces.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(pieces)


def _wrong_digest(headers: Mapping[str, str], body: bytes) -> Answer | None:
    """Return the refusal of a body that is not what the headers say."""
    digests = {
        "content-md5": hashlib.md5(body).digest(),
        "x-amz-checksum-sha256": hashlib.sha256(body).digest(),
        "x-amz-checksum-sha1": hashlib.sha1(body).digest(),
        "x-amz-checksum-crc32": zlib.crc32(body).to_bytes(4, "big"),
    }
    for name, digest in digests.items():
        if name in headers and headers[name] != base64.b64encode(digest).decode():
            return error(400, "BadDigest")
    signed = headers.get("x-amz-content-sha256", "")
    if re.fullmatch("[0-9a-f]{64}", signed) and signed != hashlib.sha256(body).hexdigest():
        return error(400, "XAmzContentSHA256Mismatch")
    return None


def _checksums(headers: Mapping[str, str]) -> Headers:
    return {name: value for name, value in headers.items() if name.startswith("x-amz-checksum-")}
