"""Links to private objects behind a CDN of one's own domain, where a bucket's signed URLs do not work (R2).

    https://media.example.com/k1.1764547200.3.Yx…Q/videos/proxy/a1/index.m3u8

The permission is the first part of the path, so that all that a playlist names relative to itself has it too. It says
which key signed (for rotation), until when (seconds since 1970), and how many parts of the object's key it is bound
to: here 3, everything below `videos/proxy/a1/`; 0 is that one object. `examples/edge/` checks it at Cloudflare, the
gateway under `/v1/cdn/{store}/` for a CDN that has it as its origin. The signature is HMAC-SHA256 in base64url of

    mediaplane cdn link 1 \\n store \\n end \\n file name \\n scope

where the scope is the key, or its first parts with a `/` behind each, and the file name (percent-encoded) that under
which the object is to be saved, else empty. A scope stands last and alone can hold a `/` at its end: no key has that.
"""

import base64
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from mediaplane.errors import InvalidKey, LinkInvalid, SettingInvalid
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.signing import ISSUED, Clock, utc, window_seconds
from mediaplane.storage.sigv4 import KeyedHash, quote_key
from mediaplane.storage.store import Signer

PURPOSE = "mediaplane cdn link 1"
MIN_SECRET_CHARS = 32
_KEYS = re.compile(r"(?P<key_id>[A-Za-z0-9_-]{1,32}):(?P<secret>[\x21-\x2b\x2d-\x7e]+)")
PERMISSION = re.compile(
    r"(?P<key_id>[A-Za-z0-9_-]{1,32})\.(?P<expires>\d{1,12})\.(?P<parts>\d{1,3})\.(?P<signature>[A-Za-z0-9_-]{43})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class CdnKey:
    """A secret that the edge knows too, and what links call it."""

    key_id: str
    secret: str = field(repr=False)


def read_cdn_keys(text: str) -> tuple[CdnKey, ...]:
    """Return the keys of `id:secret,id:secret`: the first signs, all are taken.

    Raises:
        ValueError: one is not written so, is too short, or has another's id.
    """
    keys = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _KEYS.fullmatch(part)
        if match is None or len(match["secret"]) < MIN_SECRET_CHARS:  # not repeated: it may be the secret
            raise ValueError(
                f"must be id:secret, several with commas between, each secret {MIN_SECRET_CHARS} characters or more"
            )
        keys.append(CdnKey(match["key_id"], match["secret"]))
    if len({key.key_id for key in keys}) != len(keys):
        raise ValueError("two of the keys have the same id")
    return tuple(keys)


class CdnSigner:
    """Signs for one store behind a CDN; about 3 µs a link. `writer` signs what the CDN does not take: writes.

    Equal calls within half a lifetime give equal links, as `signing.py` says.
    """

    def __init__(
        self,
        cdn_url: str,
        store: str,
        keys: Sequence[CdnKey],
        *,
        lifetime: timedelta,
        writer: Signer,
        now: Clock = time.time,
    ) -> None:
        if not keys:
            raise SettingInvalid("S3_CDN_KEYS", f"must be set where {cdn_url} is to check links")
        self._url = cdn_url.rstrip("/")
        self._store = store
        self._key_id = keys[0].key_id
        self._hashes = {key.key_id: KeyedHash(key.secret.encode()) for key in keys}
        self._lifetime_seconds = int(lifetime.total_seconds())
        self._window_seconds = window_seconds(lifetime, 2 * self._lifetime_seconds)
        self._writer = writer
        self._now = now

    def sign_get(self, key: ObjectKey) -> str:
        """Return a link for GET and HEAD, with or without Range, of this one object."""
        ISSUED["read"] += 1
        return f"{self._url}/{self._permit(key, parts=0)}/{quote_key(key)}"

    def sign_gets(self, keys: Iterable[ObjectKey]) -> list[str]:
        """Return links, each of one object."""
        return [self.sign_get(key) for key in keys]

    def sign_head(self, key: ObjectKey) -> str:
        """Return a link for HEAD: the same as for GET."""
        return self.sign_get(key)

    def sign_download(self, key: ObjectKey, *, filename: str) -> str:
        """Return a link for GET whose answer browsers save under the file name instead of showing it."""
        ISSUED["read"] += 1
        quoted = quote(filename, safe="")
        return f"{self._url}/{self._permit(key, parts=0, filename=quoted)}/{quote_key(key)}?filename={quoted}"

    def sign_below(self, directory: str, keys: Iterable[ObjectKey]) -> dict[str, str]:
        """Return links for many keys below one directory (which ends with `/`): all with the same permission.

        Each opens everything else below the directory too, as a player needs that follows a playlist.
        """
        permit = self._permit(directory, parts=directory.count("/"))
        links: dict[str, str] = {key: f"{self._url}/{permit}/{quote_key(key)}" for key in keys}
        ISSUED["read"] += len(links)
        return links

    def sign_put(self, key: ObjectKey, *, size_bytes: int, content_type: str) -> str:
        """Return a URL of the bucket itself for PUT of exactly `size_bytes` with exactly this `Content-Type`."""
        return self._writer.sign_put(key, size_bytes=size_bytes, content_type=content_type)

    def verify(self, permission: str, key: str, query: Mapping[str, str]) -> int:
        """Return how many seconds the link is still good for the object at `key`.

        Raises:
            LinkInvalid: it was changed, is for something else, or has expired.
        """
        match = PERMISSION.fullmatch(permission)
        known = self._hashes.get(match["key_id"]) if match else None
        scope = _scope(key, int(match["parts"])) if match else None
        if match is None or known is None or scope is None:
            raise LinkInvalid("this link is not valid: it was changed, or its key is not in use any more")
        text = self._text(match["expires"], quote(query.get("filename", "").encode("utf-8", "replace"), safe=""), scope)
        if not hmac.compare_digest(_signature(known, text), match["signature"]):
            raise LinkInvalid("this link is not valid: it was changed, or it is for another object")
        left = int(match["expires"]) - self._now()
        if left <= 0:
            raise LinkInvalid(f"this link expired at {utc(int(match['expires'])):%Y-%m-%d %H:%M:%S} UTC")
        return int(left)

    def _permit(self, scope: str, *, parts: int, filename: str = "") -> str:
        start = int(self._now()) // self._window_seconds * self._window_seconds
        expires = str(start + self._window_seconds + self._lifetime_seconds)
        signature = _signature(self._hashes[self._key_id], self._text(expires, filename, scope))
        return f"{self._key_id}.{expires}.{parts}.{signature}"

    def _text(self, expires: str, filename: str, scope: str) -> str:
        return f"{PURPOSE}\n{self._store}\n{expires}\n{filename}\n{scope}"


def shared_directory(keys: Iterable[str], *, of: str) -> str:
    """Return the directory that all keys lie in, with a `/` behind it, if it is that of the asset `of`; else nothing.

    Only then may one permission open all that is in it: a layout may keep many assets in one directory.
    """
    directories = [key.split("/")[:-1] for key in keys]
    shared: list[str] = []
    for parts in zip(*directories, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) + "/" if of in shared else ""


def _scope(key: str, parts: int) -> str | None:
    """Return what the first parts of the key name, the key itself for 0, None where it has not that many.

    None also for what is no key: `a1/../a2/x` lies below `a1/` by its text only.
    """
    try:
        check_key(key)
    except (InvalidKey, UnicodeError):
        return None
    if parts == 0:
        return key
    named = key.split("/")
    return "/".join(named[:parts]) + "/" if parts < len(named) else None


def _signature(keyed: KeyedHash, text: str) -> str:
    digest = keyed.of(text.encode("utf-8", "surrogatepass"))
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
