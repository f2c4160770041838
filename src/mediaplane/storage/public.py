"""URLs of a public store: its objects are read without permission, so nothing is signed and nothing expires."""

from collections.abc import Iterable

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.sigv4 import quote_key
from mediaplane.storage.store import Signer


class PublicSigner:
    """What stands before the store's keys, a CDN's address say, joined with the key; `writer` signs what writes."""

    def __init__(self, public_url: str, writer: Signer) -> None:
        self._url = f"{public_url.rstrip('/')}/"
        self._writer = writer

    def sign_get(self, key: ObjectKey) -> str:
        """Return the object's URL, the same for ever."""
        return self._url + quote_key(key)

    def sign_gets(self, keys: Iterable[ObjectKey]) -> list[str]:
        """Return the objects' URLs."""
        return [self.sign_get(key) for key in keys]

    def sign_head(self, key: ObjectKey) -> str:
        """Return the object's URL."""
        return self.sign_get(key)

    def sign_download(self, key: ObjectKey, *, filename: str) -> str:  # noqa: ARG002 the CDN decides
        """Return the object's URL: under what name a public object is saved is the CDN's business."""
        return self.sign_get(key)

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str:
        """Return a URL of the bucket itself for PUT of exactly `size_bytes` with exactly this `Content-Type`."""
        return self._writer.sign_put(key, size_bytes=size_bytes, content_type=content_type)
