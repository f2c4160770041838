"""The example edge function under Node: it serves what links that Python made permit, and nothing else."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.services.missing import give_up

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "cdn_links.json").read_text())
LINKS = {vector["what"]: vector for vector in VECTORS["links"]}
BODY = bytes(range(256)) * 4
ONE = LINKS["one object"]["url"]


@pytest.fixture(scope="module")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        give_up("there is no node: apt-get install nodejs")
    return str(program)


def key_of(url: str) -> str:
    return unquote(urlsplit(url).path).split("/", 2)[-1]


def ask(node: str, *requests: dict[str, Any], kind: str = "video/mp4") -> list[dict[str, Any]]:
    """Ask the edge function; every key that a link of the vectors names is in the bucket."""
    stored = {"body": base64.b64encode(BODY).decode(), "type": kind}
    objects = {key_of(vector["url"]): stored for vector in VECTORS["links"]}
    given = {**{name: VECTORS[name] for name in ("now", "store", "keys")}, "objects": objects, "requests": requests}
    done = subprocess.run(
        [node, HERE / "edge_cases.mjs"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return [{**answer, "body": base64.b64decode(answer["body"])} for answer in answers]


def test_links_are_judged_as_python_judges_them(node):
    """Every vector: the good ones give the object, all others 403 and nothing of it."""
    answers = ask(node, *({"url": vector["url"]} for vector in VECTORS["links"]))
    for vector, answer in zip(VECTORS["links"], answers, strict=True):
        if vector["good"]:
            assert (answer["status"], answer["body"]) == (200, BODY), vector["what"]
            assert answer["headers"]["cache-control"] == "private, max-age=3600"
        else:
            assert answer["status"] == 403 and BODY[:4] not in answer["body"], vector["what"]


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-9", BODY[:10], "bytes 0-9/1024"),
        ("bytes=1000-", BODY[1000:], "bytes 1000-1023/1024"),
        ("bytes=-5", BODY[-5:], "bytes 1019-1023/1024"),
    ],
)
def test_ranges(node, header, expected, content_range):
    """A part is what a slice gives, with its place."""
    answer = ask(node, {"url": ONE, "headers": {"range": header}})[0]
    assert (answer["status"], answer["body"]) == (206, expected)
    assert answer["headers"]["content-range"] == content_range
    assert answer["headers"]["content-length"] == str(len(expected))


def test_conditions(node):
    """HEAD, 304, If-Range, a range outside, a method that writes, a page's preflight."""
    etag = ask(node, {"url": ONE, "method": "HEAD"})[0]["headers"]["etag"]
    part = {"range": "bytes=0-3"}
    asked = [
        {"url": ONE, "method": "HEAD"},
        {"url": ONE, "headers": {"if-none-match": etag}},
        {"url": ONE, "headers": {"if-modified-since": "Fri, 02 Jan 2026 03:04:05 GMT"}},
        {"url": ONE, "headers": {**part, "if-range": etag}},
        {"url": ONE, "headers": {**part, "if-range": '"other"'}},
        {"url": ONE, "headers": {"range": "bytes=1024-"}},
        {"url": ONE, "headers": {"range": "bytes=0-1,4-5"}},
        {"url": ONE, "headers": {"if-match": '"other"'}},
        {"url": ONE, "method": "PUT"},
        {"url": ONE, "method": "OPTIONS"},
    ]
    answers = ask(node, *asked)
    assert [answer["status"] for answer in answers] == [200, 304, 304, 206, 200, 416, 200, 412, 405, 204]
    assert answers[0]["body"] == answers[1]["body"] == b"" and answers[0]["headers"]["content-length"] == "1024"
    assert answers[5]["headers"]["content-range"] == "bytes */1024"
    assert answers[9]["headers"]["access-control-allow-methods"] == "GET, HEAD"


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/html; charset=utf-8"])
def test_pages_are_saved_and_not_shown(node, kind):
    """What would act as a page of the CDN's domain is a file to save."""
    answer = ask(node, {"url": ONE}, kind=kind)[0]
    assert answer["headers"]["content-type"] == "application/octet-stream"
    assert answer["headers"]["content-disposition"].startswith("attachment")
    assert answer["headers"]["x-content-type-options"] == "nosniff"


def test_download_has_its_name(node):
    """The name that was signed is the one that is saved."""
    headers = ask(node, {"url": LINKS["download"]["url"]})[0]["headers"]
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%281%29%20%27x%27%21%2A%20100%25.mp4" in headers["content-disposition"]
