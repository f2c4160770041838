"""The implementations that the contracts are run on, each opened once a session."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.local import UNFINISHED, LocalStore
from mediaplane.storage.memory import MemoryStore
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.store import ObjectStore
from tests.services.failing_store import FailingStore
from tests.services.s3 import S3Server

PART_BYTES = 5 << 20  # the smallest that S3 allows
S3_CASES = [
    f"{server}-{addressing}-{scheme}"
    for server in ("seaweed", "rgw")
    for addressing in ("path", "virtual")
    for scheme in ("http", "https")
]


@dataclass(frozen=True)
class Case:
    """One store and what a test needs to look behind it."""

    name: str
    store: ObjectStore
    content_type: Callable[[str], str | None]  # None: the store does not keep it
    leftovers: Callable[[], list[str]]  # unfinished uploads or files
    endpoint: S3Endpoint | None = None
    proxy: str | None = None  # through which `endpoint` is reached


@pytest.fixture(scope="session")
def open_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Open a case by its name, once."""
    opened: dict[str, Case] = {}

    def get(name: str) -> Case:
        if name not in opened:
            opened[name] = make(name)
        return opened[name]

    def make(name: str) -> Case:
        if name == "memory":
            memory = MemoryStore()
            return Case(name, memory, lambda key: memory.content_type(ObjectKey(key)), list)
        if name == "failing":  # the wrapper for tests, that nothing was told to
            return Case(name, FailingStore(MemoryStore()), lambda _: None, list)
        if name == "local":
            root = tmp_path_factory.mktemp("local-store")
            return Case(name, LocalStore(root), lambda _: None, lambda: _files(root / UNFINISHED))
        server_name, addressing, scheme = name.split("-")
        proxy = request.getfixturevalue("localhost_proxy_url") if addressing == "virtual" else None
        return _open_s3(name, request.getfixturevalue(server_name), addressing, scheme, proxy)

    return get


def _open_s3(name: str, server: S3Server, addressing: str, scheme: str, proxy: str | None) -> Case:
    client = server.client()
    endpoint = S3Endpoint(
        url=server.endpoint(scheme=scheme, addressing=addressing),
        bucket=f"t{uuid.uuid4().hex[:16]}",
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        virtual_host=addressing == "virtual",
        ca_file=str(server.ca_file) if scheme == "https" else "",
    )
    client.create_bucket(Bucket=endpoint.bucket)
    with pytest.MonkeyPatch.context() as patch:
        use_proxy(patch, proxy)
        store = S3Store(endpoint, part_bytes=PART_BYTES)

    def content_type(key: str) -> str | None:
        return str(client.head_object(Bucket=endpoint.bucket, Key=key)["ContentType"])

    def leftovers() -> list[str]:
        found: list[dict[str, Any]] = client.list_multipart_uploads(Bucket=endpoint.bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]

    return Case(name, store, content_type, leftovers, endpoint, proxy)


def use_proxy(patch: pytest.MonkeyPatch, proxy: str | None) -> None:
    """Set the proxy that clients made from now on use; they read the environment once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        patch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        patch.delenv(name, raising=False)
    if proxy:
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, proxy)


def _files(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file()]


@pytest.fixture
def prefix() -> str:
    """A folder of the test's own: the stores are shared by the session."""
    return f"{uuid.uuid4().hex}/"
