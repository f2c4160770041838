"""Live events: one listening connection a process, fanned out in memory to whoever streams.

A stream costs a set entry and a short queue. Who reads too slowly is let go and comes back with `Last-Event-ID`.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from datetime import UTC
from typing import Any

from mediaplane.cancellation import end_tasks
from mediaplane.catalog import events
from mediaplane.catalog.events import Event, EventCursor
from mediaplane.errors import ServiceFailed
from mediaplane.jobs.outage import AWAY, back_off
from mediaplane.logs import Logger
from mediaplane.postgres import Connection, connect

LOOK_SECONDS = 1.0  # also without being woken: another transaction's notification may have come before our event
IDLE_LOOK_SECONDS = 5.0  # while nobody streams
GATHER_SECONDS = 0.05  # events come in bursts: one look for many
MOST_QUEUED = 500
MOST_STREAMS = 5000

Place = tuple[str | None, str | None, str | None]  # owner, team, asset; null: any

log = Logger(__name__)


class Subscription:
    """What one stream has yet to send."""

    __slots__ = ("_queue", "_wake", "closed", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.closed = False
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()

    def push(self, text: bytes) -> None:
        """Queue a piece; one who has let too many wait is let go."""
        if len(self._queue) >= MOST_QUEUED:
            self.close()
        else:
            self._queue.append(text)
            self._wake.set()

    def close(self) -> None:
        """End the stream, whatever waits in it."""
        self.closed = True
        self._wake.set()

    async def take(self, seconds: float) -> bytes:
        """Return what is queued, waiting for it at most so long; empty where nothing came."""
        if not self._queue and not self.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        self._wake.clear()
        text = b"".join(self._queue)
        self._queue.clear()
        return text


class EventFeed:
    """Reads events as they are written and hands each to the streams that may see it."""

    def __init__(self, dsn: str, on_event: Callable[[Event], None] = lambda _event: None) -> None:
        self._dsn = dsn
        self._on_event = on_event
        self._cursor: EventCursor | None = None
        self._places: dict[Place, set[Subscription]] = {}
        self._streams = 0
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._closed = False

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return self._streams

    @property
    def settled(self) -> int:
        """The event up to which every stream was told everything."""
        return self._cursor.settled if self._cursor else 0

    def start(self) -> None:
        """Begin to listen, once."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name="event feed")

    async def close(self) -> None:
        """End every stream and stop listening."""
        self._closed = True
        for subscription in [one for found in self._places.values() for one in found]:
            subscription.close()
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None

    async def subscribe(self, place: Place, *, seconds: float = 5.0) -> Subscription:
        """Return a subscription to what happens from now on at the place.

        Raises:
            ServiceFailed: there are too many streams, or the process stops.
            TimeoutError: the database does not answer.
        """
        if self._closed or self._streams >= MOST_STREAMS:
            raise ServiceFailed("the gateway stops, or has as many event streams as it can: ask again in a moment")
        self.start()
        async with asyncio.timeout(seconds):
            await self._listening.wait()
        subscription = Subscription(place)
        self._places.setdefault(place, set()).add(subscription)
        self._streams += 1
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        found = self._places.get(subscription.place)
        if found is not None and subscription in found:
            found.remove(subscription)
            self._streams -= 1
            if not found:
                del self._places[subscription.place]

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                async with await connect(self._dsn) as conn:
                    await self._begin(conn)
                    tries = 0
                    await self._follow(conn)
            except AWAY as error:
                self._listening.clear()
                if tries == 0:
                    log.warning("event feed lost the database", error=type(error).__name__)
                await back_off(tries)
                tries += 1

    async def _begin(self, conn: Connection) -> None:
        await events.listen(conn)
        newest = await events.last_id(conn)
        # The first time there is nobody to tell of what was before; a smaller id than ours is another database's.
        if self._cursor is None or newest < self._cursor.last:
            self._cursor = EventCursor(newest)
        self._listening.set()

    async def _follow(self, conn: Connection) -> None:
        assert self._cursor is not None
        seconds = 0.0
        while True:
            woken = await events.wait(conn, seconds) if seconds else True
            if woken:
                await asyncio.sleep(GATHER_SECONDS)
            found = await events.read_new(conn, self._cursor)
            for event in found:
                self._tell(event)
            seconds = LOOK_SECONDS if self._streams or found else IDLE_LOOK_SECONDS

    def _tell(self, event: Event) -> None:
        self._on_event(event)
        text = None
        for owner in (event.owner, None):
            for team in (event.team, None):
                for asset_id in (event.asset_id, None):
                    for subscription in tuple(self._places.get((owner, team, asset_id), ())):
                        text = text or write_event(event, self.settled)
                        subscription.push(text)


def write_event(event: Event, settled: int) -> bytes:
    """Return the event as a stream has it; its `id` is where one may go on from without missing any."""
    return write_message(event.type.partition(".")[0], describe_event(event), min(settled, event.event_id))


def describe_event(event: Event) -> dict[str, Any]:
    """Return what clients are told of an event."""
    at = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event_id": event.event_id, "type": event.type, "at": at, "asset_id": event.asset_id, **event.data}


def write_message(name: str, document: object, event_id: int) -> bytes:
    """Return one message of a stream. Source: HTML standard, "Server-sent events"."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)
    return f"id: {event_id}\nevent: {name}\ndata: {body}\n\n".encode()
