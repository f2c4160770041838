"""The application: routes, problems and guards around one plane."""

from fastapi import FastAPI

from mediaplane.gateway.access_log import AccessLog
from mediaplane.gateway.context import Context
from mediaplane.gateway.guard import Guard
from mediaplane.gateway.problems import add_handlers
from mediaplane.gateway.routes import assets, clips, health, objects, playback, search, segments
from mediaplane.wiring import Plane

OPENAPI_PATH = "/v1/openapi.json"


def create_app(plane: Plane) -> FastAPI:
    """Return the gateway of an opened plane; the caller keeps the plane open while it serves."""
    # Without the built-in documentation pages: they load scripts from another host.
    app = FastAPI(title="mediaplane", version="1", openapi_url=OPENAPI_PATH, docs_url=None, redoc_url=None)
    app.state.context = Context(plane=plane, tokens=plane.tokens)
    for module in (health, assets, playback, segments, search, clips, objects):
        app.include_router(module.router)
    add_handlers(app)
    app.add_middleware(Guard, public_url=plane.settings.public_url)
    app.add_middleware(AccessLog)  # added last, so outermost: refusals are logged too
    return app
