"""A light look at a store before work begins: one request where all is well, one sentence where something is not.

Asks for an object that is not there, because the refusal of a GET has a code that tells wrong keys from wrong clocks
and missing buckets, which that of a HEAD has not. Keys that may not list are told AccessDenied for a missing object
too: they are known, and `check_permissions` tries with a few bytes what they may do.

Unlike `wire.py` it follows no redirect and corrects no clock: what would be corrected silently is what is to be said.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from mediaplane.errors import AccessDenied, MediaplaneError, StorageError
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.profile import StoreSettings
from mediaplane.settings import Settings
from mediaplane.storage.answers import answered, unreachable
from mediaplane.storage.endpoint import S3Endpoint, endpoint_url, read_endpoint
from mediaplane.storage.replies import error_code, http_time
from mediaplane.storage.sigv4 import Signature, authorisation, canonical_request, quote_key, quote_query

CHECK_NAME = "mediaplane-check"
CHECK_KEY = ObjectKey(CHECK_NAME)
# Source: Amazon S3 API Reference, "Error responses", RequestTimeTooSkewed.
SKEW_REFUSED_SECONDS = 15 * 60
_SKEW_SUSPECT_SECONDS = 60
_BODY = b"mediaplane looks what these keys may do"
_FOUND = "(found)"  # in place of a code: a check that was killed left its bytes
_SECONDS = 60  # a signed request lives this long
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"}


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    code: str  # of the refusal, or that our own bytes came; empty for anything else
    skew_seconds: float  # how far the server's clock is ahead of ours
    region: str  # of the bucket, where the server tells


def check_store(endpoint: S3Endpoint, key: ObjectKey = CHECK_KEY) -> MediaplaneError | None:
    """Return what keeps the store from being used, as one sentence that names the setting; None: nothing is known.

    Raises nothing: what cannot be asked is an answer too. One request, which every key may make.
    """
    return _told(endpoint, lambda check: check.run(key))


def check_permissions(endpoint: S3Endpoint, key: ObjectKey = CHECK_KEY) -> MediaplaneError | None:
    """Return the same, and whether keys that may not list may read, write and delete at `key`.

    For keys that are to do all three. One request where they may list, else four.
    """
    return _told(endpoint, lambda check: check.run(key, thorough=True))


def _told(endpoint: S3Endpoint, run: Callable[["_Check"], MediaplaneError | None]) -> MediaplaneError | None:
    try:
        return run(_Check(endpoint))
    except MediaplaneError as error:
        return error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return unreachable(endpoint.url, f"{error}")


def find_unusable(settings: Settings, *, thorough: bool = False) -> dict[str, MediaplaneError]:
    """Return the stores that cannot be used, each with what is wrong, told by the variables its values came from.

    `thorough` is for keys that are to read, write and delete, as `check_permissions` tries.
    """
    found: dict[str, MediaplaneError] = {}
    for store in settings.stores:
        if endpoint_url(settings, store):
            endpoint = read_endpoint(settings, store.name)
            key = check_key(f"{store.prefix or settings.s3_prefix or _first_folder(settings, store.name)}{CHECK_NAME}")
            if problem := (check_permissions if thorough else check_store)(endpoint, key):
                problem.message = _with_sources(problem.message, settings, store)
                problem.args = (problem.message,)
                found[store.name] = problem
    return found


def _first_folder(settings: Settings, store: str) -> str:
    """Return a folder that keys restricted by prefix may write to: that of a role which is placed in the store."""
    placed = settings.placement
    for role in settings.layout.templates:
        if placed.get(role, placed["default"]) == store:
            prefix = settings.layout.prefix(role)
            return prefix[: prefix.rfind("/") + 1]
    return ""


def _with_sources(message: str, settings: Settings, store: StoreSettings) -> str:
    """Return the sentence with the variables from which this store's values came in place of S3_*."""
    for field in ("endpoint", "bucket", "secret_access_key", "access_key_id", "session_token", "region"):
        source = store.sources.get(field) or settings.sources.get(f"s3_{field}", "default")
        if source.startswith("profile "):
            message = message.replace(f"S3_{field.upper()}", f"{field} in {source}")
        elif source != "default" and " " not in source:
            message = message.replace(f"S3_{field.upper()}", source)
    return message


