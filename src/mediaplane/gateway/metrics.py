"""What Prometheus collects: requests of this process, what events tell of uploads and stages, what the database knows.

Counters of events count what happened anywhere in the deployment since this process began; of several gateways each
counts all of it, so look at one (`max`), not at their sum.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mediaplane.catalog import figures
from mediaplane.catalog.events import Event
from mediaplane.catalog.figures import Rows
from mediaplane.gateway.context import Context
from mediaplane.postgres import Connection
from mediaplane.storage.signing import ISSUED

WAITING_SECONDS = 2.0  # what waits is asked for again after this
STORED_SECONDS = 60.0  # what is stored: it reads every row
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG = (0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400)
_UPLOADS = {"upload.open": "started", "upload.completed": "finished", "upload.aborted": "failed",
            "upload.refused": "failed"}  # fmt: skip


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self._requests = Histogram(
            "mediaplane_request_seconds",
            "From the request's head to the answer's last byte",
            ("method", "route", "status"),
            buckets=_QUICK,
            registry=own,
        )
        self._first_byte = Histogram(
            "mediaplane_download_first_byte_seconds",
            "Objects of local stores: until the first byte",
            buckets=_QUICK,
            registry=own,
        )
        self._sent = Counter("mediaplane_response_bytes", "Bytes of answers", ("route",), registry=own)
        self.in_flight = Gauge("mediaplane_requests_in_flight", "Requests at work", registry=own)
        self.streams = Gauge("mediaplane_event_streams", "Event streams", registry=own)
        self._uploads = Counter("mediaplane_uploads", "Uploads by how they went", ("outcome",), registry=own)
        self._upload_seconds = Histogram(
            "mediaplane_upload_seconds", "From asking for an upload until it is complete", buckets=_LONG, registry=own
        )
        self._events = Counter("mediaplane_events", "Events by type", ("type",), registry=own)
        self._stages = Histogram(
            "mediaplane_stage_seconds", "Runs that ended", ("stage", "state"), buckets=_LONG, registry=own
        )
        self._notices = Counter(
            "mediaplane_bucket_notices",
            "What buckets told this process, by what came of it",
            ("outcome",),
            registry=own,
        )
        self._known: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
        self.collected: list[Metric] = []
        self.registry.register(_Collected(self))

    def request(
        self, *, method: str, route: str, status: int, seconds: float, first_byte: float | None, size_bytes: int
    ) -> None:
        """Count a request that was answered."""
        kind = method, route, status
        if (found := self._known.get(kind)) is None:  # looking up labels costs more than counting
            found = self._known[kind] = self._requests.labels(method, route, str(status)), self._sent.labels(route)
        found[0].observe(seconds)
        found[1].inc(size_bytes)
        if first_byte is not None and method == "GET" and route.startswith("/v1/objects/"):
            self._first_byte.observe(first_byte)

    def event(self, event: Event) -> None:
        """Count an event, whichever process it happened in."""
        self._events.labels(event.type).inc()
        seconds = event.data.get("seconds")
        if event.type in _UPLOADS:
            self._uploads.labels(_UPLOADS[event.type]).inc()
        if event.type == "upload.completed" and seconds is not None:
            self._upload_seconds.observe(float(seconds))
        if event.type in ("stage.done", "stage.failed") and seconds is not None:
            self._stages.labels(str(event.data["stage"]), str(event.data["state"])).observe(float(seconds))

    def notices(self, outcomes: Mapping[str, int]) -> None:
        """Count what came of notices."""
        for outcome, count in outcomes.items():
            self._notices.labels(outcome).inc(count)

    def write(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)


class DatabaseFigures:
    """Reads what the database knows, not oftener than is sensible, however often it is asked."""

    def __init__(self, here: Context) -> None:
        self._here = here
        self._lock = asyncio.Lock()
        self._known: dict[str, tuple[float, dict[str, Rows]]] = {}

    async def read(self) -> list[Metric]:
        """Return what waits, what is stored, and how busy the connections are.

        Raises:
            DatabaseUnavailable: it does not answer.
        """
        async with self._lock:
            waiting = await self._kept("waiting", WAITING_SECONDS, figures.waiting)
            stored = await self._kept("stored", STORED_SECONDS, figures.stored)
        return [*_families({**waiting, **stored}), *_pool(self._here.plane.pool.get_stats())]

    async def _kept(
        self, name: str, seconds: float, read: Callable[[Connection], Awaitable[dict[str, Rows]]]
    ) -> dict[str, Rows]:
        then, rows = self._known.get(name, (0.0, {}))
        if not rows or monotonic() - then > seconds:
            async with self._here.connection() as conn:
                rows = await read(conn)
            self._known[name] = monotonic(), rows
        return rows


class _Collected(Collector):
    """Hands on what is counted elsewhere: signed URLs, and what was last read of the database."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        signed = CounterMetricFamily("mediaplane_signed_urls", "URLs that this process has signed", labels=["kind"])
        for kind, count in ISSUED.items():
            signed.add_metric([kind], count)
        return [signed, *self._metrics.collected]


def _families(rows: Mapping[str, Rows]) -> Iterator[Metric]:
    queue, outbox = rows["queue"], rows["outbox"]
    yield _family("queue_runs", "Runs that wait or work", ("stage", "state"), queue, "runs")
    due = [row for row in queue if row["state"] == "queued"]
    yield _family("queue_oldest_seconds", "How long the oldest due run has waited", ("stage",), due, "oldest_seconds")
    yield _family("outbox_keys", "Keys whose bytes are still to be removed", ("store",), outbox, "keys")
    yield _family("outbox_bytes", "Bytes still to be removed", ("store",), outbox, "size_bytes")
    yield _family(
        "outbox_oldest_seconds", "How long the oldest of them has waited", ("store",), outbox, "oldest_seconds"
    )
    yield _family("uploads_open", "Uploads under way", (), rows["uploads"], "uploads")
    yield _family("uploads_oldest_seconds", "Age of the oldest of them", (), rows["uploads"], "oldest_seconds")
    yield _family("webhooks_waiting", "Webhook deliveries that wait", (), rows["deliveries"], "deliveries")
    yield _family("webhooks_oldest_seconds", "Age of the oldest of them", (), rows["deliveries"], "oldest_seconds")
    yield _family("assets", "Assets", ("status",), rows["assets"], "assets")
    yield _family("stored_objects", "Objects", ("store", "role"), rows["stored"], "objects")
    yield _family("stored_bytes", "Bytes", ("store", "role"), rows["stored"], "size_bytes")


def _family(name: str, help_text: str, labels: Sequence[str], rows: Rows, value: str) -> Metric:
    family = GaugeMetricFamily(f"mediaplane_{name}", help_text, labels=labels)
    for row in rows:
        family.add_metric([str(row[label]) for label in labels], float(row[value]))
    return family


def _pool(stats: Mapping[str, int]) -> Iterator[Metric]:
    for name, help_text in (
        ("pool_size", "Database connections"),
        ("pool_available", "Of these, free ones"),
        ("pool_max", "How many there may be"),
        ("requests_waiting", "Requests that wait for one"),
    ):
        family = GaugeMetricFamily(f"mediaplane_database_{name}", help_text)
        family.add_metric([], float(stats.get(name, 0)))
        yield family
