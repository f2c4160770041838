"""How often one may ask: a bucket of tokens for each key, owner and address, refilled at a steady rate.

In memory, one process each: it keeps one client from starving the others, it is no accounting.
"""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediaplane.gateway.problems import problem

BURST_SECONDS = 10
OF_ADDRESS = 5  # an address may be that of a whole office
FAILURE_COST = 10  # a key that was guessed wrong costs the address as much as so many requests
MOST_BUCKETS = 100_000
_FREE = frozenset(("/healthz", "/readyz", "/metrics"))


@dataclass(frozen=True, slots=True)
class Standing:
    """How many more requests may pass at once, and how long this one has to wait."""

    remaining: int
    wait_seconds: float

    @property
    def allowed(self) -> bool:
        """Whether it may pass now."""
        return self.wait_seconds <= 0


class Buckets:
    """Token buckets by name; those unused longest are forgotten, which only ever lets somebody ask more."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic) -> None:
        self.rate, self.burst = rate, burst
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, name: str, cost: float = 1.0) -> Standing:
        """Take tokens if there are enough; a refusal takes none."""
        tokens = self._tokens(name)
        if tokens < cost:
            return Standing(0, (cost - tokens) / self.rate)
        self._put(name, tokens - cost)
        return Standing(int(tokens - cost), 0.0)

    def fine(self, name: str, cost: float) -> None:
        """Take tokens, also more than there are, but never so many that it takes longer than a burst to recover."""
        self._put(name, max(self._tokens(name) - cost, -self.burst))

    def _tokens(self, name: str) -> float:
        tokens, then = self._found.get(name, (self.burst, 0.0))
        return min(self.burst, tokens + (self._clock() - then) * self.rate) if name in self._found else self.burst

    def _put(self, name: str, tokens: float) -> None:
        self._found[name] = (tokens, self._clock())
        self._found.move_to_end(name)
        if len(self._found) > MOST_BUCKETS:
            self._found.popitem(last=False)


class Limits:
    """The middleware: counts a request against its credentials, or its address where it has none."""

    def __init__(self, app: ASGIApp, *, rate: float) -> None:
        self._app = app
        self._keys = Buckets(rate, rate * BURST_SECONDS)
        self._addresses = Buckets(rate * OF_ADDRESS, rate * OF_ADDRESS * BURST_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        address, credentials = _address(scope), _credentials(scope)
        standing, buckets = self._addresses.spend(address), self._addresses
        if standing.allowed and credentials:
            standing, buckets = self._keys.spend(credentials), self._keys
        headers = _fields(buckets, standing)
        if not standing.allowed:
            refusal = problem(
                429,
                "rate_limited",
                "Too many requests: wait as long as Retry-After says.",
                headers={**headers, "retry-after": str(math.ceil(standing.wait_seconds))},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, self._watch(send, address, headers))

    def _watch(self, send: Send, address: str, headers: dict[str, str]) -> Send:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 401:
                    self._addresses.fine(address, FAILURE_COST)
                MutableHeaders(scope=message).update(headers)
            await send(message)

        return watch


def _fields(buckets: Buckets, standing: Standing) -> dict[str, str]:
    """Return the header fields. Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4."""
    full_seconds = math.ceil((buckets.burst - standing.remaining) / buckets.rate)
    return {
        "ratelimit-policy": f'"burst";q={int(buckets.burst)};w={BURST_SECONDS}',
        "ratelimit": f'"burst";r={standing.remaining};t={full_seconds}',
    }


def _credentials(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return hashlib.sha256(value).hexdigest()  # the credentials themselves are kept nowhere
    return None


def _address(scope: Scope) -> str:
    """Return whose bucket an address has: for IPv6 the network that one customer is given."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return host
