"""Webhooks: register where to be told of events, see what was told, have it told again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from mediaplane.access.rules import Action, viewer
from mediaplane.catalog import webhooks
from mediaplane.catalog.events import EVENT_TYPES
from mediaplane.catalog.webhooks import Endpoint
from mediaplane.errors import InvalidWebhook, WebhookNotFound
from mediaplane.gateway.context import Here, Id
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT
from mediaplane.gateway.webhook_views import (
    DeliveriesPage,
    DeliveryState,
    DeliveryView,
    NewWebhookView,
    ReplayRequest,
    ReplayView,
    WebhookRequest,
    WebhooksPage,
    WebhookView,
)
from mediaplane.gateway.who import May
from mediaplane.media.webhooks import make_secret, write_secret
from mediaplane.upkeep.addresses import read_target

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

MOST_ENDPOINTS = 20  # of one owner: every event is sent to each
OVERLAP = timedelta(days=1)

DeliveryId = Annotated[int, Path(ge=1, lt=1 << 63)]


@router.post("", status_code=201)
async def add_webhook(here: Here, permit: May.edit, wanted: WebhookRequest) -> NewWebhookView:
    """Register an endpoint; its secret is told now and never again."""
    read_target(wanted.url, private=here.plane.settings.webhook_private)
    if unknown := sorted(set(wanted.types) - set(EVENT_TYPES)):
        raise InvalidWebhook(f"types: {unknown[0]!r} is none of {', '.join(EVENT_TYPES)}")
    who, sees, secret = permit.principal, viewer(permit.principal, Action.READ), make_secret()
    async with permit.rows() as conn:
        if await webhooks.count(conn, who.owner) >= MOST_ENDPOINTS:
            raise InvalidWebhook(f"an owner may have {MOST_ENDPOINTS} webhooks: remove one first")
        made = await webhooks.add(
            conn,
            owner=who.owner,
            team=who.team,
            sees_owner=sees.owner,
            sees_team=sees.team,
            url=wanted.url,
            title=wanted.title,
            types=wanted.types,
            secret=secret,
        )
    return _with_secret(made, secret)


@router.get("")
async def list_webhooks(permit: May.edit) -> WebhooksPage:
    """Return the endpoints, oldest first."""
    async with permit.rows() as conn:
        found = await webhooks.page(conn, owner=permit.viewer.owner, team=permit.viewer.team)
    return WebhooksPage(webhooks=[WebhookView.model_validate(row) for row in found])


@router.delete("/{webhook_id}", status_code=204)
async def remove_webhook(permit: May.edit, webhook_id: Id) -> None:
    """Remove an endpoint and what it was still to be told."""
    async with permit.rows() as conn:
        await webhooks.remove(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)


@router.post("/{webhook_id}/enable")
async def enable_webhook(permit: May.edit, webhook_id: Id) -> WebhookView:
    """Let an endpoint be told again that was disabled because it did not answer."""
    async with permit.rows() as conn:
        await webhooks.get(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)
        return WebhookView.model_validate(await webhooks.enable(conn, webhook_id))


@router.post("/{webhook_id}/rotate")
async def rotate_webhook(permit: May.edit, webhook_id: Id) -> NewWebhookView:
    """Give an endpoint a new secret; for a day the old one signs beside it."""
    secret = make_secret()
    async with permit.rows() as conn:
        await webhooks.get(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)
        return _with_secret(await webhooks.rotate(conn, webhook_id, secret, overlap=OVERLAP), secret)


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    permit: May.edit,
    webhook_id: Id,
    state: DeliveryState | None = None,
    before: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> DeliveriesPage:
    """Return what an endpoint was told, newest first; `next` is the `before` of the following request."""
    async with permit.rows() as conn:
        await webhooks.get(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)
        rows = await webhooks.deliveries(conn, webhook_id, state=state, before=before, limit=limit + 1)
    last = rows[limit - 1].delivery_id if len(rows) > limit else None
    return DeliveriesPage(deliveries=[DeliveryView.model_validate(row) for row in rows[:limit]], next=last)


@router.post("/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202)
async def replay_delivery(permit: May.edit, webhook_id: Id, delivery_id: DeliveryId) -> ReplayView:
    """Tell the endpoint once more, with the same `webhook-id`."""
    async with permit.rows() as conn:
        await webhooks.get(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)
        queued = await webhooks.replay_one(conn, webhook_id, delivery_id)
    if not queued:
        raise WebhookNotFound(f"{webhook_id} with a delivery {delivery_id} that can still be replayed")
    return ReplayView(queued=queued)


@router.post("/{webhook_id}/replay", status_code=202)
async def replay_webhook(permit: May.edit, webhook_id: Id, wanted: ReplayRequest) -> ReplayView:
    """Tell the endpoint once more everything it was not told since a moment."""
    since = wanted.since or datetime.min.replace(tzinfo=UTC)
    async with permit.rows() as conn:
        await webhooks.get(conn, webhook_id, owner=permit.viewer.owner, team=permit.viewer.team)
        return ReplayView(queued=await webhooks.replay_failed(conn, webhook_id, since))


def _with_secret(made: Endpoint, secret: bytes) -> NewWebhookView:
    return NewWebhookView(**WebhookView.model_validate(made).model_dump(), secret=write_secret(secret))