class _Check:
    def __init__(self, endpoint: S3Endpoint) -> None:
        self._endpoint = endpoint
        context = ssl.create_default_context()
        if endpoint.ca_file:
            context.load_verify_locations(endpoint.ca_file)
        proxy = None if proxy_bypass(endpoint.host) else getproxies().get(urlsplit(endpoint.url).scheme)
        self._pool = (
            urllib3.ProxyManager(proxy, ssl_context=context, retries=False, timeout=_TIMEOUT)
            if proxy
            else urllib3.PoolManager(ssl_context=context, retries=False, timeout=_TIMEOUT)
        )

    def run(self, key: ObjectKey, *, thorough: bool = False) -> MediaplaneError | None:
        with self._pool:
            seen = self._ask("GET", key)
            if seen.code in (_FOUND, "NoSuchKey"):
                return self._about_clock(seen, refused=False)
            if seen.code != "AccessDenied":
                return self._refusal(seen)
            return self._about_clock(seen, refused=True) or (self._what_is_missing(key) if thorough else None)

    def _what_is_missing(self, key: ObjectKey) -> MediaplaneError | None:
        """Tell keys that may do nothing from those that may do all but list."""
        put = self._ask("PUT", key)
        if put.status != 200:
            return self._lacks("s3:PutObject", "write") if put.code == "AccessDenied" else self._refusal(put)
        got, deleted = self._ask("GET", key), self._ask("DELETE", key)
        if got.status != 200:
            return self._lacks("s3:GetObject", "read")
        return None if deleted.status in (200, 204) else self._lacks("s3:DeleteObject", "delete")

    def _lacks(self, actions: str, verb: str) -> AccessDenied:
        problem = f"the keys of S3_ACCESS_KEY_ID may not {verb} there: grant {actions}"
        return AccessDenied(f"bucket {self._endpoint.bucket}", problem)

    def _refusal(self, reply: _Reply) -> MediaplaneError:
        what = f"bucket {self._endpoint.bucket}"
        if reply.code in _OTHER_REGION or reply.status in (301, 307):
            told = f"is in {reply.region}: set S3_REGION to it" if reply.region else "is in another: check S3_REGION"
            return StorageError(f"{what}: the signature names {self._endpoint.region}, but it {told}", retryable=False)
        if reply.status in (200, 404) and not reply.code:
            sentence = f"{what}: what answers at {self._endpoint.url} is no S3 server: check S3_ENDPOINT"
            return StorageError(sentence, retryable=False)
        return self._about_clock(reply, refused=True) or answered(what, reply.status, reply.code)

    def _about_clock(self, reply: _Reply, *, refused: bool) -> StorageError | None:
        limit = _SKEW_SUSPECT_SECONDS if refused else SKEW_REFUSED_SECONDS
        if abs(reply.skew_seconds) <= limit:
            return None
        side = "behind" if reply.skew_seconds > 0 else "ahead of"
        minutes = abs(reply.skew_seconds) / 60
        sentence = f"the clock of this machine is {minutes:.0f} minutes {side} the S3 server's: set the clock (NTP)"
        return StorageError(f"bucket {self._endpoint.bucket}: {sentence}", retryable=False)

    def _ask(self, method: str, key: ObjectKey) -> _Reply:
        body = _BODY if method == "PUT" else None
        asked = time.time()
        answer = self._pool.request(method, self._signed(method, key), body=body, redirect=False)
        theirs = http_time(answer.headers.get("Date", ""))
        skew = theirs.timestamp() - asked if theirs else 0.0
        code = error_code(answer.data) if answer.data != _BODY else _FOUND
        return _Reply(answer.status, code, skew, answer.headers.get("x-amz-bucket-region", ""))

    def _signed(self, method: str, key: ObjectKey) -> str:
        endpoint, keys, now = self._endpoint, self._endpoint.keys(), datetime.now(UTC)
        permission = authorisation(
            access_key_id=keys.access_key_id, region=endpoint.region, time=now, seconds=_SECONDS,
            session_token=keys.session_token, signed_headers="host",
        )  # fmt: skip
        query = quote_query(permission)
        path = endpoint.base_path + quote_key(key)
        request = canonical_request(method, path, query, {"host": endpoint.host})
        signature = Signature(keys.secret_access_key, now, endpoint.region).of(request)
        return f"{endpoint.origin}{path}?{query}&X-Amz-Signature={signature}"
