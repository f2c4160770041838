"""Files to and from buckets in one call each, for scripts and stages that are written against boto3.

`from mediaplane.storage import get_s3_client, list_objects, download_file, download_to_temp, upload_file,
get_presigned_url, BUCKET_IN, BUCKET_OUT`. All read the settings of the plane; nothing is passed around.

Unlike the rest of this package, boto3's errors pass through: such scripts catch `ClientError`. An object that is not
there is raised as `ObjectMissing`, which is also Python's `FileNotFoundError` and our `ObjectNotFound`.

Left out on purpose: rows. What a script uploads has no asset until the scanner finds it.
"""

import errno
import hashlib
import mimetypes
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from mediaplane.embedded.running import find_running, follow
from mediaplane.errors import NotRunning, ObjectNotFound, StorageError
from mediaplane.settings import Settings, load_settings
from mediaplane.storage.buckets import open_client
from mediaplane.storage.endpoint import S3Endpoint, read_endpoint
from mediaplane.storage.temporary import TemporaryPath, temporary_path

PART_BYTES = 16 << 20
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
_METHODS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object", "DELETE": "delete_object"}
_MD5 = re.compile('"?([0-9a-f]{32})(?:-([0-9]+))?"?')
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,15}")


class ObjectMissing(ObjectNotFound, ClientError, FileNotFoundError):  # type: ignore[misc]  # botocore has no types
    """Nothing is stored at the key: caught as ours, as botocore's, or as Python's own."""

    def __init__(self, key: str, refusal: ClientError) -> None:
        self.key, self.message = key, f"nothing is stored at {key}"
        self.response, self.operation_name = refusal.response, refusal.operation_name
        OSError.__init__(self, errno.ENOENT, self.message, key)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, ClientError(self.response, self.operation_name))


def get_s3_client() -> Any:
    """Return a boto3 S3 client for the endpoint of the settings; the same one until they change, safe in threads.

    It signs SigV4, addresses buckets as S3_ADDRESSING says, and sends checksums only where S3 requires them, so that
    it also works on R2, Hetzner and RGW, which refuse the newer trailers. Any bucket of the endpoint may be named.

    Raises:
        SettingInvalid: the settings name no endpoint or keys, and no `mediaplane up` runs.
    """
    return _client(_endpoint(), os.getpid())


def list_objects(bucket: str, prefix: str = "") -> list[str]:
    """Return every key of the bucket that begins with `prefix`; one request per 1,000 keys.

    Raises:
        ClientError: refused, or there is no such bucket.
    """
    pages = get_s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def download_file(bucket: str, key: str, local_path: str | os.PathLike[str]) -> Path:
    """Download the object to `local_path` and return that; directories are made, a file there is replaced.

    The file has its name only when it is whole: as long as the object, and with its MD5 where the ETag has it.

    Raises:
        ObjectMissing: nothing is stored at `key`.
        ClientError: anything else S3 answered.
        StorageError: what came is not what is stored.
        IsADirectoryError: `local_path` is a directory.
    """
    target = Path(local_path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory: name the file to write")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        _download(bucket, key, unfinished)
        return unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def download_to_temp(bucket: str, key: str, suffix: str | None = None) -> TemporaryPath:
    """Download the object to a temporary file with the key's extension (or `suffix`) and return its path.

    The path is text; the file goes at the end of a `with` block over it, else when nobody holds the path any more.

    Raises:
        ObjectMissing: nothing is stored at `key`.
        ClientError: anything else S3 answered.
        StorageError: what came is not what is stored.
    """
    path = temporary_path(_suffix_of(key) if suffix is None else suffix)
    try:
        _download(bucket, key, Path(path[:]))
    except BaseException:
        path.remove()
        raise
    return path


def upload_file(local_path: str | os.PathLike[str], bucket: str, key: str, content_type: str | None = None) -> str:
    """Upload the file and return `s3://bucket/key`; the content type is guessed from the key where none is given.

    Files over 16 MiB go in parts of that size, four at a time; then one HEAD checks what is stored.

    Raises:
        FileNotFoundError: there is no such file.
        boto3.exceptions.S3UploadFailedError: S3 refused it.
        StorageError: what is stored is not what was sent.
    """
    path = Path(local_path)
    guessed = mimetypes.guess_type(key)[0] or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    client = get_s3_client()
    extra = {"ContentType": content_type or guessed}
    client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=_TRANSFER)
    head = _head_if_allowed(client, bucket, key)
    if head is not None and _differs(path, head):
        raise StorageError(
            f"s3://{bucket}/{key} is not what was sent: {path} changed meanwhile, or it was damaged on the way; "
            "upload it again",
            retryable=True,
        )
    return f"s3://{bucket}/{key}"


