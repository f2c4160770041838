"""Tokens of Uppy's companion endpoint: who holds the URL may upload as the one who asked for it, and nothing else.

Uppy's stock client is told one address and sends no header of our own to it, so the permission stands in the path.
"""

import base64
import binascii
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

from mediaplane.access.principals import Principal, Role
from mediaplane.access.rules import Action
from mediaplane.errors import LinkInvalid
from mediaplane.storage.signing import Clock

_PURPOSE = b"mediaplane companion token 1"
_INVALID = "this upload address is not valid, or has expired: ask for a new one"


class CompanionTokens:
    """Makes and checks the tokens of one deployment."""

    def __init__(self, signing_key: bytes, *, lifetime: timedelta, now: Clock = time.time) -> None:
        self._key = hmac.digest(signing_key, _PURPOSE, "sha256")
        self._lifetime = lifetime
        self._now = now

    def make_token(self, principal: Principal) -> tuple[str, datetime]:
        """Return a token with which the principal's page may upload, and when it ends."""
        ends = datetime.fromtimestamp(int(self._now()), UTC) + self._lifetime
        text = json.dumps(
            [
                int(ends.timestamp()),
                principal.subject,
                principal.owner,
                principal.team,
                str(principal.role),
                principal.only_own,
            ]
        ).encode()
        return f"{_text(text)}.{_text(self._signature(text))}", ends

    def read_token(self, token: str) -> Principal:
        """Return the principal for whom the token was made, with the scope to upload only.

        Raises:
            LinkInvalid: it was changed, or has expired.
        """
        head, _, signature = token.partition(".")
        try:
            text, given = _bytes(head), _bytes(signature)
        except (binascii.Error, ValueError):
            raise LinkInvalid(_INVALID) from None
        if not hmac.compare_digest(self._signature(text), given):
            raise LinkInvalid(_INVALID)
        ends, subject, owner, team, role, only_own = json.loads(text)  # ours, so it is what we wrote
        if ends <= self._now():
            raise LinkInvalid(_INVALID)
        scopes = frozenset((Action.UPLOAD.value,))
        return Principal(subject, owner, team, Role(role), scopes=scopes, only_own=only_own)

    def _signature(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
