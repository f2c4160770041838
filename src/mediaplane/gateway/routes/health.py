"""Is the process alive, can it do its work, and how is it doing?"""

import hmac
from typing import Any

from fastapi import APIRouter, Request, Response

from mediaplane.access.rules import Action, viewer
from mediaplane.errors import DatabaseUnavailable
from mediaplane.gateway.context import Here
from mediaplane.gateway.edge import edge_of
from mediaplane.gateway.metrics import CONTENT_TYPE
from mediaplane.gateway.problems import problem
from mediaplane.gateway.readiness import OK, UNUSED
from mediaplane.gateway.views import Health
from mediaplane.gateway.who import current_principal

router = APIRouter(tags=["health"])

_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/healthz")
async def is_alive() -> Health:
    """Return 200 as long as the process answers; asks nobody else."""
    return Health(status=OK, checks={})


@router.get("/readyz", response_model=Health)
async def is_ready(request: Request) -> Health | Response:
    """Return 200 when database, schema and every store that is written to are there, else 503 with what is not."""
    edge = edge_of(request)
    if edge.is_stopping:
        return problem(503, "not_ready", "The gateway is about to stop.", members={"checks": {"gateway": "stops"}})
    checks = await edge.readiness.check()
    wrong = [f"{name} {answer}" for name, answer in checks.items() if answer not in (OK, UNUSED)]
    if wrong:
        return problem(503, "not_ready", f"Not ready: {', '.join(wrong)}.", members={"checks": dict(checks)})
    return Health(status=OK, checks=dict(checks))


@router.get("/metrics", response_class=Response, responses=_TEXT)
async def show_metrics(here: Here, request: Request) -> Response:
    """Return the figures as Prometheus reads them: for who may `operate`, or has the collector's token."""
    token = here.plane.settings.metrics_token
    given = request.headers.get("authorization", "").encode("latin-1", "replace")
    if not (token and hmac.compare_digest(given, f"Bearer {token}".encode())):
        viewer(await current_principal(request), Action.OPERATE)
    edge = edge_of(request)
    edge.metrics.streams.set(edge.feed.streams)
    try:
        edge.metrics.collected = await edge.figures.read()
    except DatabaseUnavailable:
        edge.metrics.collected = []  # what the process itself knows is wanted most just then
    return Response(edge.metrics.write(), headers={"content-type": CONTENT_TYPE})
