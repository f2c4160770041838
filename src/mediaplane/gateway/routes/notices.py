"""Notices of buckets: servers that keep objects tell here what came and what went."""

import base64
import binascii
import hmac
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from mediaplane.access.rules import EVERYTHING, Action, viewer
from mediaplane.errors import CredentialsInvalid, LinkInvalid
from mediaplane.gateway.context import Context, Here
from mediaplane.gateway.edge import edge_of
from mediaplane.gateway.who import current_principal
from mediaplane.media import webhooks
from mediaplane.media.notices import read_body, read_notices, sns_type

router = APIRouter(prefix="/v1/events/s3", tags=["notices"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "As S3 servers, SNS, EventBridge or R2's queues send it",
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


class NoticesTaken(BaseModel):
    """What came of the notices in one body."""

    outcomes: dict[str, int] = Field(description="how many notices came to what, e.g. registered, known, gone")


@router.post("", openapi_extra=_BODY)
async def take_notices(here: Here, request: Request) -> NoticesTaken:
    """Take what a bucket tells; 503 where it is to be told again.

    It proves itself by MEDIAPLANE_NOTICE_SECRET (as Bearer, Basic or plain `Authorization`, or by signing as Standard
    Webhooks do), by the signature of an SNS topic in MEDIAPLANE_NOTICE_TOPICS, or by a key that may `operate`.
    """
    document, proved = None, _has_secret(here, request) or await _is_signed(here, request)
    if not proved and here.plane.settings.notice_topics:
        document = read_body(await request.body())
        proved = bool(sns_type(document))
        if proved:
            await edge_of(request).sns.verify(document)
    if not proved:
        await _check_principal(here, request)
    return await _take(here, request, read_body(await request.body()) if document is None else document)


@router.post("/{token}", name="take_notices", openapi_extra=_BODY)
async def take_notices_by_link(
    here: Here, request: Request, token: Annotated[str, Path(max_length=500, description="MEDIAPLANE_NOTICE_SECRET")]
) -> NoticesTaken:
    """Take what a bucket tells whose server can send no header: the secret stands in the URL."""
    secret = here.plane.settings.notice_secret
    if not secret or not _is_same(token, secret):
        raise LinkInvalid("the link is wrong")
    return await _take(here, request, read_body(await request.body()))


async def _take(here: Context, request: Request, document: Any) -> NoticesTaken:
    if sns_type(document) == "SubscriptionConfirmation":
        await edge_of(request).sns.confirm(document)
        return NoticesTaken(outcomes={})
    notices = here.plane.notices(lambda: here.rows(EVERYTHING))
    found = await notices.take(read_notices(document))
    outcomes = {str(outcome): count for outcome, count in found.items()}
    edge_of(request).metrics.notices(outcomes)
    return NoticesTaken(outcomes=outcomes)


async def _check_principal(here: Context, request: Request) -> None:
    """Return for one who may operate; who is trusted on loopback proves nothing where a secret is asked for.

    Raises:
        CredentialsInvalid, NotPermitted: any other.
    """
    settings = here.plane.settings
    if not settings.auth and (settings.notice_secret or settings.notice_topics):
        raise CredentialsInvalid("the notice is not proved: see MEDIAPLANE_NOTICE_SECRET and MEDIAPLANE_NOTICE_TOPICS")
    who = await current_principal(request)
    viewer(who, Action.OPERATE)
    edge_of(request).spend(who)


def _has_secret(here: Context, request: Request) -> bool:
    """Return whether the secret was sent: as it stands (some servers do), as a bearer's, or as a password."""
    secret = here.plane.settings.notice_secret
    given = request.headers.get("authorization", "")
    scheme, _, value = given.partition(" ")
    candidates = [given, value if scheme.lower() == "bearer" else ""]
    if scheme.lower() == "basic":
        try:
            candidates.append(base64.b64decode(value, validate=True).decode().partition(":")[2])
        except (binascii.Error, ValueError):
            return False
    return bool(secret) and any(_is_same(candidate, secret) for candidate in candidates)


async def _is_signed(here: Context, request: Request) -> bool:
    """Return whether the body is signed with the secret and fresh, as Standard Webhooks sign."""
    secret = here.plane.settings.notice_secret
    if not secret or "webhook-signature" not in request.headers:
        return False
    if not secret.startswith(webhooks.SECRET_PREFIX):
        secret = base64.b64encode(secret.encode()).decode()
    return webhooks.verify(secret, request.headers, await request.body(), now=time.time())


def _is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
