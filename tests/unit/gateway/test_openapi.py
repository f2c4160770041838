"""The API's description: valid, with a name and problem answers for every operation, and as written in docs/."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from mediaplane.gateway.app import new_api

WRITTEN = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(new_api().openapi()))


def operations(document):
    return [(path, verb, one) for path, verbs in document["paths"].items() for verb, one in verbs.items()]


def test_description_is_valid(document):
    """It is OpenAPI 3.1, by a validator that is not ours."""
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_operations_have_names_of_their_own(document):
    """Each is named after its function, once, so that a generated client reads well."""
    names = [one["operationId"] for _, _, one in operations(document)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
    assert {"list_assets", "begin_upload", "follow_asset", "add_webhook"} <= set(names)


def test_operations_say_what_can_go_wrong(document):
    """Each has a tag, a description, and problem documents for what may fail; none shows FastAPI's own errors."""
    for path, verb, one in operations(document):
        where = f"{verb} {path}"
        assert one["tags"] and one["description"], where
        for status in ("429", "500", "503", "default"):
            assert "application/problem+json" in one["responses"][status]["content"], f"{where} {status}"
        if one.get("parameters") or "requestBody" in one:
            assert "422" in one["responses"], where
        if "{" in path:
            assert "404" in one["responses"], where
        if one.get("security") != []:
            assert {"401", "403"} <= one["responses"].keys(), where
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_tag_is_described(document):
    """A tag that a route names is in the list with a sentence."""
    assert {tag for _, _, one in operations(document) for tag in one["tags"]} <= {
        one["name"] for one in document["tags"]
    }


def test_only_links_and_health_are_open(document):
    """Whatever carries no permission in its URL needs credentials."""
    free = {path for path, _, one in operations(document) if one.get("security") == []}
    assert {path for path in free if "{token}" not in path} == {
        "/healthz",
        "/readyz",
        "/v1/objects/{store}/{key}",
        "/v1/assets/{asset_id}/hls/{rendition}.m3u8",
        "/v1/assets/{asset_id}/frames/{timestamp_ms}.jpg",
        "/v1/assets/{asset_id}/transcript.{kind}",
        "/v1/assets/{asset_id}/thumbnails.vtt",
        "/v1/assets/{asset_id}/pictures/{picture}",
        "/v1/cdn/{store}/{permission}/{key}",
    }


def test_written_description_is_the_code_s(document):
    """`make reference` writes docs/openapi.json."""
    assert json.loads(WRITTEN.read_text()) == document, "run `make reference`"
