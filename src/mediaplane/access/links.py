"""Tokens of playback URLs: who holds the URL may play one asset until a time, and nothing else.

A player asks for playlists again and again and cannot send headers, so the permission stands in the URL.
"""

import hmac
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.signing import Clock, LinkSigner

_PURPOSE = b"mediaplane playback token 1"


def ends_at(url: str) -> datetime | None:
    """Return when a signed URL or a playback URL ends, None where it does not say.

    Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
    """
    query = parse_qs(urlsplit(url).query)
    try:
        if "X-Amz-Date" in query:
            begins = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return begins + timedelta(seconds=int(query["X-Amz-Expires"][0]))
        seconds = query["expires"][0] if "expires" in query else query["token"][0].partition(".")[0]
        return datetime.fromtimestamp(int(seconds), UTC)
    except (KeyError, ValueError, OverflowError):
        return None


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
