"""`mediaplane task|submission|review …` on a real database."""

import json
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from mediaplane.cli.app import app


@pytest.fixture
def environ(dsn, tmp_path) -> dict[str, str]:
    place = conninfo_to_dict(dsn)
    host = urlencode({name: place[name] for name in ("host", "port") if place.get(name)})
    return {
        "DATABASE_URL": f"postgresql://{place['user']}@/{place['dbname']}?{host}",
        "STORAGE_MODE": "local",
        "MEDIAPLANE_AUTH": "on",
        "MEDIAPLANE_STATE_DIR": str(tmp_path),
    }


@pytest.fixture
def command(environ):
    def run(*arguments: str, status: int = 0) -> str:
        finished = CliRunner().invoke(app, list(arguments), env=environ, catch_exceptions=status != 0)
        assert (finished.exit_code == 0) == (status == 0), finished.output
        return finished.stdout

    return run


def submit(dsn: str, task_id: str, name: str) -> str:
    """Have a contributor's submission in review, as upload and pipeline would."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET search_path = mediaplane")
        conn.execute(
            "INSERT INTO assets (asset_id, owner, team, status, kind) VALUES (%s, 'kim', 'local', 'ready', 'video')",
            [name],
        )
        conn.execute(
            "INSERT INTO objects (store, key, asset_id, owner, team, role, state, content_type) "
            "VALUES ('local', %s, %s, 'kim', 'local', 'original', 'stored', 'video/mp4')",
            [f"in/{name}", name],
        )
        conn.execute(
            "INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, asset_id) "
            "SELECT %s, task_id, 'kim', team, owner, review_tiers, %s FROM tasks WHERE task_id = %s",
            [f"s-{name}", name, task_id],
        )
        conn.execute("SELECT follow_asset(%s)", [name])
    return f"s-{name}"


def document(text: str) -> Any:
    return json.loads(text)


def test_tasks(command):
    """A task's life at the command line, with --json where it reads."""
    made = document(
        command("task", "add", "Street scenes", "--type", "video/*", "--max-mb", "5", "--tiers", "2", "--json")
    )
    task_id = made["task_id"]
    assert (made["max_bytes"], made["review_tiers"], made["types"]) == (5 << 20, 2, ["video/*"])
    command("task", "change", task_id, "--max-mb", "0", "--most", "7", "--deadline", "2030-01-01")
    shown = document(command("task", "show", task_id, "--json"))
    assert (shown["max_bytes"], shown["max_submissions"], shown["submissions"]) == (None, 7, 0)
    assert shown["deadline"].startswith("2030-01-01T00:00:00")
    command("task", "change", task_id, "--deadline", "none")
    assert "Street scenes" in command("task", "show", task_id)
    command("task", "close", task_id)
    assert document(command("task", "ls", "--state", "open", "--json")) == {"tasks": []}
    command("task", "reopen", task_id)
    assert task_id in command("task", "ls")
    command("task", "change", task_id, status=2)
    command("task", "add", "x", "--type", "video/*", "--deadline", "soon", status=2)


def test_review(command, dsn):
    """Two tiers, changes and a rejection, each by the validator who is named; all of it is shown and recorded."""
    task_id = document(command("task", "add", "Street", "--type", "video/*", "--tiers", "2", "--json"))["task_id"]
    first, second = submit(dsn, task_id, "a"), submit(dsn, task_id, "b")
    assert command("review", "queue").startswith("2 ")
    taken = document(command("review", "next", "--as", "vera", "--json"))["review"]
    assert taken["submission_id"] == first and "signature=" in taken["original_url"]
    assert first in command("review", "queue", "--as", "vera")
    assert "tier 2 is asked" in command("review", "approve", first, "--as", "vera")
    command("review", "next", "--submission", first, "--as", "vera", status=1)
    command("review", "next", "--submission", first, "--as", "sam")
    command("review", "renew", first, "--as", "sam")
    assert document(command("review", "approve", first, "--as", "sam", "--json"))["state"] == "approved"
    command("review", "next", "--as", "vera")
    command("review", "release", second, "--as", "vera")
    command("review", "next", "--as", "sam")
    command("review", "reject", second, "--reason", "because", "--as", "sam", status=2)
    assert "needs_changes" in command(
        "review", "return", second, "--reason", "incomplete", "--note", "x", "--as", "sam"
    )
    shown = document(command("submission", "show", second, "--json"))
    assert [one["verdict"] for one in shown["decisions"]] == ["needs_changes"]
    assert shown["steps"][-1]["subject"].startswith("cli:")
    assert "incomplete" in command("submission", "show", second)
    listed = document(command("submission", "ls", "--task", task_id, "--state", "approved", "--json"))["submissions"]
    assert [one["submission_id"] for one in listed] == [first]
    assert "nothing waits" in command("review", "next", "--as", "vera")
    assert document(command("audit", "verify", "--json"))["whole"]


def test_links(command, dsn):
    """A link is made, listed and revoked."""
    task_id = document(command("task", "add", "Street", "--type", "video/*", "--json"))["task_id"]
    submission_id = submit(dsn, task_id, "a")
    command("review", "link", submission_id, status=1)
    command("review", "next")
    made = document(command("review", "link", submission_id, "--decide", "--hours", "2", "--title", "expert", "--json"))
    assert "/v1/review-links/" in made["url"]
    assert "expert" in command("review", "links", submission_id)
    command("review", "revoke", submission_id, made["link_id"])
    assert document(command("review", "links", submission_id, "--json"))["links"][0]["revoked_at"]
    command("review", "revoke", submission_id, "none", status=1)
