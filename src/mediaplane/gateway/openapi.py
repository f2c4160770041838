"""The API's own description, good enough to generate a client from: names, problems, credentials, examples."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mediaplane.gateway.problems import MEDIA_TYPE

Document = dict[str, Any]

PROBLEM = {"$ref": "#/components/schemas/Problem"}
_DESCRIPTION = (
    "Media in object stores: upload, follow, search, play, cut. Errors are problem documents (RFC 9457); programs "
    "compare their `code`. Lists come in pages: `next` of one is `page` of the following. Every answer has an "
    "`X-Request-Id`."
)
_TAGS = {
    "assets": "Media as their owner knows them",
    "uploads": "From a client straight to the store",
    "uppy": "The same for Uppy's S3 plugin",
    "playback": "Playlists and frames, for who holds a token",
    "segments": "What was read or heard, by time",
    "search": "Words in, moments out",
    "clips": "Cuts of an asset",
    "highlights": "Moments of an asset that are worth a clip",
    "purges": "Removal for good, with a receipt",
    "downloads": "What an asset has, and URLs of it",
    "objects": "Bytes of local stores, for who holds a signed link",
    "events": "What happens, as it happens",
    "webhooks": "The same, sent to a server of yours",
    "notices": "What buckets tell of their objects, sent by the servers that keep them",
    "usage": "What one uses of what one may use; plans",
    "tasks": "What contributors are asked to send in",
    "submissions": "What was sent in, and what became of it",
    "review": "Look at it and decide",
    "health": "For who runs the gateway",
}
_PROBLEM_SCHEMA: Document = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong. Source: RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "urn:mediaplane:problem: and the code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence for people"},
        "code": {"type": "string", "description": "stable; what programs compare"},
        "request_id": {"type": "string", "description": "what the server's log has it under"},
        "errors": {
            "type": "array",
            "description": "which fields are wrong, where it is the request that is",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
    "examples": [
        {
            "type": "urn:mediaplane:problem:asset_not_found",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no asset a1",
            "code": "asset_not_found",
            "request_id": "5f0c9dd9251024a9ea1a27fb",
        }
    ],
}
_MEANINGS = {
    400: "No request that can be read",
    402: "It does not fit into the plan, and would into a larger one: `limit`, `usage`, `requested`, `resource`",
    401: "No key or token, or one that is wrong, expired or revoked",
    403: "The role or the scopes do not allow it; or a link that is wrong or has expired",
    404: "There is no such thing, or it is somebody else's",
    409: "Not in this state, or not yet: Retry-After says when to ask again",
    413: "The body is too large",
    422: "A field is missing or has a value that it may not have",
    429: "Too many requests: wait as long as Retry-After says",
    500: "A fault of the server",
    503: "Not just now: wait as long as Retry-After says",
}
_RETRY_AFTER = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
_EXAMPLES: Mapping[str, Document] = {
    "ClipRequest": {"t_start_ms": 61_000, "t_end_ms": 75_500, "mode": "fast"},
    "UploadRequest": {"name": "talk.mp4", "size_bytes": 734_003_200, "content_type": "video/mp4"},
    "UrlsRequest": {"wishes": [{"asset_id": "a1", "role": "poster"}, {"asset_id": "a2", "role": "original"}]},
    "PartsRequest": {"numbers": [3, 4, 5]},
    "CompleteRequest": {"parts": [{"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'}]},
}
_BODIES: Mapping[str, tuple[str, Document]] = {
    "show_playlist": ("application/vnd.apple.mpegurl", {"type": "string"}),
    "show_transcript": ("text/vtt", {"type": "string"}),
    "read_linked_object": ("*/*", {"type": "string", "contentMediaType": "application/octet-stream"}),
    "read_object": ("*/*", {"type": "string", "contentMediaType": "application/octet-stream"}),
}


def operation_id(route: Any) -> str:
    """Return the name that generated clients call a route by: that of its function."""
    name = str(route.name)
    return f"{name}_with_token" if "{token}" in route.path_format else name


def install_description(app: FastAPI) -> None:
    """Have the application answer for `/v1/openapi.json` with our description."""

    def describe() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's own way of replacing it


def _describe(app: FastAPI) -> Document:
    tags = [{"name": name, "description": text} for name, text in _TAGS.items()]
    document: Document = get_openapi(
        title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes, tags=tags
    )
    parts = document.setdefault("components", {})
    schemas = parts["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    for name, example in _EXAMPLES.items():
        if name in schemas:
            schemas[name]["examples"] = [example]
    parts["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key (mp_…) or a token of the issuer"}
    }
    document["security"] = [{"bearer": []}]
    for path, operation in _operations(document):
        _complete(path, operation)
    return document


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            operation["x-verb"] = verb
            yield path, operation


def _complete(path: str, operation: Document) -> None:
    verb = operation.pop("x-verb")
    parameters = operation.get("parameters", [])
    named = {one["name"] for one in parameters}
    missing = [name for name in re.findall(r"{(\w+)}", path) if name not in named]
    if missing:  # a route may read a part of its path by itself
        parameters = operation["parameters"] = [*parameters, *(_path_part(name) for name in missing)]
    is_open = _carries_permission(path, parameters)
    if is_open:
        operation["security"] = []
    if operation["operationId"] in _BODIES:
        kind, schema = _BODIES[operation["operationId"]]
        operation["responses"]["200"]["content"] = {kind: {"schema": schema}}
    statuses = {400, 429, 500, 503}
    statuses |= {422} if parameters or "requestBody" in operation else set()
    statuses |= {403} if is_open and path.startswith("/v1/") else set() if is_open else {401, 403}
    statuses |= {404} if "{" in path else set()
    statuses |= {409, 413} if verb in ("post", "put") else set()
    statuses |= {402} if verb == "post" and {"uploads", "uppy", "clips"} & set(operation.get("tags", ())) else set()
    operation["responses"].pop("422", None)  # FastAPI's own shape of it
    for status in sorted(statuses):
        operation["responses"][str(status)] = _problem(status)
    operation["responses"]["default"] = {"description": "Any other problem", "content": _content()}


def _carries_permission(path: str, parameters: list[Document]) -> bool:
    """Return whether the URL is all that one needs: a signed link, a token in it, or nothing at all."""
    named = {one["name"] for one in parameters}
    return path in ("/healthz", "/readyz") or path.startswith(("/v1/objects/", "/v1/cdn/")) or "token" in named


def _path_part(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _problem(status: int) -> Document:
    response: Document = {"description": _MEANINGS[status], "content": _content()}
    if status in (409, 429, 503):
        response["headers"] = _RETRY_AFTER
    return response


def _content() -> Document:
    return {MEDIA_TYPE: {"schema": PROBLEM}}
