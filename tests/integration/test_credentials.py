"""Keys of the machine: from its files, its container, its web identity; renewed before they end, whoever signs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from mediaplane.errors import SettingInvalid, StorageError
from mediaplane.media.keys import check_key
from mediaplane.settings import load_settings
from mediaplane.storage import credentials
from mediaplane.storage.buckets import open_client
from mediaplane.storage.connectivity import check_permissions
from mediaplane.storage.endpoint import S3Endpoint, read_endpoint
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.signing import S3Signer

HOUR = timedelta(hours=1)
_ANSWER = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>{AccessKeyId}</AccessKeyId><SecretAccessKey>{SecretAccessKey}</SecretAccessKey>
<SessionToken>{Token}</SessionToken><Expiration>{Expiration}</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class Machine:
    """What hands out keys on a machine: a container's agent (GET) and an STS (POST), on loopback."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self.keys = (access_key, secret_key)
        self.lives = timedelta(hours=6)
        self.fails = False
        self.asked: list[str] = []
        self.url = ""

    def answer(self) -> dict[str, str]:
        """The keys, as the metadata service of a container says them."""
        expires = (datetime.now(UTC) + self.lives).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"AccessKeyId": self.keys[0], "SecretAccessKey": self.keys[1], "Token": "", "Expiration": expires}


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path) -> Iterator[None]:
    """No keys but those of the test: not from files, not from this machine, not from an earlier test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    credentials.role_keys.cache_clear()
    yield
    credentials.role_keys.cache_clear()


@pytest.fixture
def machine(seaweed) -> Iterator[Machine]:
    with handing_out(Machine(seaweed.access_key, seaweed.secret_key)) as found:
        yield found


@contextmanager
def handing_out(machine: Machine) -> Iterator[Machine]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(json.dumps(machine.answer()))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(_ANSWER.format(**machine.answer()))

        def _say(self, text: str) -> None:
            machine.asked.append(self.path)
            self.send_response(500 if machine.fails else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        machine.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield machine
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def container(machine, monkeypatch) -> Machine:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{machine.url}/keys")
    return machine


def endpoint_on(server, bucket: str, **environ: str) -> S3Endpoint:
    return read_endpoint(
        load_settings({"S3_ENDPOINT": server.http_endpoint, "S3_BUCKET": bucket, "S3_CREDENTIALS": "role", **environ})
    )


async def _body():
    yield b"bytes"


async def test_every_way_to_the_bucket_works_with_the_keys_of_a_container(container, seaweed, fresh_bucket):
    """The engine, the listing, signed URLs and boto3 clients all take them, and ask once."""
    endpoint = endpoint_on(seaweed, fresh_bucket(seaweed))
    store, key = S3Store(endpoint), check_key("a/b")
    await store.put(key, _body(), content_type="video/mp4")
    assert [info.key async for info in store.walk("")] == [key]
    assert open_client(endpoint).head_object(Bucket=endpoint.bucket, Key=key)["ContentLength"] == 5
    assert check_permissions(endpoint) is None
    assert f"X-Amz-Credential={seaweed.access_key}" in S3Signer(endpoint, lifetime=HOUR).sign_get(key)
    await store.delete([key])
    assert container.asked == ["/keys"]


def test_keys_of_a_web_identity(machine, monkeypatch, tmp_path, seaweed, fresh_bucket):
    """A token in a file is exchanged for keys at the STS."""
    (tmp_path / "token").write_text("who I am")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mediaplane")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", machine.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    endpoint = endpoint_on(seaweed, fresh_bucket(seaweed))
    assert check_permissions(endpoint) is None
    assert endpoint.keys().expires is not None
    assert machine.asked == ["/"]


def test_keys_of_a_section_in_the_files(tmp_path, seaweed, fresh_bucket):
    """AWS_PROFILE is enough: `auto` takes the files where no keys are set."""
    (tmp_path / "credentials").write_text(
        f"[media]\naws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n"
    )
    endpoint = endpoint_on(seaweed, fresh_bucket(seaweed), S3_CREDENTIALS="auto", AWS_PROFILE="media")
    assert check_permissions(endpoint) is None
    assert endpoint.keys().expires is None
    with pytest.raises(SettingInvalid, match="S3_CREDENTIALS"):
        endpoint_on(seaweed, "b", AWS_PROFILE="nobody").keys()


async def test_keys_are_renewed_before_they_end(container, seaweed, fresh_bucket):
    """Keys that end within minutes are asked for again, and everybody who signs has the new ones."""
    container.lives = timedelta(minutes=12)  # within the time in which the chain looks for new ones
    container.keys = ("FIRST", "wrong")
    endpoint = endpoint_on(seaweed, fresh_bucket(seaweed))
    now = datetime.now(UTC).timestamp()
    signer = S3Signer(endpoint, lifetime=HOUR, now=lambda: now)
    url = signer.sign_get(check_key("a"))
    assert "X-Amz-Credential=FIRST" in url
    container.keys, container.lives = (seaweed.access_key, seaweed.secret_key), timedelta(hours=6)
    assert endpoint.keys().access_key_id == seaweed.access_key
    assert signer.sign_get(check_key("a")) == url, "a URL stays the same for a moment"
    now += 11
    assert f"X-Amz-Credential={seaweed.access_key}" in signer.sign_get(check_key("a"))
    await S3Store(endpoint).put(check_key("a"), _body(), content_type="video/mp4")
    assert open_client(endpoint).head_object(Bucket=endpoint.bucket, Key="a")["ContentLength"] == 5


def test_url_never_outlives_the_keys_of_a_role(container):
    """Its end is theirs where that comes first; with others in their place, signing goes on before it dwindles."""
    container.lives = timedelta(minutes=40)
    endpoint = S3Endpoint("https://s3.example.com", "bucket", "", "", role=credentials.role_keys(""))
    ends = endpoint.keys().expires
    assert ends is not None
    url = S3Signer(endpoint, lifetime=HOUR).sign_get(check_key("a"))
    query = parse_qs(urlsplit(url).query)
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(signed + timedelta(seconds=int(query["X-Amz-Expires"][0])) - ends) < timedelta(seconds=2)


async def test_machine_that_gives_no_keys(container):
    """The sentence names the setting; what failed may pass."""
    container.fails = True
    endpoint = S3Endpoint("http://127.0.0.1:1", "bucket", "", "", role=credentials.role_keys(""))
    with pytest.raises(StorageError, match="S3_CREDENTIALS") as caught:
        endpoint.keys()
    assert caught.value.retryable
    assert "S3_CREDENTIALS" in check_permissions(endpoint).message
    with pytest.raises(StorageError, match="S3_CREDENTIALS"):
        await S3Store(endpoint, retry_for=timedelta(0)).stat(check_key("a"))


def test_machine_without_any_keys():
    """Nothing is found, and the settings to set are named."""
    with pytest.raises(SettingInvalid, match="S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"):
        credentials.RoleKeys().keys()


@pytest.mark.parametrize(
    ("environ", "role"),
    [
        ({"S3_PROVIDER": "aws"}, True),
        ({"S3_PROVIDER": "aws", "S3_CREDENTIALS": "settings"}, None),
        ({"S3_PROVIDER": "aws", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, False),
        (
            {"S3_PROVIDER": "aws", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "S3_CREDENTIALS": "role"},
            True,
        ),
        ({"S3_PROVIDER": "aws", "S3_ACCESS_KEY_ID": "k"}, None),
        ({"S3_ENDPOINT": "http://127.0.0.1:9000"}, None),
        ({"S3_ENDPOINT": "http://127.0.0.1:9000", "S3_CREDENTIALS": "role"}, True),
        ({"S3_ENDPOINT": "http://127.0.0.1:9000", "AWS_PROFILE": "p"}, True),
    ],
)
def test_role_is_asked_only_where_that_is_meant(environ, role):
    """On Amazon without keys, with AWS_PROFILE, or where S3_CREDENTIALS says so; else keys are missing, by name."""
    if role is None:
        with pytest.raises(SettingInvalid, match=r"S3_(ACCESS_KEY_ID|SECRET_ACCESS_KEY): must be set"):
            read_endpoint(load_settings(environ))
    else:
        assert (read_endpoint(load_settings(environ)).role is not None) == role


def test_section_of_a_shell_that_is_not_there_is_no_matter(monkeypatch, seaweed, fresh_bucket):
    """Whoever sets keys of their own does not stumble over AWS_PROFILE."""
    endpoint = S3Endpoint(seaweed.http_endpoint, fresh_bucket(seaweed), seaweed.access_key, seaweed.secret_key)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert open_client(endpoint).list_objects_v2(Bucket=endpoint.bucket)["KeyCount"] == 0
