"""The issuer's public keys: fetched, kept for a while, fetched again when a token names one that is not known."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import urllib3

from mediaplane.errors import CredentialsInvalid, IdentityUnavailable
from mediaplane.logs import Logger

log = Logger(__name__)

FRESH_SECONDS = 300.0  # then they are fetched again, behind the requests that use them
KEPT_SECONDS = 86_400.0  # an issuer that does not answer for longer is gone, and so are its keys
PAUSE_SECONDS = 10.0  # between two fetches, whatever tokens with unknown key ids arrive
TIMEOUT_SECONDS = 4.0
MAX_BYTES = 512 * 1024
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}  # what an algorithm's name begins with, and its keys

Fetch = Callable[[str], bytes]


class KeySet:
    """The keys at one URL (Source: RFC 7517). Shared secrets in it (`oct`) are left alone."""

    def __init__(self, url: str, *, fetch: Fetch | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._fetch = fetch or _fetch
        self._now = now
        self._keys: list[Mapping[str, Any]] = []
        self._made: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the key of this id for the algorithm; without an id, the only one there is.

        Raises:
            CredentialsInvalid: the issuer has no such key.
            IdentityUnavailable: the issuer does not answer, and what it said last does not help.
        """
        age = self._now() - self._fetched_at
        if age > KEPT_SECONDS:
            self._keys, self._made = [], {}
        elif age > FRESH_SECONDS:
            self._begin_fetch()  # nobody waits for it
        found = self._look_up(key_id, algorithm)
        if found is None and (fetching := self._begin_fetch()):
            await asyncio.shield(fetching)  # others wait for it too
            found = self._look_up(key_id, algorithm)
        if found is not None:
            return found
        if self._tried_at > self._fetched_at:
            raise IdentityUnavailable("the keys of the token's issuer cannot be fetched just now")
        raise CredentialsInvalid("the token is signed with a key that its issuer does not have")

    def _look_up(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        if made := self._made.get((key_id, algorithm)):
            return made
        fitting = [key for key in self._keys if _fits(key, algorithm) and (key_id is None or key.get("kid") == key_id)]
        if len(fitting) != 1:
            return None
        try:
            made = jwt.PyJWK(dict(fitting[0]), algorithm=algorithm)
        except jwt.PyJWTError:
            return None
        return self._made.setdefault((key_id, algorithm), made)

    def _begin_fetch(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way, one just begun, or None where the last try was a moment ago."""
        if self._fetching is None and self._now() - self._tried_at >= PAUSE_SECONDS:
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            keys = _read(await asyncio.to_thread(self._fetch, self._url))
        except (OSError, ValueError, RecursionError, urllib3.exceptions.HTTPError) as error:
            log.warning("token keys cannot be fetched", url=self._url, problem=f"{type(error).__name__}: {error}")
        else:
            self._keys, self._made = keys, {}
            self._fetched_at = self._tried_at
        finally:
            self._fetching = None


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == _KINDS.get(algorithm[:2])
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _read(body: bytes) -> list[Mapping[str, Any]]:
    document = json.loads(body)
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("it is no JSON Web Key Set")
    return [key for key in keys if isinstance(key, dict)]


def _fetch(url: str) -> bytes:
    """Return what is at the URL. It is one of our settings, so it is not followed anywhere else.

    Raises:
        OSError: it is no answer of a key server.
    """
    answer = urllib3.request(
        "GET", url, timeout=TIMEOUT_SECONDS, retries=False, redirect=False, preload_content=False,
        headers={"accept": "application/json"},
    )  # fmt: skip
    try:
        body: bytes = answer.read(MAX_BYTES + 1, decode_content=True)
    finally:
        answer.release_conn()
    if answer.status != 200 or len(body) > MAX_BYTES:
        raise OSError(f"status {answer.status}, {len(body)} bytes")
    return body
