"""Review links: one submission's media, and the form to decide on it, for somebody who has no account.

The path carries the permission. Each visit is recorded, with the URLs that it gave out.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import ValidationError

from mediaplane.access.links import ends_at
from mediaplane.access.review import Verdict, check_link, desk_of_link
from mediaplane.access.review_tokens import ReviewTokens
from mediaplane.access.rules import Viewer
from mediaplane.catalog import assets, audit, reviews, submissions
from mediaplane.catalog.audit import NewRecord
from mediaplane.catalog.reviews import ReviewLink
from mediaplane.catalog.submissions import Submission
from mediaplane.errors import LinkInvalid, NotFound
from mediaplane.gateway.context import Context, Here
from mediaplane.gateway.review_page import page_headers, write_done, write_page
from mediaplane.gateway.review_views import Decided, DecisionRequest, LinkedReview
from mediaplane.gateway.routes.review import media_of
from mediaplane.gateway.who import origin_of
from mediaplane.postgres import Connection

router = APIRouter(prefix="/v1/review-links", tags=["review"])

Token = Annotated[str, Path(max_length=300)]
_FORM = "application/x-www-form-urlencoded"
_SAID = {"schema": {"$ref": "#/components/schemas/DecisionRequest"}}
_BODY = {"required": True, "content": {"application/json": _SAID, _FORM: _SAID}}


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody with a link: on a connection that sees the contributor's rows."""

    here: Context
    request: Request
    conn: Connection
    link: ReviewLink
    submission: Submission


@router.get("/{link}", response_model=LinkedReview)
async def show_linked_review(here: Here, request: Request, link: Token) -> Response:
    """Return what was asked for and the media that was sent in: as a page for browsers, else as JSON."""
    async with _visit(here, request, link) as visit:
        view = await _show(visit)
    if _wants_page(request):
        page = write_page(view, action=f"{request.url.path}/decision")
        return HTMLResponse(page, headers=page_headers(view.media.original_url))
    return JSONResponse(view.model_dump(mode="json"))


@router.post("/{link}/decision", response_model=Decided, openapi_extra={"requestBody": _BODY})
async def decide_linked_review(here: Here, request: Request, link: Token) -> Response:
    """Decide in the name of the validator who made the link; takes JSON, and the form of the page."""
    said = await _read_decision(request)
    async with _visit(here, request, link) as visit:
        lease = timedelta(minutes=here.plane.settings.review_minutes)
        desk = desk_of_link(visit.link, visit.submission, lease=lease)
        verdict = Verdict(said.verdict, said.reason_codes, said.note)
        decided = Decided.model_validate(await desk.decide(visit.conn, visit.submission.submission_id, verdict))
    if _wants_page(request):
        return HTMLResponse(write_done(said.verdict), headers=page_headers(""))
    return JSONResponse(decided.model_dump(mode="json"))


@asynccontextmanager
async def _visit(here: Context, request: Request, token: str) -> AsyncIterator[Visit]:
    """Let in who has a link that counts, in a transaction.

    Raises:
        LinkInvalid: it does not, or not any more; why not is not told to who made it up.
    """
    link_id = ReviewTokens(here.plane.signing_key).read_token(token)
    try:
        async with here.connection() as conn:
            link = await reviews.link(conn, link_id)
        async with here.rows(Viewer(link.owner, link.team), actor=_actor(request, link)) as conn:
            # locked, so that it is still what the link was for when it is decided
            submission = await submissions.lock(conn, link.submission_id, owner=link.owner, team=link.team)
            check_link(await reviews.link(conn, link_id), submission)
            yield Visit(here, request, conn, link, submission)
    except NotFound:
        raise LinkInvalid("what this link was for is gone") from None


async def _show(visit: Visit) -> LinkedReview:
    link, submission = visit.link, visit.submission
    task = await submissions.task_of(visit.conn, submission.submission_id)
    assert task is not None and submission.asset_id is not None  # in review, so both are there
    asset = await assets.get(visit.conn, submission.asset_id)
    media = await media_of(visit.conn, visit.here, asset)
    opened = _record(visit, "review_link.opened", "review_link", link.link_id, link.expires_at)
    issued = _record(visit, "url.issued", "asset", asset.asset_id, ends_at(media.original_url))
    await audit.add(visit.conn, [opened, issued])
    return LinkedReview(
        title=task.title,
        instructions=task.instructions,
        round=submission.round,
        may_decide=link.may_decide and (link.round, link.tier) == (submission.round, submission.tier),
        expires_at=link.expires_at,
        media=media,
    )


def _record(visit: Visit, action: str, kind: str, thing: str, until: datetime | None) -> NewRecord:
    return NewRecord(
        subject=f"link:{visit.link.link_id}",
        action=action,
        kind=kind,
        thing=thing,
        until=until,
        subject_owner=None,
        subject_team=None,
        role=None,
        owner=visit.link.owner,
        team=visit.link.team,
        **origin_of(visit.request),
        details={"submission_id": visit.link.submission_id, "validator": visit.link.validator},
    )


def _actor(request: Request, link: ReviewLink) -> str:
    """Return whom the database's own records name: the link, and from where it was used."""
    return json.dumps({"subject": f"link:{link.link_id}", **origin_of(request)})


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


async def _read_decision(request: Request) -> DecisionRequest:
    """Return what was said, as JSON or by the page's form.

    Raises:
        RequestValidationError: it is neither, or says nothing that can be done.
    """
    body = await request.body()
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return DecisionRequest.model_validate_json(body)
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=50)
        said = {"verdict": fields.get("verdict", [""])[0], "note": fields.get("note", [""])[0]}
        return DecisionRequest.model_validate({**said, "reason_codes": fields.get("reason_codes", [])})
    except ValidationError as error:
        found = [
            {**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False, include_context=False)
        ]
        raise RequestValidationError(found) from None
    except ValueError:
        raise RequestValidationError([{"loc": ("body",), "msg": "too many fields", "type": "value_error"}]) from None
