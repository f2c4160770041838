"""Reviews: a validator takes the next submission, looks, decides; or makes a link for somebody without an account."""

from datetime import timedelta

from fastapi import APIRouter, Response

from mediaplane.access.links import ends_at
from mediaplane.access.review import Desk, Verdict, desk_of
from mediaplane.access.review_tokens import ReviewTokens
from mediaplane.catalog import assets, audit, objects, reviews, submissions
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.reviews import ReviewLink
from mediaplane.catalog.submissions import Submission
from mediaplane.gateway.context import Context, Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.review_views import (
    Decided,
    DecisionRequest,
    LinkRequest,
    LinksView,
    LinkView,
    MediaView,
    NewLinkView,
    ReviewQueue,
    ReviewView,
    Taken,
    TakeRequest,
)
from mediaplane.gateway.who import May, Permit, Thing
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection

router = APIRouter(prefix="/v1/review", tags=["review"])


@router.get("")
async def show_queue(permit: May.review) -> ReviewQueue:
    """Return what is on one's desk, and how many submissions wait for it."""
    desk = _desk(permit)
    async with permit.rows() as conn:
        held = [await _view(conn, permit, row) for row in await reviews.held(conn, desk.name, team=desk.team)]
        waiting = await reviews.count_waiting(conn, tier=desk.tier, owner=desk.owner, team=desk.team)
    return ReviewQueue(held=held, waiting=waiting)


@router.post("/next", response_model=Taken)
async def take_next(permit: May.review, once: JustOnce, wanted: TakeRequest | None = None) -> Response:
    """Take the next submission for a while: nobody else gets it. What lies on the desk already comes first."""
    asked = wanted or TakeRequest()

    async def take() -> tuple[int, Taken]:
        async with permit.rows() as conn:
            found = await _desk(permit).take(conn, task_id=asked.task_id, submission_id=asked.submission_id)
            return 200, Taken(review=await _view(conn, permit, found) if found else None)

    return await once.answer(take)


@router.get("/{submission_id}")
async def show_review(permit: May.review, submission_id: Id) -> ReviewView:
    """Return a submission as validators see it, with its media while it is on one's desk."""
    async with permit.rows() as conn:
        found = await submissions.get(conn, submission_id, owner=permit.viewer.owner, team=permit.viewer.team)
        return await _view(conn, permit, found)


@router.post("/{submission_id}/renew", response_model=ReviewView)
async def renew_review(permit: May.review, submission_id: Id, once: JustOnce) -> Response:
    """Keep the submission on the desk for another lease."""

    async def renew() -> tuple[int, ReviewView]:
        async with permit.rows() as conn:
            return 200, await _view(conn, permit, await _desk(permit).renew(conn, submission_id))

    return await once.answer(renew)


@router.post("/{submission_id}/release", response_model=ReviewView)
async def release_review(permit: May.review, submission_id: Id, once: JustOnce) -> Response:
    """Put the submission back: others may take it at once."""

    async def release() -> tuple[int, ReviewView]:
        async with permit.rows() as conn:
            return 200, await _view(conn, permit, await _desk(permit).release(conn, submission_id))

    return await once.answer(release)


@router.post("/{submission_id}/decision", response_model=Decided)
async def decide_review(permit: May.review, submission_id: Id, said: DecisionRequest, once: JustOnce) -> Response:
    """Decide on a submission that is on one's desk. The last tier's approval is final, so is every rejection."""

    async def decide() -> tuple[int, Decided]:
        async with permit.rows() as conn:
            verdict = Verdict(said.verdict, said.reason_codes, said.note)
            return 200, Decided.model_validate(await _desk(permit).decide(conn, submission_id, verdict))

    return await once.answer(decide)


@router.post("/{submission_id}/links", status_code=201, response_model=NewLinkView)
async def add_review_link(permit: May.review, submission_id: Id, wanted: LinkRequest, once: JustOnce) -> Response:
    """Make a link to a submission on one's desk; one that may decide keeps it there for as long as it lives."""

    async def add() -> tuple[int, NewLinkView]:
        async with permit.rows() as conn:
            made = await _desk(permit).make_link(
                conn,
                submission_id,
                may_decide=wanted.may_decide,
                lifetime=timedelta(hours=wanted.hours),
                title=wanted.title,
            )
        url = link_url(permit.here, made)
        return 201, NewLinkView(**LinkView.model_validate(made).model_dump(), url=url)

    return await once.answer(add)


@router.get("/{submission_id}/links")
async def list_review_links(permit: May.review, submission_id: Id) -> LinksView:
    """Return the links of a submission, oldest first."""
    async with permit.rows() as conn:
        await submissions.get(conn, submission_id, owner=permit.viewer.owner, team=permit.viewer.team)
        found = await reviews.links(conn, submission_id)
    return LinksView(links=[LinkView.model_validate(row) for row in found])


@router.delete("/{submission_id}/links/{link_id}", status_code=204)
async def revoke_review_link(permit: May.review, submission_id: Id, link_id: Id) -> None:
    """End a link at once; URLs of media that it has shown end by themselves."""
    async with permit.rows() as conn:
        await submissions.get(conn, submission_id, owner=permit.viewer.owner, team=permit.viewer.team)
        await reviews.revoke_link(conn, submission_id, link_id, lease=_desk(permit).lease)


def link_url(here: Context, link: ReviewLink) -> str:
    """Return the address of a link: a page for browsers, JSON for programs."""
    token = ReviewTokens(here.plane.signing_key).make_token(link)
    return f"{here.plane.settings.public_url}/v1/review-links/{token}"


async def media_of(conn: Connection, here: Context, asset: Asset) -> MediaView:
    """Return the media of a submission; its URLs are to be recorded before they are given out."""
    original = await objects.original(conn, asset.asset_id)
    return MediaView(
        kind=asset.kind,
        title=asset.title,
        duration_ms=asset.duration_ms,
        width=asset.width,
        height=asset.height,
        content_type=original.content_type,
        size_bytes=original.size_bytes,
        playback_url=here.plane.playback_url(asset.asset_id),
        original_url=here.plane.stores[original.store].signer.sign_get(ObjectKey(original.key)),
    )


def _desk(permit: Permit) -> Desk:
    return desk_of(permit.principal, lease=timedelta(minutes=permit.here.plane.settings.review_minutes))


async def _view(conn: Connection, permit: Permit, row: Submission) -> ReviewView:
    task = await submissions.task_of(conn, row.submission_id)
    is_held = await reviews.is_held(conn, row.submission_id, permit.principal.owner)
    told = {name: getattr(row, name) for name in ("submission_id", "state", "round", "tier", "tiers", "waiting_since")}
    return ReviewView.model_validate(
        {
            **told,
            "is_held": is_held,
            "lease_until": row.lease_until if is_held else None,
            "task": task,
            "decisions": await reviews.decisions(conn, row.submission_id),
            "media": await _media(conn, permit, row) if is_held else None,
        }
    )


async def _media(conn: Connection, permit: Permit, row: Submission) -> MediaView | None:
    if row.asset_id is None:
        return None
    asset = await assets.get(conn, row.asset_id)
    media = await media_of(conn, permit.here, asset)
    if asset.owner != permit.principal.owner:
        thing = Thing("asset", asset.asset_id, asset.owner, asset.team)
        issued = permit.record("url.issued", thing, until=ends_at(media.original_url), submission_id=row.submission_id)
        await audit.add(conn, [issued])  # in this transaction: no second connection is waited for while one is held
    return media
