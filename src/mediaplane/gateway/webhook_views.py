"""What the API answers about webhooks."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mediaplane.gateway.views import View

DeliveryState = Literal["waiting", "delivered", "failed"]


class WebhookRequest(BaseModel):
    """Where to be told; without `types` of everything but the steps of stages."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://example.com/hooks", "types": ["asset.ready", "asset.failed"]}]
        },
    )

    url: str = Field(min_length=1, max_length=2000)
    title: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$")
    types: list[str] = Field(default_factory=list, max_length=50)


class WebhookView(View):
    """An endpoint; one that is disabled is told nothing until it is enabled again."""

    webhook_id: str = Field(validation_alias="endpoint_id")
    url: str
    title: str
    types: list[str]
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime


class NewWebhookView(WebhookView):
    """An endpoint with its secret, which verifies what it is sent (Standard Webhooks)."""

    webhook_id: str
    secret: str


class WebhooksPage(View):
    """Endpoints, oldest first."""

    webhooks: list[WebhookView]


class DeliveryView(View):
    """What an endpoint was or will be told, and how each attempt ended."""

    delivery_id: int
    event_id: int
    type: str | None
    asset_id: str | None
    state: DeliveryState
    attempts: int
    due_at: datetime
    last_status: int | None
    last_error: str | None
    tries: list[dict[str, Any]]
    delivered_at: datetime | None
    created_at: datetime


class DeliveriesPage(View):
    """Deliveries, newest first; `next` is the `before` of the following request, null on the last page."""

    deliveries: list[DeliveryView]
    next: int | None


class ReplayRequest(BaseModel):
    """What to tell again: what failed since a moment, without one everything that failed."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None


class ReplayView(View):
    """How many deliveries wait again."""

    queued: int
