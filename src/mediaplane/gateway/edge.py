"""What one gateway keeps for all its requests beside the plane: events, figures, limits, and that it stops."""

from fastapi import Request

from mediaplane.access.principals import Principal
from mediaplane.access.sns import SnsMessages
from mediaplane.errors import RateLimited
from mediaplane.gateway.context import Context
from mediaplane.gateway.events import EventFeed
from mediaplane.gateway.limits import BURST_SECONDS, Buckets
from mediaplane.gateway.metrics import DatabaseFigures, Metrics
from mediaplane.gateway.readiness import Readiness

OF_OWNER = 3  # several keys of one owner together


class Edge:
    """The one of an application, as `app.state.edge`."""

    def __init__(self, here: Context) -> None:
        settings = here.plane.settings
        rate = settings.rate_per_second if settings.auth else 0.0  # loopback trusted as its owner limits itself
        self.metrics = Metrics()
        self.figures = DatabaseFigures(here)
        self.readiness = Readiness(here.plane)
        self.feed = EventFeed(settings.database_url, self.metrics.event)
        self.sns = SnsMessages(settings.notice_topics)
        self.rate = rate
        self.is_stopping = False
        self._owners = Buckets(rate * OF_OWNER, rate * OF_OWNER * BURST_SECONDS) if rate else None

    def spend(self, who: Principal) -> None:
        """Count a request against its owner, whatever keys it has.

        Raises:
            RateLimited: the owner asks too often.
        """
        if self._owners is not None and not self._owners.spend(f"{who.team}/{who.owner}").allowed:
            raise RateLimited("too many requests of one owner: wait as long as Retry-After says")

    async def stop(self) -> None:
        """End what would not end by itself: streams."""
        self.is_stopping = True
        await self.feed.close()


def edge_of(request: Request) -> Edge:
    """Return the edge of the application that was asked."""
    found: Edge = request.app.state.edge
    return found
