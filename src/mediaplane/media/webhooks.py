"""How a webhook is written and signed: the Standard Webhooks scheme, so that its libraries verify ours.

Source: Standard Webhooks specification 1.0, "Signature scheme", "Webhook headers".
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

SECRET_PREFIX = "whsec_"  # noqa: S105 how a secret begins
SECRET_BYTES = 32  # the scheme allows 24 to 64
TOLERANCE_SECONDS = 300


def make_secret() -> bytes:
    """Return a new signing secret."""
    return secrets.token_bytes(SECRET_BYTES)


def write_secret(secret: bytes) -> str:
    """Return the secret as its owner gets it, once."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def write_body(kind: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """Return the body: type, time and data, as small as JSON gets."""
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {"type": kind, "timestamp": stamp, "data": dict(data)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def sign(message_id: str, timestamp: int, body: bytes, keys: Iterable[bytes]) -> str:
    """Return the value of `webhook-signature`: one signature a key, the current one first."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> bool:
    """Return whether a webhook that was received is ours and fresh; `headers` have lower-case names."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        timestamp = int(stamp) if stamp.isascii() and len(stamp) < 19 else -1
    except (binascii.Error, ValueError):
        return False
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        return False
    expected = sign(message_id, timestamp, body, [key])
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)
