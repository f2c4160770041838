"""Tokens of review links: who holds one may see one submission without an account, until a time or until it is revoked.

The token proves that we made the link; whether it still counts stands in the link's row.
"""

import base64
import binascii
import hmac
import time

from mediaplane.catalog.reviews import ReviewLink
from mediaplane.errors import LinkInvalid
from mediaplane.storage.signing import Clock

_PURPOSE = b"mediaplane review link 1"
_SIGNATURE_BYTES = 32


class ReviewTokens:
    """Makes and checks the tokens of one deployment: `{link's id}.{seconds since 1970}.{HMAC-SHA256}`."""

    def __init__(self, signing_key: bytes, *, now: Clock = time.time) -> None:
        self._key = hmac.digest(signing_key, _PURPOSE, "sha256")
        self._now = now

    def make_token(self, link: ReviewLink) -> str:
        """Return the link's token."""
        head = f"{link.link_id}.{int(link.expires_at.timestamp())}"
        return f"{head}.{base64.urlsafe_b64encode(self._signature(head)).decode().rstrip('=')}"

    def read_token(self, token: str) -> str:
        """Return the id of the link for which the token was made.

        Raises:
            LinkInvalid: it was changed, or has expired.
        """
        head, _, signature = token.rpartition(".")
        link_id, _, ends = head.partition(".")
        try:
            given = base64.b64decode(signature + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if not hmac.compare_digest(self._signature(head), given.ljust(_SIGNATURE_BYTES)) or int(ends) <= self._now():
            raise LinkInvalid("this review link is not valid, or has expired: ask for a new one")
        return link_id

    def _signature(self, head: str) -> bytes:
        return hmac.digest(self._key, head.encode("utf-8", "replace"), "sha256")
