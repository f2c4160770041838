"""Who may ask: the host name, the origin and the headers that every answer carries.

The gateway has no accounts yet, so it trusts whoever reaches it on loopback. A web page in the same machine's
browser reaches it too, so three doors are shut here: other host names (DNS rebinding), writes that another
site's page sends, and reading across sites. Open to all are only the paths whose URL carries its own permission.
"""

import ipaddress
import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway.problems import problem

_SIGNED = re.compile(r"/v1/(?:objects/.+|assets/[^/]+/(?:hls|frames)/[^/]+)")
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

    def __init__(self, app: ASGIApp, public_url: str = "") -> None:
        self._app = app
        self._public_host = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        signed = _SIGNED.fullmatch(scope["path"]) is not None
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers, signed=signed) or _preflight(scope, headers, signed=signed)
        await (answer or self._app)(scope, receive, _with_headers(send, signed=signed))

    def _refusal(self, scope: Scope, headers: Headers, *, signed: bool) -> Response | None:
        host = headers.get("host", "")
        if not (is_loopback(host) or (signed and host.lower() == self._public_host)):
            detail = "The gateway answers on loopback names only, such as localhost or 127.0.0.1."
            return problem(421, "host_refused", detail)
        origin = headers.get("origin")
        if scope["method"] not in _SAFE_METHODS and not signed and origin is not None and not _same(origin, host):
            return problem(403, "origin_refused", "A page of another site may not change anything here.")
        return None


def _same(origin: str, host: str) -> bool:
    return urlsplit(origin).netloc.lower() == host.lower()


def _preflight(scope: Scope, headers: Headers, *, signed: bool) -> Response | None:
    """Answer a browser's question whether a page may ask (Source: Fetch standard, "CORS-preflight request")."""
    if not signed or scope["method"] != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    methods = "GET, HEAD, PUT" if scope["path"].startswith("/v1/objects/") else "GET, HEAD"
    return Response(status_code=204, headers={"access-control-allow-methods": methods, **_PREFLIGHT})


def _with_headers(send: Send, *, signed: bool) -> Send:
    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            _complete(message, signed=signed)
        await send(message)

    return complete


def _complete(message: MutableMapping[str, Any], *, signed: bool) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in {**_EVERY_ANSWER, **(_SIGNED_ANSWER if signed else {})}.items():
        headers.setdefault(name, value)
