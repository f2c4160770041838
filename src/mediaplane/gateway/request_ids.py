"""One id a request: taken from the client where it is well formed, echoed in the answer, on every log line of it."""

import re
import secrets
from contextvars import ContextVar

import structlog

HEADER = "x-request-id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:/+=@-]{8,128}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_id() -> str:
    """Return the id of the request at work, empty outside of one."""
    return _current.get()


def begin(given: str) -> str:
    """Begin a request with the id that the client gave, or with a new one; return it."""
    request_id = given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(12)
    _current.set(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id
