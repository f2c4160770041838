"""Who may ask: the host name, the origin and the headers that every answer carries.

Without accounts the gateway trusts whoever reaches it on loopback. A web page in the same machine's browser reaches
it too, so three doors are shut then: other host names (DNS rebinding), writes that another site's page sends, and
reading across sites. Open to all are only the paths whose URL carries its own permission. With accounts nobody is
trusted for where he comes from, and no browser adds a key or token by itself: the first two doors need no lock.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway.problems import problem

_SIGNED = re.compile(
    r"/v1/(?:(?:objects|cdn)/.+|assets/[^/]+/(?:(?:hls|frames|pictures)/[^/]+|thumbnails\.vtt|transcript\.[a-z]+)"
    r"|companion/[^/]+/s3/.+|review-links/[^/]+(?:/decision)?)"
)
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))

_EVERY_ANSWER = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # URLs hold tokens
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_SIGNED_ANSWER = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "accept-ranges, content-length, content-range, etag, last-modified",
    "cross-origin-resource-policy": "cross-origin",
}
_PREFLIGHT = {
    "access-control-allow-headers": "content-type, if-modified-since, if-none-match, if-range, range",
    "access-control-max-age": "7200",
}
# What a page of a configured origin (MEDIAPLANE_ORIGINS) may do beyond that: use the API.
_ALLOWED_ANSWER = {
    "access-control-expose-headers": "etag, idempotency-replayed, location, ratelimit, ratelimit-policy, retry-after, "
    "x-request-id",
    "cross-origin-resource-policy": "cross-origin",
}
_ALLOWED_PREFLIGHT = {
    "access-control-allow-headers": "authorization, content-type, idempotency-key, last-event-id, x-request-id",
    "access-control-allow-methods": "DELETE, GET, HEAD, PATCH, POST, PUT",
    "access-control-max-age": "7200",
}


def is_loopback(host: str) -> bool:
    """Return whether a `Host` header (or a URL's authority) names this machine's loopback."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class Guard:
    """The outermost layer: lets a request in or answers it, and completes the headers of the answer."""

    def __init__(
        self, app: ASGIApp, public_url: str = "", *, has_accounts: bool = False, origins: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._origins = [_pattern(origin) for origin in origins]
        self._has_accounts = has_accounts
        self._public_host = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        signed = _SIGNED.fullmatch(scope["path"]) is not None
        headers = Headers(scope=scope)
        added = dict(_SIGNED_ANSWER) if signed else self._allowed(headers)
        answer = self._refusal(scope, headers, signed=signed) or _preflight(scope, headers, signed=signed, added=added)
        await (answer or self._app)(scope, receive, _with_headers(send, {**_EVERY_ANSWER, **added}))

    def _refusal(self, scope: Scope, headers: Headers, *, signed: bool) -> Response | None:
        host = headers.get("host", "")
        if self._has_accounts:
            return None
        if not (is_loopback(host) or (signed and host.lower() == self._public_host)):
            detail = "The gateway answers on loopback names only, such as localhost or 127.0.0.1."
            return problem(421, "host_refused", detail)
        origin = headers.get("origin")
        if scope["method"] in _SAFE_METHODS or signed or origin is None or _same(origin, host) or self._knows(origin):
            return None
        return problem(
            403,
            "origin_refused",
            "A page of another site may not change anything here: name its origin in MEDIAPLANE_ORIGINS to allow it.",
        )

    def _knows(self, origin: str) -> bool:
        return any(pattern.fullmatch(origin) for pattern in self._origins)

    def _allowed(self, headers: Headers) -> dict[str, str]:
        """Return what tells the browser whether a page of this origin may use the API."""
        origin = headers.get("origin", "")
        if not self._knows(origin):
            return {"vary": "origin"} if self._origins else {}
        return {**_ALLOWED_ANSWER, "access-control-allow-origin": origin, "vary": "origin"}


def _pattern(origin: str) -> re.Pattern[str]:
    """Return what matches an origin; `*` stands for any part of a host's name, or for any port."""
    return re.compile(re.escape(origin).replace(r"\*", "[A-Za-z0-9.-]+"), re.IGNORECASE)


def _same(origin: str, host: str) -> bool:
    return urlsplit(origin).netloc.lower() == host.lower()


def _preflight(scope: Scope, headers: Headers, *, signed: bool, added: Mapping[str, str]) -> Response | None:
    """Answer a browser's question whether a page may ask (Source: Fetch standard, "CORS-preflight request")."""
    if scope["method"] != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    if signed:
        return Response(
            status_code=204, headers={"access-control-allow-methods": _methods(scope["path"]), **_PREFLIGHT}
        )
    if "access-control-allow-origin" in added:
        return Response(status_code=204, headers=_ALLOWED_PREFLIGHT)
    return None


def _methods(path: str) -> str:
    """Return what the permission in a URL may be for."""
    if path.startswith("/v1/companion/"):
        return "DELETE, GET, POST"
    if path.startswith("/v1/review-links/"):
        return "GET, POST"
    return "GET, HEAD, POST, PUT" if path.startswith("/v1/objects/") else "GET, HEAD"


@lru_cache(maxsize=1000)  # origins are chosen by who asks
def _raw(header: tuple[str, str]) -> tuple[bytes, bytes]:
    return header[0].encode("latin-1"), header[1].encode("latin-1")


def _with_headers(send: Send, wanted: Mapping[str, str]) -> Send:
    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            names = {name for name, _ in given}
            added = [(name, value) for name, value in map(_raw, wanted.items()) if name not in names]
            message["headers"] = [*given, *added]
        await send(message)

    return complete
