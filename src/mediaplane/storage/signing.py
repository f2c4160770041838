"""URLs that carry their own permission: `S3Signer` for buckets, `LinkSigner` for what the gateway serves.

The time in a URL is rounded down to a window of half the links' lifetime, so that equal calls give equal URLs and a
CDN or a browser can cache what is behind them; the lifetime in it is longer by the window, so that a URL handed out
at the window's end still lives as long as promised.
"""

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from mediaplane.errors import LinkInvalid, SettingInvalid
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.sigv4 import (
    MAX_SECONDS,
    PAYLOAD,
    KeyedHash,
    Signature,
    authorisation,
    canonical_request,
    quote_key,
    quote_query,
)

Clock = Callable[[], float]  # seconds since 1970, as `time.time`


def _window_seconds(lifetime: timedelta, longest_seconds: int = MAX_SECONDS) -> int:
    """Return the length of a window: half the lifetime, less where both together would be too long for S3."""
    lifetime_seconds = int(lifetime.total_seconds())
    return max(1, min(lifetime_seconds // 2, longest_seconds - lifetime_seconds))


@dataclass(frozen=True, slots=True)
class _Window:
    """All that the URLs of one window share."""

    start: int
    end: float
    seconds: int  # from `start` to the end of the URLs
    signature: Signature
    query: str  # of a URL whose only signed header is `host`
    rest: str  # of such a URL's canonical request, after the key


class S3Signer:
    """Signs for one bucket with SigV4; about 5 µs a URL. No URL outlives the keys (`session_expires`)."""

    def __init__(self, endpoint: S3Endpoint, *, lifetime: timedelta, now: Clock = time.time) -> None:
        self._endpoint = endpoint
        self._lifetime_seconds = min(int(lifetime.total_seconds()), MAX_SECONDS)
        self._window_seconds = _window_seconds(lifetime)
        self._now = now
        self._path = endpoint.base_path
        self._url = endpoint.origin + endpoint.base_path
        self._window: _Window | None = None

    def sign_get(self, key: ObjectKey) -> str:
        """Return a URL for GET, with or without Range. S3 binds the method: for HEAD see `sign_head`.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._sign("GET", key)

    def sign_head(self, key: ObjectKey) -> str:
        """Return a URL for HEAD.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._sign("HEAD", key)

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str:
        """Return a URL for PUT of exactly `size_bytes` with exactly this `Content-Type` header.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        window = self._current()
        headers = {"content-length": str(size_bytes), "content-type": content_type, "host": self._endpoint.host}
        query = self._query(window.start, window.seconds, ";".join(headers))
        quoted = quote_key(key)
        signed = window.signature.of(canonical_request("PUT", self._path + quoted, query, headers))
        return f"{self._url}{quoted}?{query}&X-Amz-Signature={signed}"

    def _sign(self, method: str, key: ObjectKey) -> str:
        window = self._current()
        quoted = quote_key(key)
        signed = window.signature.of(f"{method}\n{self._path}{quoted}{window.rest}")
        return f"{self._url}{quoted}?{window.query}&X-Amz-Signature={signed}"

    def _current(self) -> _Window:
        window, now = self._window, self._now()
        if window is None or not window.start <= now < window.end:
            window = self._window = self._open_window(now)
        return window

    def _open_window(self, now: float) -> _Window:
        start = int(now) // self._window_seconds * self._window_seconds
        end: float = start + self._window_seconds
        seconds = min(self._lifetime_seconds + self._window_seconds, MAX_SECONDS)
        if expires := self._endpoint.session_expires:
            _refuse_ended(expires, now)
            end, seconds = min(end, expires.timestamp()), min(seconds, int(expires.timestamp()) - start)
        query = self._query(start, seconds, "host")
        signature = Signature(self._endpoint.secret_access_key, _utc(start), self._endpoint.region)
        rest = f"\n{query}\nhost:{self._endpoint.host}\n\nhost\n{PAYLOAD}"
        return _Window(start, end, seconds, signature, query, rest)

    def _query(self, start: int, seconds: int, signed_headers: str) -> str:
        return quote_query(
            authorisation(
                access_key_id=self._endpoint.access_key_id,
                region=self._endpoint.region,
                time=_utc(start),
                seconds=seconds,
                session_token=self._endpoint.session_token,
                signed_headers=signed_headers,
            )
        )


def _refuse_ended(expires: datetime, now: float) -> None:
    if now >= expires.timestamp():
        raise SettingInvalid(
            "S3_SESSION_EXPIRES",
            f"the temporary keys ended at {expires:%Y-%m-%d %H:%M} UTC: set new S3_ACCESS_KEY_ID, "
            "S3_SECRET_ACCESS_KEY and S3_SESSION_TOKEN",
        )


class LinkSigner:
    """Signs `{public_url}/v1/objects/{store}/{key}` with HMAC-SHA256; the gateway serves it after `verify`."""

    def __init__(
        self, public_url: str, store: str, signing_key: str, *, lifetime: timedelta, now: Clock = time.time
    ) -> None:
        if not signing_key:
            raise SettingInvalid("MEDIAPLANE_SIGNING_KEY", "must not be empty")
        self._store = quote(store, safe="")
        self._url = f"{public_url.rstrip('/')}/v1/objects/{self._store}/"
        # a key of our own, so that no other token signed with MEDIAPLANE_SIGNING_KEY passes for a link
        self._hash = KeyedHash(hmac.digest(signing_key.encode(), b"mediaplane object link 1", "sha256"))
        self._lifetime_seconds = int(lifetime.total_seconds())
        self._window_seconds = _window_seconds(lifetime, 2 * self._lifetime_seconds)
        self._now = now

    def sign_get(self, key: ObjectKey) -> str:
        """Return a URL for GET and HEAD, with or without Range."""
        expires = self._expires()
        signature = self._signature(f"GET\n{expires}\n\n\n{self._store}\n{key}")
        return f"{self._url}{quote_key(key)}?expires={expires}&signature={signature}"

    def sign_head(self, key: ObjectKey) -> str:
        """Return a URL for HEAD: the same as for GET."""
        return self.sign_get(key)

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str:
        """Return a URL for PUT of exactly `size_bytes` with exactly this `Content-Type` header."""
        expires, quoted_type = self._expires(), quote(content_type, safe="")
        signature = self._signature(f"PUT\n{expires}\n{size_bytes}\n{quoted_type}\n{self._store}\n{key}")
        bound = f"size={size_bytes}&type={quoted_type}"
        return f"{self._url}{quote_key(key)}?expires={expires}&{bound}&signature={signature}"

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
        # the key stands last and nothing before it can hold a line break: no other request gives the same text
        text = f"{signed_method}\n{expires}\n{size}\n{_quoted(bound_type)}\n{_quoted(store)}\n{key}"
        genuine = hmac.compare_digest(self._signature(text).encode(), _bytes(query.get("signature", "")))
        if not genuine or not _is_number(expires) or not (_is_number(size) if method == "PUT" else size == ""):
            raise LinkInvalid("this link is not valid: it was changed, or it is for another object or method")
        if int(expires) <= self._now():
            raise LinkInvalid(f"this link expired at {_utc(int(expires)):%Y-%m-%d %H:%M:%S} UTC: ask for a new one")
        if method == "PUT" and (size != str(size_bytes) or bound_type != content_type):
            raise LinkInvalid(f"this link is for exactly {size} bytes of {bound_type}")

    def _expires(self) -> int:
        start = int(self._now()) // self._window_seconds * self._window_seconds
        return start + self._window_seconds + self._lifetime_seconds

    def _signature(self, text: str) -> str:
        return base64.urlsafe_b64encode(self._hash.of(_bytes(text))).rstrip(b"=").decode()


def _quoted(text: str) -> str:
    return quote(_bytes(text), safe="")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # what a stranger sends must not raise


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
