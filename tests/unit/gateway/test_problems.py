"""Problem documents: every error has its status, and what is ours to know stays with us."""

import json

import pytest

from mediaplane import errors
from mediaplane.gateway.problems import STATUS, from_error, unexpected


def every_error(cls=errors.MediaplaneError):
    for child in cls.__subclasses__():
        if child.__module__.startswith(f"{errors.__name__}."):
            yield child
            yield from every_error(child)


@pytest.mark.parametrize("cls", list(every_error()), ids=lambda cls: cls.__name__)
def test_problem_of_every_error(cls):
    """Each error that is raised on purpose has a status of its own choosing."""
    assert cls.code in STATUS


def test_problem_document():
    """The document has what RFC 9457 asks for and our code."""
    answer = from_error(errors.AssetNotFound("a1"))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "urn:mediaplane:problem:asset_not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no asset a1",
        "code": "asset_not_found",
    }


@pytest.mark.parametrize(
    "error",
    [errors.StorageError("s3.internal:9000 refused"), errors.DatabaseUnavailable("host db.internal, database x")],
)
def test_problem_of_our_side(error):
    """Host names of servers behind the gateway are not told to clients."""
    answer = from_error(error)
    assert answer.status_code in (502, 503)
    assert b"internal:" not in answer.body
    assert b"db.internal" not in answer.body


def test_problem_unexpected():
    """A fault of our own says so and nothing more."""
    assert json.loads(unexpected().body)["code"] == "internal_error"
