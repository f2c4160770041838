"""Accounts for tests: API keys made straight in the database, and an issuer of tokens with a real key server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from mediaplane.access.keys import make_key
from mediaplane.access.principals import Role
from mediaplane.access.rules import Action
from mediaplane.catalog import accounts
from mediaplane.postgres import Pool


async def make_header(
    pool: Pool, role: Role, *, owner: str = "me", team: str = "mine", **fields: Any
) -> dict[str, str]:
    """Make a key and return the header that carries it; a service gets every scope unless told otherwise."""
    made = make_key()
    scopes = fields.pop("scopes", list(Action) if role is Role.SERVICE else [])
    async with pool.connection() as conn:
        await accounts.add(
            conn, key_id=made.key_id, digest=made.digest, owner=owner, team=team, role=role, scopes=scopes, **fields
        )
    return {"authorization": f"Bearer {made.text}"}


def key_id_of(header: dict[str, str]) -> str:
    """Return the id of the key in a header."""
    return header["authorization"].split("_")[1]


class KeyServer:
    """An identity provider's key server on loopback: what it serves can be changed while it runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.fetches = 0


@contextmanager
def running_key_server() -> Iterator[KeyServer]:
    """Serve keys until the end of the block."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.fetches += 1
            body = json.dumps({"keys": served.keys}).encode()
            self.send_response(served.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    served = KeyServer(f"http://127.0.0.1:{server.server_port}/jwks")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shape(answer: httpx.Response, *ids: str) -> tuple[int, dict[str, str], str]:
    """Return what an answer tells, without what differs between any two: times, request ids, the id asked for."""
    own = ("date", "x-request-id", "x-ratelimit-remaining", "ratelimit", "ratelimit-remaining", "ratelimit-reset")
    headers = {name: value for name, value in answer.headers.items() if name not in own}
    text = answer.text
    for place in ids:
        text = text.replace(place, "<id>")
        headers = {name: value.replace(place, "<id>") for name, value in headers.items()}
    for request_id in [answer.headers.get("x-request-id", "")]:
        text = text.replace(request_id, "<request>") if request_id else text
    return answer.status_code, headers, text
