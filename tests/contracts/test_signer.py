"""What every `Signer` promises: one key, one method, until a time; run on links and on the real S3 servers."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import httpx
import pytest

from mediaplane.errors import LinkInvalid, SettingInvalid
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.links import LinkSigner
from mediaplane.storage.signing import Clock, S3Signer
from mediaplane.storage.store import Signer
from tests.contracts.conftest import S3_CASES, Case

BODY = b"0123456789"
HOUR = timedelta(hours=1)
KEY = "a b+c%20~é/日本 (1)&d=e;f'g\"!*.bin"


@dataclass(frozen=True)
class Answer:
    """What came back for a request."""

    status: int
    body: bytes


class LinkServer:
    """Serves links as the gateway does: by what `verify` says. One object is stored, at `key`."""

    def __init__(self, key: ObjectKey) -> None:
        self._key = key
        self._signer = LinkSigner("http://gateway:1", "local", "secret of the tests", lifetime=HOUR)

    def signer(self, now: Clock = time.time) -> LinkSigner:
        """The signer of the links, with another clock."""
        return LinkSigner("http://gateway:1", "local", "secret of the tests", lifetime=HOUR, now=now)

    def request(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Answer as the gateway would."""
        parts = urlsplit(url)
        store, key = unquote(parts.path).removeprefix("/v1/objects/").split("/", 1)
        content_type = (headers or {}).get("Content-Type")
        try:
            self._signer.verify(
                method, store, key, dict(parse_qsl(parts.query)), size_bytes=len(body), content_type=content_type
            )
        except LinkInvalid:
            return Answer(403, b"")
        if method == "PUT":
            return Answer(200, b"")
        return Answer(200, BODY if method == "GET" else b"") if key == self._key else Answer(404, b"")


