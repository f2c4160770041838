"""Links to what the gateway serves itself, the objects of directories: `LinkSigner` makes and checks them.

Each is bound to one object and one way of asking for it: reading it, reading it under a file name, writing so many
bytes of a type, writing one part, sending one form.
"""

import base64
import hmac
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import quote

from mediaplane.errors import LinkInvalid, SettingInvalid
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.signing import ISSUED, Clock, SignedForm, utc, window_seconds
from mediaplane.storage.sigv4 import KeyedHash, quote_key, quote_query


class LinkSigner:
    """Signs `{public_url}/v1/objects/{store}/{key}` with HMAC-SHA256; the gateway serves it after `verify`."""

    def __init__(
        self,
        public_url: str,
        store: str,
        signing_key: str,
        *,
        lifetime: timedelta,
        window: timedelta | None = None,
        now: Clock = time.time,
    ) -> None:
        if not signing_key:
            raise SettingInvalid("MEDIAPLANE_SIGNING_KEY", "must not be empty")
        self._store = quote(store, safe="")
        self._url = f"{public_url.rstrip('/')}/v1/objects/{self._store}/"
        # a key of our own, so that no other token signed with MEDIAPLANE_SIGNING_KEY passes for a link
        self._hash = KeyedHash(hmac.digest(signing_key.encode(), b"mediaplane object link 1", "sha256"))
        self._lifetime_seconds = int(lifetime.total_seconds())
        longest_seconds = 2 * self._lifetime_seconds
        self._window_seconds = int(window.total_seconds()) if window else window_seconds(lifetime, longest_seconds)
        self._now = now

    def sign_get(self, key: ObjectKey) -> str:
        """Return a URL for GET and HEAD, with or without Range."""
        ISSUED["read"] += 1
        expires = self._expires()
        signature = self._signature(f"GET\n{expires}\n\n\n{self._store}\n{key}")
        return f"{self._url}{quote_key(key)}?expires={expires}&signature={signature}"

    def sign_gets(self, keys: Iterable[ObjectKey]) -> list[str]:
        """Return URLs for GET and HEAD."""
        return [self.sign_get(key) for key in keys]

    def sign_head(self, key: ObjectKey) -> str:
        """Return a URL for HEAD: the same as for GET."""
        return self.sign_get(key)

    def sign_download(self, key: ObjectKey, *, filename: str) -> str:
        """Return a URL for GET whose answer browsers save under the file name instead of showing it."""
        ISSUED["read"] += 1
        expires, quoted = self._expires(), quote(filename, safe="")
        signature = self._signature(f"DOWNLOAD\n{expires}\n\n{quoted}\n{self._store}\n{key}")
        return f"{self._url}{quote_key(key)}?expires={expires}&filename={quoted}&signature={signature}"

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str:
        """Return a URL for PUT of exactly `size_bytes` with exactly this `Content-Type` header."""
        ISSUED["write"] += 1
        expires, quoted_type = self._expires(), quote(content_type, safe="")
        signature = self._signature(f"PUT\n{expires}\n{size_bytes}\n{quoted_type}\n{self._store}\n{key}")
        bound = f"size={size_bytes}&type={quoted_type}"
        return f"{self._url}{quote_key(key)}?expires={expires}&{bound}&signature={signature}"

    def sign_part(self, key: ObjectKey, *, upload_ref: str, number: int, size_bytes: int | None) -> str:
        """Return a URL for PUT of one part of an upload; None: of any size, where nobody knows it yet."""
        ISSUED["write"] += 1
        size = "" if size_bytes is None else str(size_bytes)
        bound = {"expires": str(self._expires()), "size": size, "upload": upload_ref, "part": str(number)}
        signature = self._signature(_part_text(self._store, key, bound))
        return f"{self._url}{quote_key(key)}?{quote_query(bound)}&signature={signature}"

    def sign_form(self, key: ObjectKey, *, largest_bytes: int, content_type: str) -> SignedForm:
        """Return a form for one object of 1 to `largest_bytes` bytes."""
        ISSUED["write"] += 1
        fields = {"key": str(key), "content-type": content_type, "largest": str(largest_bytes)}
        fields["expires"] = str(self._expires())
        return SignedForm(
            self._url.rstrip("/"), {**fields, "signature": self._signature(_form_text(self._store, fields))}
        )

    def verify(
        self,
        method: str,
        store: str,
        key: str,
        query: Mapping[str, str],
        *,
        size_bytes: int | None = None,
        content_type: str | None = None,
    ) -> None:
        """Return if the request may be served; `size_bytes` and `content_type` are a PUT's own headers.

        Raises:
            LinkInvalid: the link was changed, is for something else, or has expired.
        """
        expires, size, bound_type = (query.get(name, "") for name in ("expires", "size", "type"))
        signed_method = "GET" if method == "HEAD" else method
        if signed_method == "GET" and "filename" in query:
            signed_method, bound_type = "DOWNLOAD", query["filename"]
        # the key stands last and nothing before it can hold a line break: no other request gives the same text
        text = f"{signed_method}\n{expires}\n{size}\n{_quoted(bound_type)}\n{_quoted(store)}\n{key}"
        well_formed = _is_number(size) if method == "PUT" else size == ""
        self._check(text, query, well_formed=well_formed)
        if method == "PUT" and (size != str(size_bytes) or bound_type != content_type):
            raise LinkInvalid(f"this link is for exactly {size} bytes of {bound_type}")

    def verify_part(self, store: str, key: str, query: Mapping[str, str], *, size_bytes: int | None) -> tuple[str, int]:
        """Return upload and number of the part that may be written; `size_bytes` is the PUT's own header.

        Raises:
            LinkInvalid: as `verify`.
        """
        size, number = query.get("size", ""), query.get("part", "")
        well_formed = (size == "" or _is_number(size)) and _is_number(number)
        self._check(_part_text(_quoted(store), key, query), query, well_formed=well_formed)
        if size and size != str(size_bytes):
            raise LinkInvalid(f"this link is for a part of exactly {size} bytes")
        return query["upload"], int(number)

    def verify_form(self, store: str, fields: Mapping[str, str]) -> int:
        """Return how many bytes the form's file may have at most.

        Raises:
            LinkInvalid: as `verify`.
        """
        largest = fields.get("largest", "")
        self._check(_form_text(_quoted(store), fields), fields, well_formed=_is_number(largest))
        return int(largest)

    def _check(self, text: str, given: Mapping[str, str], *, well_formed: bool) -> None:
        expires = given.get("expires", "")
        genuine = hmac.compare_digest(self._signature(text).encode(), _bytes(given.get("signature", "")))
        if not genuine or not _is_number(expires) or not well_formed:
            raise LinkInvalid("this link is not valid: it was changed, or it is for another object or method")
        if int(expires) <= self._now():
            raise LinkInvalid(f"this link expired at {utc(int(expires)):%Y-%m-%d %H:%M:%S} UTC: ask for a new one")

    def _expires(self) -> int:
        start = int(self._now()) // self._window_seconds * self._window_seconds
        return start + self._window_seconds + self._lifetime_seconds

    def _signature(self, text: str) -> str:
        return base64.urlsafe_b64encode(self._hash.of(_bytes(text))).rstrip(b"=").decode()


def _part_text(store: str, key: str, query: Mapping[str, str]) -> str:
    expires, size, upload_ref, number = (query.get(name, "") for name in ("expires", "size", "upload", "part"))
    return f"PART\n{expires}\n{size}\n{_quoted(upload_ref)} {_quoted(number)}\n{store}\n{key}"


def _form_text(store: str, fields: Mapping[str, str]) -> str:
    key, content_type, largest, expires = (
        fields.get(name, "") for name in ("key", "content-type", "largest", "expires")
    )
    return f"FORM\n{expires}\n{_quoted(largest)}\n{_quoted(content_type)}\n{store}\n{key}"


def _quoted(text: str) -> str:
    return quote(_bytes(text), safe="")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # what a stranger sends must not raise


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
