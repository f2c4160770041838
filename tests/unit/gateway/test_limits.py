"""Token buckets: what passes at once, what passes over time, and who is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.gateway import limits
from mediaplane.gateway.limits import Buckets, Limits


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(0.5, 50), st.floats(1, 100))
def test_never_more_than_burst_and_rate(waits, rate, burst):
    """In any time no more pass than the burst and what was refilled, and a refusal says how long to wait."""
    clock = Clock()
    buckets = Buckets(rate, burst, clock)
    began, passed = clock.now, 0
    for wait in waits:
        clock.now += wait
        standing = buckets.spend("a")
        passed += standing.allowed
        assert passed <= burst + rate * (clock.now - began) + 1e-6
        if not standing.allowed:
            clock.now += standing.wait_seconds + 1e-6
            assert buckets.spend("a").allowed
            passed += 1


def test_names_do_not_share(monkeypatch):
    """Each has its own bucket; those unused longest are forgotten when there are too many."""
    monkeypatch.setattr(limits, "MOST_BUCKETS", 2)
    buckets = Buckets(1, 1, Clock())
    assert buckets.spend("a").allowed and buckets.spend("b").allowed
    assert not buckets.spend("a").allowed
    assert buckets.spend("c").allowed
    assert buckets.spend("a").allowed, "forgotten, so it begins anew"


def test_fines_end():
    """However often one was wrong, it is over after a burst's time."""
    clock = Clock()
    buckets = Buckets(1, 10, clock)
    for _ in range(1000):
        buckets.fine("a", 10)
    assert not buckets.spend("a").allowed
    clock.now += 11
    assert buckets.spend("a").allowed


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
async def test_addresses_of_one_customer(first, second, same):
    """An IPv6 customer has a whole network and one bucket."""

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    edge = Limits(app, rate=0.02)
    statuses = []

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for host in (first, second):
        await edge({"type": "http", "path": "/v1/assets", "headers": [], "client": (host, 1)}, None, send)
    assert statuses == ([200, 429] if same else [200, 200])
