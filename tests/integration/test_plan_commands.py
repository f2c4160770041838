"""`plan` and `usage` on the command line: what an operator types, and what comes of it."""

import json
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from mediaplane.cli.app import app
from mediaplane.errors import PlanNotFound

PROFILE = """
[layout]
original = "in/{asset_id}/master.{ext}"

[plans.free]
default = true
stored_bytes = "5 GB"
clips = 20

[plans.pro]
title = "Professional"
stored_bytes = "1 TB"
"""


@pytest.fixture
def run(dsn, tmp_path, monkeypatch):
    given = conninfo_to_dict(dsn)
    url = f"postgresql:///{given['dbname']}?user={given['user']}&host={quote(str(given['host']), safe='')}"
    profile = tmp_path / "plans.toml"
    profile.write_text(PROFILE)
    for name, value in {
        "DATABASE_URL": url,
        "STORAGE_MODE": "local",
        "MEDIAPLANE_STATE_DIR": str(tmp_path),
        "MEDIAPLANE_PROFILE": str(profile),
    }.items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, list(arguments))

    return invoke


@pytest.fixture
def stored(dsn) -> None:
    """Anna has a gigabyte in one team."""
    with psycopg.connect(dsn, options="-c search_path=mediaplane") as conn:
        conn.execute("INSERT INTO assets (asset_id, owner, team, status) VALUES ('a', 'anna', 'red', 'ready')")
        conn.execute(
            "INSERT INTO objects (store, key, asset_id, owner, team, role, state, size_bytes, content_type) "
            "VALUES ('local', 'k', 'a', 'anna', 'red', 'original', 'stored', 1000000000, 'video/mp4')"
        )


def test_plans_are_listed_with_their_limits(run):
    """What the profile declares, in its order, and how many were given each."""
    assert run("plan", "set", "anna", "pro").exit_code == 0
    [free, pro] = json.loads(run("plan", "ls", "--json").stdout)["plans"]
    assert (free["plan"], free["default"], free["limits"], free["holders"]) == (
        "free", True, {"stored_bytes": 5_000_000_000, "clips": 20}, 0,
    )  # fmt: skip
    assert (pro["plan"], pro["title"], pro["holders"]) == ("pro", "Professional", 1)
    shown = run("plan", "ls").stdout
    assert "5.0 GB" in shown and "unlimited" in shown and "and all others" in shown


def test_plan_is_given_and_taken_back(run, dsn, stored):
    """With limits of one's own, in the audit log; taken back, the default one holds."""
    made = run("plan", "set", "anna", "pro", "--limit", "clips=7", "--limit", "stored_bytes=unlimited", "--json")
    assert json.loads(made.stdout)["limits"] == {"clips": 7, "stored_bytes": None}
    shown = json.loads(run("plan", "show", "anna", "--json").stdout)
    assert (shown["team"], shown["plan"], shown["resources"]["clips"]["limit"]) == ("red", "pro", 7)
    assert shown["resources"]["stored_bytes"] == {"usage": 1_000_000_000, "limit": None, "left": None}
    assert "anna has what the profile gives by default" in run("plan", "unset", "anna").stdout
    assert json.loads(run("usage", "anna", "--json").stdout)["plan"] == "free"
    assert [row["plan"] for row in json.loads(run("plan", "holders", "--past", "--json").stdout)["holders"]] == [
        None,
        "pro",
    ]
    with psycopg.connect(dsn) as conn:
        rows = conn.execute("SELECT subject, action FROM mediaplane.audit_records WHERE kind = 'plan'").fetchall()
    assert [(who.partition(":")[0], what) for who, what in rows] == [("cli", "plan.set"), ("cli", "plan.removed")]


def test_plan_from_a_day_on(run):
    """What begins later does not hold yet, and is listed; `holders` shows both."""
    assert run("plan", "set", "anna", "free").exit_code == 0
    assert "2999-12-01" in run("plan", "set", "anna", "pro", "--from", "2999-12-01").stdout
    assert json.loads(run("usage", "anna", "--json").stdout)["plan"] == "free"
    assert [row["plan"] for row in json.loads(run("plan", "holders", "--json").stdout)["holders"]] == ["pro", "free"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("anna", "pro", "--limit", "clips"), "clips must be a whole number"),
        (("anna", "pro", "--limit", "gold=1"), "NAME=LIMIT"),
        (("anna", "pro", "--from", "tomorrow"), "write a day"),
    ],
)
def test_plan_that_cannot_be_given(run, arguments, said):
    """Wrong usage is exit status 2, with what to write instead."""
    refused = run("plan", "set", *arguments)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.replace("│", " ").split())


def test_unknown_plan_is_refused(run):
    """The error names those that there are."""
    refused = run("plan", "set", "anna", "gold")
    assert isinstance(refused.exception, PlanNotFound)
    assert "free, pro" in refused.exception.message


def test_usage_of_everybody_and_of_one(run, stored):
    """A table of all accounts, and one account against its limits."""
    listed = run("usage").stdout
    assert "anna" in listed and "1.0 GB of 5.0 GB" in listed
    shown = run("usage", "anna").stdout
    assert "anna in red: free" in shown and "20%" in shown and "objects 1.0 GB" in shown


def test_usage_check_finds_and_repairs(run, dsn, stored):
    """Exit status 1 and a line where a counter is wrong; repaired, it is right."""
    assert run("usage", "--check").exit_code == 0
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE mediaplane.usage_ledger SET amount = amount - 1 WHERE resource = 'objects_bytes'")
    found = run("usage", "--check", "--json")
    assert found.exit_code == 1
    [difference] = json.loads(found.stdout)["differences"]
    assert (difference["owner"], difference["counted"], difference["recounted"]) == ("anna", 999_999_999, 1_000_000_000)
    assert run("usage", "--repair").exit_code == 0
    assert "every counter" in run("usage", "--check").stdout
