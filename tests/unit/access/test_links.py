"""Playback tokens: what they open, for how long, and what they never open."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mediaplane.access.links import PlaybackTokens, ends_at
from mediaplane.errors import LinkInvalid
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.links import LinkSigner

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(now: float = 1_700_000_000.0, key: bytes = b"key") -> tuple[PlaybackTokens, Clock]:
    clock = Clock(now)
    return PlaybackTokens(key, lifetime=HOUR, now=clock), clock


@given(st.floats(0, 4e9), st.floats(0, 3600))
def test_token_within_its_lifetime(made_at, age):
    """A token is good for at least its whole lifetime, whenever it was made."""
    tokens, clock = make(made_at)
    token = tokens.make_token("a1")
    clock.now = made_at + age
    tokens.check_token("a1", token)


@given(st.floats(0, 4e9))
def test_token_after_one_and_a_half_lifetimes(made_at):
    """No token lives longer than one and a half lifetimes, and the sentence says that it has expired."""
    tokens, clock = make(made_at)
    token = tokens.make_token("a1")
    clock.now = made_at + 5402
    with pytest.raises(LinkInvalid, match="expired"):
        tokens.check_token("a1", token)


def test_token_within_a_window():
    """Tokens made within one window are equal, so that their URLs are cached; the next window has another."""
    tokens, clock = make(1_800 * 1_000_000)
    first = tokens.make_token("a1")
    clock.now += 1_799
    assert tokens.make_token("a1") == first
    clock.now += 1
    assert tokens.make_token("a1") != first


def test_token_of_another_asset():
    """A token opens the asset that it was made for, no other."""
    tokens, _ = make()
    with pytest.raises(LinkInvalid, match="not valid"):
        tokens.check_token("a2", tokens.make_token("a1"))


def test_token_of_another_key():
    """A token of another deployment opens nothing."""
    with pytest.raises(LinkInvalid, match="not valid"):
        make(key=b"other")[0].check_token("a1", make()[0].make_token("a1"))


def test_token_with_later_expiry():
    """The time is signed: nobody extends a token."""
    tokens, _ = make()
    expires, _, mac = tokens.make_token("a1").partition(".")
    with pytest.raises(LinkInvalid, match="not valid"):
        tokens.check_token("a1", f"{int(expires) + 1}.{mac}")


@given(st.text())
def test_token_of_any_text(text):
    """Nothing that was not made here is taken, and nothing makes the check fall over."""
    tokens, _ = make()
    assume(text != tokens.make_token("a1"))
    with pytest.raises(LinkInvalid):
        tokens.check_token("a1", text)


@given(st.data())
def test_token_changed_in_one_place(data):
    """A token changed in any one character is refused."""
    tokens, _ = make()
    token = tokens.make_token("a1")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("0123456789abcXYZ-_.é"))
    assume(other != token[place])
    with pytest.raises(LinkInvalid):
        tokens.check_token("a1", token[:place] + other + token[place + 1 :])


def test_end_of_urls():
    """When a URL ends is read from it, however it was signed; of others it is not known."""
    tokens = PlaybackTokens(b"key", lifetime=timedelta(hours=1), now=lambda: 1_000_000.0)
    playback = f"https://m.example/v1/assets/a/hls/index.m3u8?token={tokens.make_token('a')}&start=3#t=3"
    link = LinkSigner("https://m.example", "local", "key", lifetime=timedelta(hours=1), now=lambda: 1_000_000.0)
    for url in (playback, link.sign_get(ObjectKey("a/b.mp4"))):
        end = ends_at(url)
        assert end and timedelta(hours=1) <= end - datetime.fromtimestamp(1_000_000, UTC) <= timedelta(hours=1.5)
    amazon = "https://s3.example/b/k?X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-Signature=x"
    assert ends_at(amazon) == datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)
    for url in ("https://cdn.example/a.mp4", "https://m.example/?token=x.y", "?expires=9e99", "?X-Amz-Date=soon", ""):
        assert ends_at(url) is None
