"""Errors as RFC 9457 problem documents: one table from our codes to HTTP."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mediaplane.errors import AssetNotReady, MediaplaneError, QuotaExceeded
from mediaplane.gateway.request_ids import current_id
from mediaplane.logs import Logger

log = Logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5

STATUS: Mapping[str, int] = {
    "setting_invalid": 500,
    "not_running": 503,
    "service_failed": 503,
    "database_unavailable": 503,
    "schema_out_of_date": 503,
    "invalid_id": 422,
    "invalid_key": 422,
    "invalid_place": 422,
    "invalid_timecode": 422,
    "invalid_query": 422,
    "invalid_range": 422,
    "invalid_replay": 422,
    "not_found": 404,
    "asset_not_found": 404,
    "object_not_found": 404,
    "clip_not_found": 404,
    "upload_not_found": 404,
    "upload_error": 422,
    "task_not_found": 404,
    "task_error": 422,
    "task_closed": 409,
    "task_full": 409,
    "submission_not_found": 404,
    "submission_error": 422,
    "submission_closed": 409,
    "submission_duplicate": 409,
    "review_link_not_found": 404,
    "review_not_held": 409,
    "upload_too_large": 413,
    "upload_type_refused": 415,
    "upload_incomplete": 409,
    "upload_changed": 409,
    "already_written": 412,
    "checksum_mismatch": 422,
    "parts_invalid": 422,
    "upload_closed": 409,
    "upload_busy": 409,
    "idempotency_key_reused": 422,
    "idempotency_key_busy": 409,
    "key_not_found": 404,
    "plan_not_found": 404,
    "webhook_not_found": 404,
    "rate_limited": 429,
    "quota_exceeded": 402,
    "invalid_webhook": 422,
    "invalid_notice": 422,
    "credentials_invalid": 401,
    "not_permitted": 403,
    "identity_unavailable": 503,
    "asset_not_ready": 409,
    "invalid_highlights": 422,
    "highlights_changed": 412,
    "highlights_not_found": 404,
    "invalid_style": 422,
    "purge_not_found": 404,
    "access_denied": 502,
    "link_invalid": 403,
    "storage_error": 502,
    "lease_lost": 409,
    "run_cancelled": 409,
    "worker_lost": 503,
    "unexpected": 500,
    "media_error": 422,
    "media_empty": 422,
    "media_unreadable": 422,
    "media_truncated": 422,
    "media_unsupported": 422,
    "media_too_large": 422,
    "tool_failed": 503,
}

_BUSY = ("upload_busy", "idempotency_key_busy")  # another request is at it just now

# What went wrong on our side is for the log: messages of these may name hosts and settings.
_OUR_SIDE = {
    500: "The server made a mistake. It is in the server's log.",
    502: "The object store did not answer as it should. It is in the server's log.",
    503: "The server cannot do this just now. Try again in a moment.",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, Any]] | None = None,
    members: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Return the problem document; `code` is what programs compare, `detail` what people read, `members` is more."""
    document: dict[str, Any] = {
        "type": f"urn:mediaplane:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **(members or {}),
    }
    if errors is not None:
        document["errors"] = list(errors)
    if request_id := current_id():
        document["request_id"] = request_id
    extra = {"cache-control": "no-store", "x-content-type-options": "nosniff", **(headers or {})}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        extra.setdefault("retry-after", str(RETRY_AFTER_SECONDS))
    return JSONResponse(document, status_code=status, headers=extra, media_type=MEDIA_TYPE)


def from_error(error: MediaplaneError) -> JSONResponse:
    """Return the problem document of one of our errors."""
    status = STATUS.get(error.code, 500)
    if status == HTTPStatus.BAD_GATEWAY and error.retryable:
        status = 503  # the store is away, and will be back
    if status == HTTPStatus.UNAUTHORIZED:  # Source: RFC 6750, section 3
        return problem(status, error.code, error.message, headers={"www-authenticate": "Bearer"})
    if isinstance(error, QuotaExceeded):
        return _over_quota(error)
    if status in _OUR_SIDE:
        log.error("request failed", code=error.code, problem=error.message)
        return problem(status, error.code, _OUR_SIDE[status])
    if isinstance(error, AssetNotReady) and error.share is not None:
        return _still_processed(status, error, error.share)
    headers = {"retry-after": "1"} if error.code in _BUSY else None
    return problem(status, error.code, error.message, headers=headers)


def _over_quota(error: QuotaExceeded) -> JSONResponse:
    """Return 402 where paying for a larger plan would help, else 403; the numbers are in the resource's own unit."""
    members = {
        "resource": error.resource,
        "limit": error.limit,
        "usage": error.usage,
        "requested": error.requested,
        "plan": error.plan,
        "larger_plans": list(error.larger_plans),
    }
    return problem(402 if error.larger_plans else 403, error.code, error.message, members=members)


def _still_processed(status: int, error: AssetNotReady, share: float) -> JSONResponse:
    """Say how far it is and when to ask again."""
    progress = {"share": share, "stages": list(error.stages)}
    headers = {"retry-after": str(error.retry_seconds or RETRY_AFTER_SECONDS)}
    return problem(status, error.code, error.message, headers=headers, members={"progress": progress})


def unexpected() -> JSONResponse:
    """Return the problem document of a fault of our own, which says nothing of what it was."""
    return problem(500, "internal_error", _OUR_SIDE[500])


def add_handlers(app: FastAPI) -> None:
    """Have every error of the application answered as a problem document."""
    app.add_exception_handler(MediaplaneError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MediaplaneError)
    return from_error(error)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Name the fields that are wrong, and never repeat what was sent: it may be a secret in the wrong place."""
    assert isinstance(error, RequestValidationError)
    fields = [{"field": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{field['field']}: {field['problem']}" for field in fields)
    return problem(422, "invalid_request", detail, errors=fields)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "no_such_path", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    return problem(error.status_code, code, f"{error.detail}.", headers=error.headers)
