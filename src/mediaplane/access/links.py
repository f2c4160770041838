"""Tokens of playback URLs: who holds the URL may play one asset until a time, and nothing else.

A player asks for playlists again and again and cannot send headers, so the permission stands in the URL.
"""

import hmac
import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.cdn import PERMISSION
from mediaplane.storage.links import LinkSigner
from mediaplane.storage.signing import Clock

_PURPOSE = b"mediaplane playback token 1"
# What else stands in our URLs is percent-encoded, so each of these is found as a parameter or part of a path only.
_BEGIN = re.compile(r"[?&]X-Amz-Date=(\d{8}T\d{6}Z)", re.ASCII)
_SECONDS = re.compile(r"[?&]X-Amz-Expires=(\d+)", re.ASCII)
_END = re.compile(r"[?&](?:expires|token)=(?P<expires>\d+)(?=[.&#]|$)", re.ASCII)
_CDN_PERMISSION = re.compile(rf"/{PERMISSION.pattern}/", re.ASCII)


def ends_at(url: str) -> datetime | None:
    """Return when a signed URL, a CDN's link or a playback URL ends, None where it does not say.

    Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
    """
    try:
        if begins := _BEGIN.search(url):
            seconds = _SECONDS.search(url)
            return _end_of(begins[1], int(seconds[1])) if seconds else None
        found = _END.search(url) or _CDN_PERMISSION.search(url)
        return datetime.fromtimestamp(int(found["expires"]), UTC) if found else None
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _end_of(begins: str, seconds: int) -> datetime:
    """Return the end of a SigV4 URL; all of one window have the same, and reading a time costs as much as signing."""
    return datetime.strptime(begins, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(seconds=seconds)


class PlaybackTokens:
    """Makes and checks the tokens of one deployment.

    A token is a signed link to the asset instead of an object, under a key of its own, so that neither is ever
    taken for the other. Equal calls within half a lifetime give equal tokens, so that URLs can be cached; a token
    lives between one lifetime and one and a half.
    """

    def __init__(self, signing_key: bytes, *, lifetime: timedelta, now: Clock = time.time) -> None:
        key = hmac.digest(signing_key, _PURPOSE, "sha256").hex()
        self._links = LinkSigner("", "playback", key, lifetime=lifetime, now=now)

    def make_token(self, asset_id: str) -> str:
        """Return a token that plays the asset for at least one lifetime."""
        query = parse_qs(urlsplit(self._links.sign_get(ObjectKey(asset_id))).query)
        return f"{query['expires'][0]}.{query['signature'][0]}"

    def check_token(self, asset_id: str, token: str) -> None:
        """Return if the token plays the asset now.

        Raises:
            LinkInvalid: it was made for something else, was changed, or has expired.
        """
        expires, _, signature = token.partition(".")
        self._links.verify("GET", "playback", asset_id, {"expires": expires, "signature": signature})
