"""Where a URL of somebody else's choice may lead: to public addresses only, looked up anew for every request.

A name that resolves to a public address when it is registered may resolve to 127.0.0.1 later (DNS rebinding), so the
address that was checked is the address that is connected to.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from mediaplane.errors import InvalidWebhook

MAX_URL_CHARS = 2000
_PORTS = {"http": 80, "https": 443}
# Public by the registry, yet ways to an IPv4 address that is not: 6to4, Teredo, the two of NAT64.
_TUNNELS = tuple(ipaddress.ip_network(text) for text in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart."""

    scheme: str
    host: str  # without brackets
    port: int
    path: str  # with the query

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def read_target(url: str, *, private: bool = False) -> Target:
    """Take a URL apart; `private` lets addresses of this machine and its networks, and plain HTTP, pass.

    Raises:
        InvalidWebhook: it is no URL that we would send to.
    """
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidWebhook(f"url: write at most {MAX_URL_CHARS} printable ASCII characters without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidWebhook("url: it cannot be read as a URL") from None
    if parts.scheme not in (("http", "https") if private else ("https",)):
        raise InvalidWebhook("url: it must begin with https://")
    if not parts.hostname or port == 0:
        raise InvalidWebhook("url: it names no host that can be asked")
    if parts.username is not None or parts.password is not None:
        raise InvalidWebhook("url: no user name or password; every delivery is signed instead")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)
    if not private and (target.host == "localhost" or target.host.endswith(".localhost")):
        raise InvalidWebhook("url: it leads to this machine")
    if not private and (address := _literal(target.host)) is not None and not is_public(address):
        raise InvalidWebhook("url: its address is not a public one")
    return target


def is_public(address: Address) -> bool:
    """Return whether everybody on the internet means the same machine by the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(target: Target, *, private: bool = False) -> str:
    """Return the address to connect to; every address that the name has must be allowed, not only one of them.

    Raises:
        InvalidWebhook: one is not public.
        OSError: the name cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not private and not all(is_public(ipaddress.ip_address(text.partition("%")[0])) for text in addresses):
        raise InvalidWebhook("its name leads to an address that is not public")
    return addresses[0]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
