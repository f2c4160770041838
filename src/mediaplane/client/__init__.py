"""A typed client of the gateway: `from mediaplane.client import Client`."""

from mediaplane.client.client import Client
from mediaplane.client.models import (
    Asset,
    AssetDetail,
    Clip,
    Delivery,
    Event,
    Hit,
    Hits,
    Segment,
    Upload,
    Webhook,
)
from mediaplane.client.problems import (
    ClientError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    QuotaReached,
    TooManyRequests,
    Unauthorised,
    Unavailable,
    UploadFailed,
)
from mediaplane.media.webhooks import verify as verify_webhook

__all__ = [
    "Asset",
    "AssetDetail",
    "Client",
    "ClientError",
    "Clip",
    "Conflict",
    "ConnectionFailed",
    "Delivery",
    "Event",
    "Forbidden",
    "Hit",
    "Hits",
    "Invalid",
    "NotFound",
    "Problem",
    "QuotaReached",
    "Segment",
    "TooManyRequests",
    "Unauthorised",
    "Unavailable",
    "Upload",
    "UploadFailed",
    "Webhook",
    "verify_webhook",
]
