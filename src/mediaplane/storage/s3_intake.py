"""`Intake` of a bucket: the client talks to the store, this process only signs, asks and joins.

boto3, because obstore has no multipart uploads of its own kind: it hides their ids. Its client is made at the first
call, which costs 0.2 s.
"""

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from mediaplane.errors import ObjectNotFound, PartsInvalid
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.credentials import Keys
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.failures import translated
from mediaplane.storage.intake import SIGNING_WINDOW, Checksums, Part, SignedPut
from mediaplane.storage.signing import S3Signer, SignedForm

T = TypeVar("T")

_ENDED = ("NoSuchUpload", "NoSuchKey")  # RGW 16 says NoSuchKey where it lists the parts of an upload that is gone
_WRONG_PARTS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML", "InvalidRequest")


class S3Intake:
    """Uploads straight to one bucket; URLs live `lifetime` at most."""

    def __init__(self, endpoint: S3Endpoint, *, lifetime: timedelta) -> None:
        self._endpoint = endpoint
        self._signer = S3Signer(endpoint, lifetime=lifetime - SIGNING_WINDOW, window=SIGNING_WINDOW)
        self._clients: tuple[Keys, Any] | None = None
        self._making = threading.Lock()

    @property
    def takes_forms(self) -> bool:
        """Whether the provider knows POST policies."""
        return self._endpoint.provider.post_policy

    @property
    def proves(self) -> frozenset[str]:
        """Which checksums the store compares: an MD5 always, a SHA-256 where its provider knows the newer ones."""
        return frozenset(("md5", "sha256") if self._endpoint.provider.checksum_trailers else ("md5",))

    @property
    def writes_once(self) -> bool:
        """Whether a URL can be bound to a key at which nothing is stored yet."""
        return self._endpoint.provider.conditional_writes

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str, checksums: Checksums) -> SignedPut:
        """Return a URL bound to key, size, type, what is known of the bytes, and (where the store can) to one use.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        headers = {}
        if checksums.md5:
            headers["content-md5"] = _base64(checksums.md5)
        if checksums.sha256 and "sha256" in self.proves:
            headers["x-amz-checksum-sha256"] = _base64(checksums.sha256)
        if self.writes_once:
            headers["if-none-match"] = "*"
        url = self._signer.sign_put(key, size_bytes=size_bytes, content_type=content_type, headers=headers)
        return SignedPut(url, {"content-type": content_type, **headers})

    def sign_form(self, key: ObjectKey, *, largest_bytes: int, content_type: str) -> SignedForm:
        """Return a POST policy; ask `takes_forms` first.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._signer.sign_form(key, largest_bytes=largest_bytes, content_type=content_type)

    def sign_part(self, key: ObjectKey, ref: str, *, number: int, size_bytes: int | None) -> str:
        """Return a URL for one part.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._signer.sign_part(key, upload_ref=ref, number=number, size_bytes=size_bytes)

    async def begin(self, key: ObjectKey, *, content_type: str) -> str:
        """Begin an upload in parts and return its reference.

        Raises:
            AccessDenied: refused.
            StorageError: anything else.
        """
        made = await self._in_thread(
            key, lambda client: client.create_multipart_upload(**self._object(key), ContentType=content_type)
        )
        return str(made["UploadId"])

    async def parts(self, key: ObjectKey, ref: str) -> list[Part]:
        """Return all parts that are in the store, by number; a number that was written twice may stand twice.

        Raises:
            ObjectNotFound: the upload was joined or aborted.
            AccessDenied: refused.
            StorageError: anything else.
        """
        return await self._in_thread(key, lambda client: list(self._listed(client, key, ref)))

    async def join(self, key: ObjectKey, ref: str, parts: Sequence[Part]) -> None:
        """Make the object of these parts, which are in the order of their numbers.

        Raises:
            PartsInvalid: the store has other parts than these.
            ObjectNotFound: the upload was joined or aborted.
            AccessDenied: refused.
            StorageError: anything else.
        """
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self._in_thread(
            key,
            lambda client: client.complete_multipart_upload(
                **self._object(key), UploadId=ref, MultipartUpload={"Parts": named}
            ),
        )

    async def abort(self, key: ObjectKey, ref: str) -> None:
        """Remove the upload's parts; one that has ended already is no error.

        Raises:
            AccessDenied: refused.
            StorageError: anything else.
        """
        try:
            await self._in_thread(key, lambda client: client.abort_multipart_upload(**self._object(key), UploadId=ref))
        except ObjectNotFound:
            return

    def _listed(self, client: Any, key: ObjectKey, ref: str) -> Iterator[Part]:
        for page in client.get_paginator("list_parts").paginate(**self._object(key), UploadId=ref):
            for part in page.get("Parts", []):
                yield Part(part["PartNumber"], part["Size"], part["ETag"], part["LastModified"])

    def _object(self, key: ObjectKey) -> dict[str, str]:
        return {"Bucket": self._endpoint.bucket, "Key": str(key)}

    async def _in_thread(self, key: ObjectKey, work: Callable[[Any], T]) -> T:
        def translated_work() -> T:
            with _translated(key, self._endpoint.url):
                return work(self._client())

        return await asyncio.to_thread(translated_work)

    def _client(self) -> Any:
        from mediaplane.storage.buckets import open_client

        keys = self._endpoint.keys()
        with self._making:
            if self._clients is None or self._clients[0] != keys:
                self._clients = (keys, open_client(self._endpoint))
            return self._clients[1]


@contextmanager
def _translated(key: ObjectKey, url: str) -> Iterator[None]:
    from botocore.exceptions import ClientError

    with translated(key, url):
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _ENDED:
                raise ObjectNotFound(key) from error
            if code in _WRONG_PARTS:
                raise PartsInvalid(
                    "the store does not have these parts: ask which are there and send the rest"
                ) from error
            raise


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
