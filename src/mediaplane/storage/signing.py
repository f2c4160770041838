"""URLs that carry their own permission: `S3Signer` for buckets; `links.py` for what the gateway serves.

The time in a URL is rounded down to a window of half the links' lifetime, so that equal calls give equal URLs and a
CDN or a browser can cache what is behind them; the lifetime in it is longer by the window, so that a URL handed out
at the window's end still lives as long as promised.
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediaplane.errors import SettingInvalid
from mediaplane.media.filenames import content_disposition
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.credentials import RENEWED_BEFORE, Keys
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.sigv4 import (
    MAX_SECONDS,
    PAYLOAD,
    Signature,
    authorisation,
    canonical_request,
    quote_key,
    quote_query,
)

_ASK_SECONDS = 10.0  # between two looks whether keys that are about to end have been renewed
Clock = Callable[[], float]  # seconds since 1970, as `time.time`

# How many URLs this process has signed; metrics read it: one addition a URL.
ISSUED = {"read": 0, "write": 0}

# of what stands in a signed URL's query, that which a form says too
_FORM_FIELDS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Security-Token")


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A form that may be sent once to `url` as `multipart/form-data`, these fields first, the file last."""

    url: str
    fields: Mapping[str, str]


def window_seconds(lifetime: timedelta, longest_seconds: int = MAX_SECONDS) -> int:
    """Return the length of a window: half the lifetime, less where both together would be too long for S3."""
    lifetime_seconds = int(lifetime.total_seconds())
    return max(1, min(lifetime_seconds // 2, longest_seconds - lifetime_seconds))


@dataclass(frozen=True, slots=True)
class _Window:
    """All that the URLs of one window share."""

    start: int
    end: float
    seconds: int  # from `start` to the end of the URLs
    keys: Keys
    signature: Signature
    query: str  # of a URL whose only signed header is `host`
    rest: str  # of such a URL's canonical request, after the key


class S3Signer:
    """Signs for one bucket with SigV4; about 5 µs a URL. No URL outlives the keys (`session_expires`).

    `window` replaces half a lifetime where URLs are not to be cached but to end soon.
    """

    def __init__(
        self, endpoint: S3Endpoint, *, lifetime: timedelta, window: timedelta | None = None, now: Clock = time.time
    ) -> None:
        self._endpoint = endpoint
        self._lifetime_seconds = min(int(lifetime.total_seconds()), MAX_SECONDS)
        self._window_seconds = int(window.total_seconds()) if window else window_seconds(lifetime)
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

    def sign_gets(self, keys: Iterable[ObjectKey]) -> list[str]:
        """Return the URLs that `sign_get` gives, about 4 µs each.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        window = self._current()
        quoted = [quote_key(key) for key in keys]
        ISSUED["read"] += len(quoted)
        signed = window.signature.of_all(f"GET\n{self._path}{key}{window.rest}" for key in quoted)
        begin, end = self._url, f"?{window.query}&X-Amz-Signature="
        return [f"{begin}{key}{end}{signature}" for key, signature in zip(quoted, signed, strict=True)]

    def sign_head(self, key: ObjectKey) -> str:
        """Return a URL for HEAD.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._sign("HEAD", key)

    def sign_download(self, key: ObjectKey, *, filename: str) -> str:
        """Return a URL for GET whose answer browsers save under the file name instead of showing it.

        Source: Amazon S3 API Reference, "GetObject", `response-content-disposition`.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        ISSUED["read"] += 1
        window = self._current()
        disposition = {"response-content-disposition": content_disposition(filename)}
        query = quote_query({**self._authorisation(window), **disposition})
        quoted = quote_key(key)
        headers = {"host": self._endpoint.host}
        signed = window.signature.of(canonical_request("GET", self._path + quoted, query, headers))
        return f"{self._url}{quoted}?{query}&X-Amz-Signature={signed}"

    def sign_any_put(self, key: ObjectKey) -> str:
        """Return a URL for PUT of anything: for people at the command line; clients get `sign_put`.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        return self._sign("PUT", key)

    def sign_put(
        self, key: ObjectKey, *, size_bytes: int, content_type: str, headers: Mapping[str, str] | None = None
    ) -> str:
        """Return a URL for PUT of exactly `size_bytes` with exactly this `Content-Type` and these lower-case headers.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        bound = {"content-length": str(size_bytes), "content-type": content_type, **(headers or {})}
        return self._sign_write(key, bound, {})

    def sign_part(self, key: ObjectKey, *, upload_ref: str, number: int, size_bytes: int | None) -> str:
        """Return a URL for PUT of one part of a multipart upload; None: of any size, where nobody knows it yet.

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        bound = {} if size_bytes is None else {"content-length": str(size_bytes)}
        return self._sign_write(key, bound, {"partNumber": str(number), "uploadId": upload_ref})

    def sign_form(self, key: ObjectKey, *, largest_bytes: int, content_type: str) -> SignedForm:
        """Return a form for one object of 1 to `largest_bytes` bytes (S3 calls it a POST policy).

        Raises:
            SettingInvalid: the temporary keys have ended.
        """
        ISSUED["write"] += 1
        window = self._current()
        fields = {
            "key": str(key),
            "content-type": content_type,
            "success_action_status": "201",
            **{name.lower(): value for name, value in self._authorisation(window).items() if name in _FORM_FIELDS},
        }
        conditions: list[object] = [{name: value} for name, value in fields.items()]
        conditions += [{"bucket": self._endpoint.bucket}, ["content-length-range", 1, largest_bytes]]
        expiration = f"{utc(window.start + window.seconds):%Y-%m-%dT%H:%M:%SZ}"
        text = json.dumps({"expiration": expiration, "conditions": conditions})
        policy = base64.b64encode(text.encode()).decode()
        signed = {"policy": policy, "x-amz-signature": window.signature.of_policy(policy)}
        return SignedForm(self._url.rstrip("/"), {**fields, **signed})

    def _sign_write(self, key: ObjectKey, bound: Mapping[str, str], parameters: Mapping[str, str]) -> str:
        ISSUED["write"] += 1
        window = self._current()
        headers = dict(sorted({**bound, "host": self._endpoint.host}.items()))
        query = quote_query({**self._authorisation(window, ";".join(headers)), **parameters})
        quoted = quote_key(key)
        signed = window.signature.of(canonical_request("PUT", self._path + quoted, query, headers))
        return f"{self._url}{quoted}?{query}&X-Amz-Signature={signed}"

    def _sign(self, method: str, key: ObjectKey) -> str:
        ISSUED["write" if method == "PUT" else "read"] += 1
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
        keys = self._endpoint.keys()
        if expires := keys.expires:
            _refuse_ended(expires, now)
            end, seconds = min(end, _last_use(keys, now)), min(seconds, int(expires.timestamp()) - start)
        query = quote_query(self._authorise(keys, start, seconds, "host"))
        signature = Signature(keys.secret_access_key, utc(start), self._endpoint.region)
        rest = f"\n{query}\nhost:{self._endpoint.host}\n\nhost\n{PAYLOAD}"
        return _Window(start, end, seconds, keys, signature, query, rest)

    def _authorisation(self, window: _Window, signed_headers: str = "host") -> dict[str, str]:
        return self._authorise(window.keys, window.start, window.seconds, signed_headers)

    def _authorise(self, keys: Keys, start: int, seconds: int, signed_headers: str) -> dict[str, str]:
        return authorisation(
            access_key_id=keys.access_key_id,
            region=self._endpoint.region,
            time=utc(start),
            seconds=seconds,
            session_token=keys.session_token,
            signed_headers=signed_headers,
        )


def _last_use(keys: Keys, now: float) -> float:
    """Return until when URLs are signed with the keys: of those that are renewed not to their end, or lives dwindle."""
    assert keys.expires
    end = keys.expires.timestamp()
    return max(end - RENEWED_BEFORE.total_seconds(), min(now + _ASK_SECONDS, end)) if keys.renewed else end


def _refuse_ended(expires: datetime, now: float) -> None:
    if now >= expires.timestamp():
        raise SettingInvalid(
            "S3_SESSION_EXPIRES",
            f"the temporary keys ended at {expires:%Y-%m-%d %H:%M} UTC: set new S3_ACCESS_KEY_ID, "
            "S3_SECRET_ACCESS_KEY and S3_SESSION_TOKEN",
        )


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
