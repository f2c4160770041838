"""Where webhooks may go: public addresses only, whatever a name or a notation makes of them."""

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidWebhook, MediaplaneError
from mediaplane.upkeep.addresses import is_public, read_target, resolve


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_addresses_that_are_not_public(text):
    """Loopback, private, link-local, cloud metadata, and the IPv6 ways to all of these."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(text):
    """Everybody else's."""
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "https://", "https://user:pw@example.com/", "https://localhost/",
     "https://a.localhost/", "https://127.0.0.1/", "https://[::1]/", "https://[fe80::1%25eth0]/", "https://example.com:0/",
     "https://example.com:99999/", "https://example.com/a b", "https://example.com/\r\nx: y", "https://exämple.com/",
     "https://example.com\\@127.0.0.1/", "https://[::ffff:10.0.0.1]/", "//example.com", "", "https://" + "a" * 2000],
)  # fmt: skip
def test_urls_that_are_refused(url):
    """What is no https URL of a public host is refused when it is registered."""
    with pytest.raises(InvalidWebhook):
        read_target(url)


def test_url_taken_apart():
    """Host, port, path and query; the default port is not named again."""
    assert read_target("https://Example.com").authority == "example.com"
    target = read_target("https://example.com:8443/a?b=c#d")
    assert (target.authority, target.path) == ("example.com:8443", "/a?b=c")


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text):
    """Nothing else is raised, and no target can break a request's lines."""
    try:
        target = read_target("https://" + text, private=True)
    except MediaplaneError:
        return
    assert not set(target.path + target.authority) & set("\r\n \t\x00")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_other_notations_of_loopback(host):
    """The resolver reads them as 127.0.0.1, so they are refused when a webhook is sent."""
    with pytest.raises(InvalidWebhook):
        await resolve(read_target(f"https://{host}/"))


async def test_every_address_of_a_name_must_be_public(monkeypatch):
    """A name with one public and one private address is refused: the next connection might take the other."""

    async def both(*_args, **_more):
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(InvalidWebhook):
        await resolve(read_target("https://example.com/"))