def get_presigned_url(bucket: str, key: str, expires_in: int = 3600, method: str = "get_object") -> str:
    """Return a URL that lets its holder do one thing with one object, for `expires_in` seconds (at most 7 days).

    `method` is boto3's name (`get_object`, `put_object`, …) or GET, HEAD, PUT, DELETE. No request is made.

    Raises:
        ValueError: S3 would refuse that lifetime.
    """
    if not 1 <= expires_in <= 7 * 24 * 3600:
        raise ValueError(f"expires_in must be 1 to 604800 seconds (7 days, S3's limit), not {expires_in}")
    operation = _METHODS.get(method.upper(), method)
    url: str = get_s3_client().generate_presigned_url(
        operation, Params={"Bucket": bucket, "Key": key}, ExpiresIn=int(expires_in)
    )
    return url


def bucket_in() -> str:
    """Return the bucket that recordings come from: S3_BUCKET_IN, else the one bucket there is."""
    return _settings_of(_environment()).s3_bucket_in


def bucket_out() -> str:
    """Return the bucket that artefacts go to: S3_BUCKET_OUT, else the one bucket there is."""
    return _settings_of(_environment()).s3_bucket_out


def _environment() -> frozenset[tuple[str, str]]:
    return frozenset(os.environ.items())


@lru_cache(maxsize=4)
def _settings_of(environment: frozenset[tuple[str, str]]) -> Settings:
    """Read settings once for the same environment; a script may well set variables after it has begun."""
    return load_settings(dict(environment))


def _endpoint() -> S3Endpoint:
    settings = _settings_of(_environment())
    if not settings.s3_endpoint:
        settings = _with_running(settings)
    return read_endpoint(settings)


def _with_running(settings: Settings) -> Settings:
    """Fill in the store of a `mediaplane up` on this machine, which has keys of its own."""
    try:
        running = find_running(settings.state_dir)
    except NotRunning:
        return settings
    return follow(settings, running)


@lru_cache(maxsize=8)
def _client(endpoint: S3Endpoint, _pid: int) -> Any:
    """Return the process's client of this endpoint: a forked child must not share its parent's connections."""
    return open_client(endpoint)


def _download(bucket: str, key: str, path: Path) -> None:
    client = get_s3_client()
    with _missing_named(f"s3://{bucket}/{key}"):
        head = client.head_object(Bucket=bucket, Key=key)
        with path.open("xb") as file:
            client.download_fileobj(bucket, key, file, Config=_TRANSFER)
    if _differs(path, head):
        raise StorageError(f"s3://{bucket}/{key} came damaged, or was replaced meanwhile: try again", retryable=True)


@contextmanager
def _missing_named(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
            raise ObjectMissing(what, error) from error
        raise


def _head_if_allowed(client: Any, bucket: str, key: str) -> Mapping[str, Any] | None:
    """Return what is stored, or None where the keys may write but not read."""
    try:
        head: Mapping[str, Any] = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return None
        raise
    return head


def _differs(path: Path, head: Mapping[str, Any]) -> bool:
    """Tell whether the file is not the object, as far as its size and ETag say.

    An ETag is an MD5 only without KMS or customer keys, and of parts only where they had our size.
    Source: Amazon S3 API Reference, "Object" (ETag).
    """
    if path.stat().st_size != head["ContentLength"]:
        return True
    stored = _MD5.fullmatch(head["ETag"])
    hidden = head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
    if stored is None or hidden:
        return False
    parts = list(_part_digests(path)) if stored[2] else []
    if stored[2]:
        return len(parts) == int(stored[2]) and hashlib.md5(b"".join(parts)).hexdigest() != stored[1]  # noqa: S324
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() != stored[1]


def _part_digests(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield hashlib.md5(part).digest()  # noqa: S324 it is what S3 tells of a part, no secret


def _suffix_of(key: str) -> str:
    """Return the key's extension if a file may have it: tools tell formats by it."""
    suffix = PurePosixPath(key).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""
