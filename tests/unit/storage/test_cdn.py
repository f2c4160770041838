"""CDN links: what they open, until when, and what changes of them do not."""

import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.access.links import ends_at
from mediaplane.errors import LinkInvalid, SettingInvalid
from mediaplane.media.keys import check_key
from mediaplane.storage.cdn import CdnKey, CdnSigner, read_cdn_keys, shared_directory

NOON = 1_895_400_000.0
HOUR = timedelta(hours=1)
OLD, NEW = CdnKey("k1", "o" * 32), CdnKey("k2", "n" * 40)
KEY = check_key("videos/proxy/a1/späte 100%+/index.m3u8")
VECTORS = json.loads((Path(__file__).parents[2] / "integration" / "cdn_links.json").read_text())


class Writer:
    """Signs writes in the tests."""

    def sign_put(self, key: str, *, size_bytes: int, content_type: str) -> str:
        return f"https://bucket/{key}?{size_bytes}&{content_type}"


def signer(*keys: CdnKey, store: str = "s3", now: float = NOON) -> CdnSigner:
    return CdnSigner(
        "https://media.example.com/", store, keys or (OLD,), lifetime=HOUR, writer=Writer(), now=lambda: now
    )


def check(link: str, by: CdnSigner) -> int:
    parts = urlsplit(link)
    permission, _, key = unquote(parts.path).removeprefix("/").partition("/")
    return by.verify(permission, key, dict(parse_qsl(parts.query)))


def test_link_opens_its_object():
    """Until its end, which is at least one lifetime away and at most one and a half."""
    link = signer().sign_get(KEY)
    assert signer().sign_gets([KEY, KEY]) == [link, link]
    assert link.startswith("https://media.example.com/k1.")
    assert 3600 <= check(link, signer()) <= 5400
    assert signer().sign_head(KEY) == link
    assert ends_at(link).timestamp() == NOON + check(link, signer())
    with pytest.raises(LinkInvalid, match="expired"):
        check(link, signer(now=NOON + 5400))


def test_link_stays_equal_within_a_window():
    """So that a CDN can cache what is behind it."""
    links = {signer(now=NOON + second).sign_get(KEY) for second in range(0, 1800, 60)}
    assert len(links) == 1
    assert signer(now=NOON + 1800).sign_get(KEY) not in links


def test_link_below_a_directory_opens_all_of_it_and_nothing_beside():
    """A playlist and what it names have one permission; another asset, or the directory's neighbour, has not."""
    links = signer().sign_below("videos/proxy/a1/", [KEY, check_key("videos/proxy/a1/1080p/c0.m4s")])
    permissions = {urlsplit(link).path.split("/")[1] for link in links.values()}
    assert len(permissions) == 1
    permission = permissions.pop()
    for key in ("videos/proxy/a1/x", "videos/proxy/a1/deep/er/x"):
        signer().verify(permission, key, {})
    for key in ("videos/proxy/a2/x", "videos/proxy/a1", "videos/proxy/a1x/y", "videos/proxy", "x/proxy/a1/x", "a1/x"):
        with pytest.raises(LinkInvalid):
            signer().verify(permission, key, {})


def test_link_of_another_key_store_name_or_secret():
    """Whatever is changed of a link, it opens nothing."""
    link = signer().sign_download(KEY, filename="Talk 1.mp4")
    assert check(link, signer())
    changed = [
        link.replace("index", "other"),
        link.replace("Talk", "Evil"),
        link.partition("?")[0],
        link.replace(".0.", ".3."),
        link.replace("k1.", "k2."),
        link.replace("k1.1", "k1.2"),
        link.replace("/k1.", "/"),
    ]
    for one in changed:
        assert one != link
        with pytest.raises(LinkInvalid):
            check(one, signer())
    for other in (signer(store="s4"), signer(CdnKey("k1", "x" * 32))):
        with pytest.raises(LinkInvalid):
            check(link, other)


def test_keys_rotate():
    """The first signs, all are taken; what was signed with a key that is gone opens nothing any more."""
    link = signer(OLD).sign_get(KEY)
    assert check(link, signer(NEW, OLD))
    assert "/k2." in signer(NEW, OLD).sign_get(KEY)
    with pytest.raises(LinkInvalid, match="not in use"):
        check(link, signer(NEW))


@given(st.text(max_size=60), st.text(max_size=40), st.text(max_size=20))
def test_link_of_any_text(permission, key, filename):
    """No permission that was not made here makes it fall over, or opens anything."""
    with pytest.raises(LinkInvalid):
        signer().verify(permission, key, {"filename": filename})


def test_writes_go_to_the_bucket():
    """A CDN takes no uploads."""
    assert signer().sign_put(KEY, size_bytes=3, content_type="a/b").startswith("https://bucket/")


@pytest.mark.parametrize(
    "text", ["k1", "k1:short", f"a b:{'x' * 32}", f"k1:{'x' * 32},k1:{'y' * 32}", f":{'x' * 32}", f"k1:{'é' * 32}"]
)
def test_keys_that_cannot_be(text):
    """What is no key is refused without repeating it: it may be the secret."""
    with pytest.raises(ValueError) as refused:
        read_cdn_keys(text)
    assert "x" * 20 not in str(refused.value)


def test_keys_are_needed():
    """A CDN that checks links needs something to check them with."""
    assert read_cdn_keys(f"k1:{'x' * 32}, k2:{'y' * 32}") == (CdnKey("k1", "x" * 32), CdnKey("k2", "y" * 32))
    with pytest.raises(SettingInvalid, match="S3_CDN_KEYS"):
        CdnSigner("https://c", "s3", (), lifetime=HOUR, writer=Writer())
    assert "x" * 10 not in repr(CdnKey("k1", "x" * 32))


@pytest.mark.parametrize(
    ("keys", "shared"),
    [
        (["hls/a1/720p/1", "hls/a1/720p/2"], "hls/a1/720p/"),
        (["hls/a1/720p/1", "hls/a1/360p/1"], "hls/a1/"),
        (["hls/a1-1", "hls/a1-2"], ""),
        (["hls/all/1"], ""),
        (["a1/x"], "a1/"),
        ([], ""),
    ],
)
def test_shared_directory_is_the_assets_own(keys, shared):
    """A layout that keeps many assets in one directory gets no permission for all of it."""
    assert shared_directory(keys, of="a1") == shared


@pytest.mark.parametrize("vector", VECTORS["links"], ids=[vector["what"] for vector in VECTORS["links"]])
def test_vectors(vector):
    """The links that the edge function is tested with are judged the same here."""
    by = CdnSigner(
        "https://m", VECTORS["store"], read_cdn_keys(VECTORS["keys"]), lifetime=HOUR, writer=Writer(),
        now=lambda: VECTORS["now"],
    )  # fmt: skip
    if vector["good"]:
        assert check(vector["url"], by) == vector["left"]
    else:
        with pytest.raises(LinkInvalid):
            check(vector["url"], by)
