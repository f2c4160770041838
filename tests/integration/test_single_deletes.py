"""Deletion on a provider without DeleteObjects: one request a key, by itself."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mediaplane.errors import AccessDenied, StorageError
from mediaplane.media.keys import check_key
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.store import ObjectStore

KEYS = [check_key(f"a/{number}") for number in range(5)]


class Server(ThreadingHTTPServer):
    """Deletes single keys only, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        self.refuses = ""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_DELETE(self) -> None:
        self._answer(403 if self.server.refuses and self.path.endswith(self.server.refuses) else 204)

    def do_POST(self) -> None:
        self._answer(501)

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as opened:
        thread = Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def store_on(server: Server, provider: str) -> ObjectStore:
    url = f"http://127.0.0.1:{server.server_port}"
    return S3Store(S3Endpoint(url, "bucket", "AKID", "secret", provider_name=provider))


async def test_keys_are_deleted_one_by_one_on_google(server):
    """Every key by a DELETE of its own, none by DeleteObjects."""
    await store_on(server, "google").delete(KEYS)
    assert sorted(server.asked) == [("DELETE", f"/bucket/a/{number}") for number in range(5)]


async def test_refusal_of_one_key_is_told(server):
    """Nothing is taken for deleted that is not."""
    server.refuses = "/a/3"
    with pytest.raises(AccessDenied, match="a/0 and 4 more"):
        await store_on(server, "google").delete(KEYS)


async def test_others_delete_in_batches(server):
    """Where DeleteObjects is declared it is used: this server has none, and that is an error."""
    with pytest.raises(StorageError):
        await store_on(server, "ceph").delete(KEYS)
    assert {command for command, _ in server.asked} == {"POST"}
