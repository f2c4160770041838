"""What can go wrong for a client: one class for each kind of answer, the stable code in each."""

from collections.abc import Mapping
from typing import Any

import httpx


class ClientError(Exception):
    """Base of all that a client raises on purpose."""


class ConnectionFailed(ClientError):
    """The gateway or the store could not be reached, also after trying again."""


class UploadFailed(ClientError):
    """A file could not be uploaded; `upload_id` is what to go on with."""

    def __init__(self, message: str, upload_id: str | None = None) -> None:
        super().__init__(message)
        self.upload_id = upload_id


class Problem(ClientError):
    """An answer that is a problem document (RFC 9457); programs compare `code`."""

    def __init__(self, document: Mapping[str, Any], *, status: int, retry_after: float | None, request_id: str) -> None:
        self.code = str(document.get("code", "unknown"))
        self.detail = str(document.get("detail", ""))
        super().__init__(f"{self.code}: {self.detail}")
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.document = dict(document)


class Unauthorised(Problem):
    """401: no key or token, or one that is wrong, expired or revoked."""


class Forbidden(Problem):
    """403: the role or the scopes do not allow it."""


class NotFound(Problem):
    """404: there is no such thing, or it is somebody else's."""


class Conflict(Problem):
    """409: not in this state, or not yet; `retry_after` says when to ask again where that helps."""


class Invalid(Problem):
    """400, 413, 415, 422: the request is wrong; `document["errors"]` names fields."""


class QuotaReached(Problem):
    """402, and 403 where no larger plan would help: over a limit of the plan, which `document` names with numbers."""


class TooManyRequests(Problem):
    """429: wait as long as `retry_after` says."""


class Unavailable(Problem):
    """502, 503: not just now."""


_BY_STATUS: Mapping[int, type[Problem]] = {
    400: Invalid,
    401: Unauthorised,
    402: QuotaReached,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
}


def problem_of(answer: httpx.Response) -> Problem:
    """Return the problem that an answer is."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"code": "unknown", "detail": f"answered {answer.status_code} without saying why"}
    kind = QuotaReached if document.get("code") == "quota_exceeded" else _BY_STATUS.get(answer.status_code, Problem)
    request_id = answer.headers.get("x-request-id", "")
    return kind(document, status=answer.status_code, retry_after=retry_after(answer), request_id=request_id)


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds to wait that an answer names; dates are not used here."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