class S3Requests:
    """Sends requests to a real server, without any credentials."""

    def __init__(self, endpoint: S3Endpoint, proxy: str | None) -> None:
        self._endpoint = endpoint
        trust = ssl.create_default_context(cafile=endpoint.ca_file) if endpoint.ca_file else True
        self._client = httpx.Client(verify=trust, proxy=proxy, trust_env=False, timeout=20)

    def signer(self, now: Clock = time.time) -> S3Signer:
        """The signer of the bucket, with another clock."""
        return S3Signer(self._endpoint, lifetime=HOUR, now=now)

    def request(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send it."""
        response = self._client.request(method, url, content=body or None, headers=headers)
        return Answer(response.status_code, response.content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


Service = LinkServer | S3Requests


@pytest.fixture
def key(prefix: str) -> ObjectKey:
    """A key with everything that has to be quoted."""
    return check_key(prefix + KEY)


@pytest.fixture(params=["link", *S3_CASES])
async def service(
    request: pytest.FixtureRequest, key: ObjectKey, open_case: Callable[[str], Case]
) -> AsyncIterator[Service]:
    """Each service in turn, with `BODY` stored at `key`."""
    if request.param == "link":
        yield LinkServer(key)
        return
    case = open_case(request.param)
    assert case.endpoint
    await case.store.put(key, _one_chunk(), content_type="video/mp4")
    requests = S3Requests(case.endpoint, case.proxy)
    yield requests
    requests.close()


async def _one_chunk() -> AsyncIterator[bytes]:
    yield BODY


async def test_get_and_head_by_url_alone(service: Service, key: ObjectKey) -> None:
    """The URL is all that is needed to read, with and without Range."""
    signer: Signer = service.signer()
    assert service.request("GET", signer.sign_get(key)) == Answer(200, BODY)
    assert service.request("HEAD", signer.sign_head(key)) == Answer(200, b"")
    ranged = service.request("GET", signer.sign_get(key), headers={"Range": "bytes=2-4"})
    assert ranged in (Answer(206, BODY[2:5]), Answer(200, BODY))  # the stand-in for the gateway has no ranges
    assert isinstance(service, LinkServer) or ranged.status == 206


async def test_many_urls_at_once_are_those_of_each(service: Service, key: ObjectKey) -> None:
    """Signed together or one by one they are the same, in the order of the keys."""
    signer = service.signer(now=lambda: NOON)
    keys = [key, check_key("a/b.bin"), key, check_key("ä b")]
    assert signer.sign_gets(keys) == [signer.sign_get(each) for each in keys]
    assert signer.sign_gets([]) == []


async def test_url_is_bound_to_its_method(service: Service, key: ObjectKey) -> None:
    """A URL to read does not write or delete, and a URL to write does not read."""
    signer = service.signer()
    for method in ("PUT", "DELETE", "POST"):
        body = b"" if method == "DELETE" else BODY
        assert service.request(method, signer.sign_get(key), body, {"Content-Type": "video/mp4"}).status in (403, 405)
    put_url = signer.sign_put(key, size_bytes=len(BODY), content_type="video/mp4")
    for method in ("GET", "HEAD", "DELETE"):
        assert service.request(method, put_url).status == 403
    assert service.request("GET", signer.sign_get(key)) == Answer(200, BODY)


async def test_url_is_bound_to_its_key(service: Service, key: ObjectKey) -> None:
    """The permission for one key does not open another."""
    signer = service.signer()
    url = signer.sign_get(check_key(f"{key}.other"))
    assert service.request("GET", url.replace(".other", "")).status == 403


async def test_url_that_was_changed(service: Service, key: ObjectKey) -> None:
    """A longer life, another signature or none is refused."""
    url = service.signer().sign_get(key)
    signature = next(value for name, value in parse_qsl(urlsplit(url).query) if name.endswith("ignature"))
    turned = ("1" if signature[0] == "0" else "0") + signature[1:]
    head, _, _ = url.rpartition("&")
    for changed in (url.replace(signature, turned), head, url.replace("xpires=", "xpires=1")):
        assert service.request("GET", changed).status in (400, 403)


async def test_url_that_has_expired(service: Service, key: ObjectKey) -> None:
    """A URL lives at least its lifetime and at most half as long again."""
    now = time.time()
    assert service.request("GET", service.signer(lambda: now - 3590).sign_get(key)).status == 200
    assert service.request("GET", service.signer(lambda: now - 5401).sign_get(key)).status == 403


async def test_put_of_exactly_what_was_signed(service: Service, prefix: str) -> None:
    """Another size or type than the signed one is refused, the right one is stored."""
    target = check_key(f"{prefix}up load.mp4")
    url = service.signer().sign_put(target, size_bytes=4, content_type="video/mp4; codecs=avc1")
    right = {"Content-Type": "video/mp4; codecs=avc1"}
    assert service.request("PUT", url, b"12345", right).status == 403
    assert service.request("PUT", url, b"123", right).status == 403
    assert service.request("PUT", url, b"1234", {"Content-Type": "text/html"}).status == 403
    assert service.request("PUT", url, b"1234", right).status == 200
    if isinstance(service, S3Requests):
        assert service.request("GET", service.signer().sign_get(target)) == Answer(200, b"1234")


ENDPOINT = S3Endpoint("https://s3.example.com", "bucket", "AKID", "secret")
NOON = datetime(2030, 1, 31, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture(params=["link", "s3"])
def make_signer(request: pytest.FixtureRequest) -> Callable[[Clock, timedelta], Signer]:
    """Make either signer with a clock."""
    if request.param == "link":
        return lambda now, lifetime: LinkSigner("https://host", "local", "secret", lifetime=lifetime, now=now)
    return lambda now, lifetime: S3Signer(ENDPOINT, lifetime=lifetime, now=now)


def end_of(url: str) -> float:
    """When a URL expires, in seconds since 1970."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    if "expires" in query:
        return float(query["expires"])
    signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed.timestamp() + int(query["X-Amz-Expires"])


@pytest.mark.parametrize("lifetime", [timedelta(minutes=2), HOUR, timedelta(days=3), timedelta(days=7)])
async def test_url_stays_equal_within_a_window(
    make_signer: Callable[[Clock, timedelta], Signer], lifetime: timedelta
) -> None:
    """Equal calls within a window give equal URLs, and none lives shorter than promised or longer than S3 allows."""
    clock = NOON
    signer, key = make_signer(lambda: clock, lifetime), check_key("a/b.mp4")
    urls, step = [], max(lifetime.total_seconds() / 40, 0.5)
    for _ in range(81):  # two lifetimes
        urls.append(signer.sign_get(key))
        life = end_of(urls[-1]) - clock
        assert lifetime.total_seconds() - 1 < life <= lifetime.total_seconds() * 1.5 + 1
        if isinstance(signer, S3Signer):
            assert life <= 7 * 24 * 3600
        clock += step
    if lifetime < timedelta(days=4):
        assert len(set(urls)) in (4, 5)  # windows of half a lifetime
        assert urls == [url for seen in dict.fromkeys(urls) for url in [seen] * urls.count(seen)]


async def test_url_never_outlives_the_keys() -> None:
    """Temporary keys bound every URL; when they have ended, nothing is signed and the setting is named."""
    ends = datetime.fromtimestamp(NOON + 1800, UTC)
    clock = [NOON]
    endpoint = replace(ENDPOINT, session_token="tok/en+=", session_expires=ends)
    signer, key = S3Signer(endpoint, lifetime=HOUR, now=lambda: clock[0]), check_key("a")
    for clock[0] in (NOON, NOON + 900, NOON + 1799):
        put_url = signer.sign_put(key, size_bytes=1, content_type="a/b")
        for url in (signer.sign_get(key), signer.sign_head(key), put_url):
            assert end_of(url) == ends.timestamp()
            assert "X-Amz-Security-Token=tok%2Fen%2B%3D" in url
    clock[0] = NOON + 1800
    with pytest.raises(SettingInvalid, match="S3_SESSION_EXPIRES"):
        signer.sign_get(key)
    with pytest.raises(SettingInvalid, match="S3_SESSION_EXPIRES"):
        signer.sign_put(key, size_bytes=1, content_type="a/b")


async def test_link_of_a_stranger() -> None:
    """Another secret, another store and hostile texts do not pass, and the sentence tells wrong from expired."""
    clock = NOON
    signer = LinkSigner("https://host", "local", "secret", lifetime=HOUR, now=lambda: clock)
    url = signer.sign_get(check_key("a"))
    query = dict(parse_qsl(urlsplit(url).query))
    signer.verify("GET", "local", "a", query)
    signer.verify("HEAD", "local", "a", query)
    stranger = LinkSigner("https://host", "local", "other", lifetime=HOUR, now=lambda: clock)
    with pytest.raises(LinkInvalid, match="not valid"):
        stranger.verify("GET", "local", "a", query)
    hostile = [
        ("GET", "s3", "a", query),
        ("GET", "local", "a\n", query),
        ("GET", "local", "\udcff\x00", query),
        ("GET", "local\nx", "a", query),
        ("GET", "local", "a", {**query, "size": "1"}),
        ("GET", "local", "a", {**query, "expires": query["expires"] + "0"}),
        ("GET", "local", "a", {**query, "expires": "²"}),
        ("GET", "local", "a", {**query, "signature": "\udcff"}),
        ("GET", "local", "a", {}),
    ]
    for method, store, key, asked in hostile:
        with pytest.raises(LinkInvalid, match="not valid"):
            signer.verify(method, store, key, asked)
    clock = NOON + 5400
    with pytest.raises(LinkInvalid, match="expired at 2030-01-31 13:30:00 UTC"):
        signer.verify("GET", "local", "a", query)
