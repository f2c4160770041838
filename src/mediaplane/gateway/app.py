"""The application: routes, problems and guards around one plane."""

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from mediaplane.gateway.access_log import AccessLog
from mediaplane.gateway.body_limit import BodyLimit
from mediaplane.gateway.context import Context
from mediaplane.gateway.edge import Edge
from mediaplane.gateway.guard import Guard
from mediaplane.gateway.limits import Limits
from mediaplane.gateway.openapi import install_description, operation_id
from mediaplane.gateway.problems import add_handlers
from mediaplane.gateway.routes import (
    assets,
    cdn,
    clips,
    companion,
    events,
    health,
    highlights,
    notices,
    objects,
    playback,
    previews,
    purges,
    review,
    review_links,
    search,
    segments,
    submissions,
    tasks,
    transcripts,
    uploads,
    urls,
    usage,
    webhooks,
)
from mediaplane.postgres import GATEWAY_ROLE
from mediaplane.wiring import Plane

OPENAPI_PATH = "/v1/openapi.json"


def create_app(plane: Plane, *, role: str = GATEWAY_ROLE) -> FastAPI:
    """Return the gateway of an opened plane; the caller keeps the plane open while it serves.

    `role` is whom the database narrows to a viewer's rows, empty where it cannot.
    """
    app = new_api()
    app.state.context = Context(plane, role=role)
    app.state.edge = edge = Edge(app.state.context)
    app.add_middleware(BodyLimit)
    if edge.rate:
        app.add_middleware(Limits, rate=edge.rate)
    settings = plane.settings
    app.add_middleware(Guard, public_url=settings.public_url, has_accounts=settings.auth, origins=settings.origins)
    app.add_middleware(AccessLog, metrics=edge.metrics)  # added last, so outermost: refusals are logged too
    return app


def new_api() -> FastAPI:
    """Return the routes alone, with their description: enough to write it down."""
    app = FastAPI(
        title="mediaplane",
        version="1",
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # the built-in documentation pages load scripts from another host
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    # The busiest first, and each route itself instead of its router: FastAPI (0.165) goes through all before the right
    # one, and through a router's twice, which took a third of a short request's time.
    for module in (
        urls,
        uploads,
        objects,
        health,
        assets,
        playback,
        previews,
        segments,
        search,
        clips,
        highlights,
        purges,
        events,
        webhooks,
        usage,
        tasks,
        submissions,
        review,
        review_links,
        notices,
        transcripts,
        cdn,
    ):
        _add_routes(app, module.router)
    app.include_router(companion.tokens)
    for prefix in companion.PREFIXES:
        app.include_router(companion.router, prefix=prefix)
    add_handlers(app)
    install_description(app)
    return app


def _add_routes(app: FastAPI, router: APIRouter) -> None:
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.operation_id = operation_id(route)
        app.router.routes.append(route)
