"""API keys as text: `mp_{id}_{secret}{checksum}`, made from 256 random bits and kept nowhere.

Stored is the SHA-256 of the whole text. A slow hash protects passwords, which people choose and machines guess;
nobody guesses 256 random bits, and a slow hash on every request would only serve who wants to tire the gateway out.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

PREFIX = "mp_"  # what scanners of leaked secrets look for
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_CHARS = 12
_SECRET_CHARS = 43  # 62 ** 43 > 2 ** 256
_CHECKSUM_CHARS = 6  # 62 ** 6 > 2 ** 32
_SHAPE = re.compile(rf"{PREFIX}([a-z0-9]{{{_ID_CHARS}}})_[0-9A-Za-z]{{{_SECRET_CHARS + _CHECKSUM_CHARS}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `text` is for whoever will use it, once; the other two are stored."""

    key_id: str
    text: str
    digest: bytes


def make_key() -> NewKey:
    """Return a new key."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_CHARS))
    body = f"{PREFIX}{key_id}_{_in_digits(secrets.randbits(256), _SECRET_CHARS)}"
    text = body + _checksum(body)
    return NewKey(key_id, text, digest_key(text))


def read_key_id(text: str) -> str | None:
    """Return the id of a key, None for what is no key or was typed wrong: no database is asked about that."""
    match = _SHAPE.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_CHARS]) != text[-_CHECKSUM_CHARS:]:
        return None
    return match[1]


def digest_key(text: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(text.encode()).digest()


def is_same(digest: bytes, text: str) -> bool:
    """Return whether the key is the one of the stored digest, in constant time."""
    return hmac.compare_digest(digest, digest_key(text))


def _checksum(body: str) -> str:
    return _in_digits(zlib.crc32(body.encode()), _CHECKSUM_CHARS)


def _in_digits(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
