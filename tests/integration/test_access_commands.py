"""`key` and `audit` on the command line: what an operator types, and what comes of it."""

import csv
import io
import json
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from mediaplane.access.keys import digest_key, read_key_id
from mediaplane.cli.app import app
from mediaplane.errors import KeyNotFound


@pytest.fixture
def run(dsn, tmp_path, monkeypatch):
    given = conninfo_to_dict(dsn)
    url = f"postgresql:///{given['dbname']}?user={given['user']}&host={quote(str(given['host']), safe='')}"
    for name, value in {"DATABASE_URL": url, "STORAGE_MODE": "local", "MEDIAPLANE_STATE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, list(arguments))

    return invoke


CREATE = ("key", "create", "--role", "member", "--owner", "ann", "--team", "red")


def test_key_create_prints_the_secret_once(run, dsn):
    """The key is on standard output alone, so that it can be piped; the database has its hash."""
    made = run(*CREATE, "--scope", "read", "--scope", "play,cut", "--title", "laptop")
    assert made.exit_code == 0
    text = made.stdout.strip()
    key_id = read_key_id(text)
    assert key_id and key_id in made.stderr and text not in made.stderr
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT digest, owner, team, role, scopes FROM mediaplane.api_keys").fetchone()
    assert row == (digest_key(text), "ann", "red", "member", ["cut", "play", "read"])
    listed = run("key", "ls", "--json")
    assert text.split("_")[2] not in listed.stdout + run("key", "ls").stdout + run("audit", "export").stdout
    [shown] = json.loads(listed.stdout)["keys"]
    assert (shown["key_id"], shown["title"], shown["last_used_at"]) == (key_id, "laptop", None)


def test_key_create_as_json(run):
    """Programs get one document with the key in it."""
    document = json.loads(run(*CREATE, "--expires", "never", "--json").stdout)
    assert read_key_id(document["key"]) == document["key_id"]
    assert (document["expires_at"], document["role"], "digest" in document) == (None, "member", False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--role", "boss"), "contributor"),
        (("--role", "service"), "name a scope"),
        (("--scope", "everything"), "read"),
        (("--expires", "soon"), "90d"),
        (("--expires", "0d"), "90d"),
        (("--expires", "99999w"), "90d"),
        (("--tier", "-1"), "0"),
        (("--owner", "*"), "not *"),
        (("--team", "a\nb"), "printable"),
    ],
)
def test_key_create_used_wrongly(run, arguments, said):
    """What cannot be is refused with what can, and makes no key."""
    refused = run(*CREATE, *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert json.loads(run("key", "ls", "--json").stdout)["keys"] == []


def test_key_revoke(run):
    """A revoked key is gone from the list, and still there with --all; revoking it is recorded with who did."""
    key_id = json.loads(run(*CREATE, "--json").stdout)["key_id"]
    assert key_id in run("key", "revoke", key_id).stdout
    assert json.loads(run("key", "ls", "--json").stdout)["keys"] == []
    assert "revoked" in run("key", "ls", "--all").stdout
    missing = run("key", "revoke", "nosuchkey000")
    assert isinstance(missing.exception, KeyNotFound)
    records = [json.loads(line) for line in run("audit", "export").stdout.splitlines()]
    assert [record["action"] for record in records] == ["key.created", "key.revoked"]
    assert all(record["subject"].startswith("cli:") for record in records)


def test_audit_verify(run, dsn):
    """A whole chain is told with its head; a broken one with what is wrong, and exit status 1."""
    for _ in range(3):
        run(*CREATE)
    whole = run("audit", "verify", "--json")
    document = json.loads(whole.stdout)
    assert (whole.exit_code, document["whole"], document["records"], document["faults"]) == (0, True, 3, [])
    assert document["head"] in run("audit", "verify", "--expect", document["head"]).stdout
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("ALTER TABLE mediaplane.audit_records DISABLE TRIGGER USER")
        conn.execute("UPDATE mediaplane.audit_records SET thing = 'another' WHERE record_id = 2")
    broken = run("audit", "verify")
    assert broken.exit_code == 1
    assert "position 2, record 2: the record, or its place in the chain, was changed" in broken.stdout
    assert json.loads(run("audit", "verify", "--json").stdout)["fault_count"] == 1
    other = f"3:{'0' * 64}"
    assert "not the one that was noted" in run("audit", "verify", "--expect", other).stdout


@pytest.mark.parametrize(
    "arguments", [("verify", "--expect", "x"), ("export", "--since", "yesterday"), ("export", "--format", "xml")]
)
def test_audit_used_wrongly(run, arguments):
    """What cannot be read is wrong usage."""
    assert run("audit", *arguments).exit_code == 2


def test_audit_export(run, dsn, tmp_path):
    """JSON lines and CSV have the same records, narrowed by time and by who; no cell is a formula."""
    run(*CREATE)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO mediaplane.audit_records (subject, action, kind, thing, user_agent) "
            "VALUES ('jwt:eve', 'url.issued', 'asset', 'a1', '=cmd|calc')"
        )
    lines = [json.loads(line) for line in run("audit", "export").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run("audit", "export", "--format", "csv").stdout)))
    assert [line["thing"] for line in lines] == [row["thing"] for row in rows]
    assert [line["position"] for line in lines] == [1, 2]
    assert (lines[1]["user_agent"], rows[1]["user_agent"]) == ("=cmd|calc", "'=cmd|calc")
    assert [json.loads(line)["thing"] for line in run("audit", "export", "--who", "jwt:eve").stdout.splitlines()] == [
        "a1"
    ]
    assert run("audit", "export", "--since", "2999-01-01").stdout == ""
    target = tmp_path / "audit.jsonl"
    assert run("audit", "export", "--until", "2999-01-01T00:00:00Z", "-o", str(target)).stdout == ""
    assert [json.loads(line)["thing"] for line in target.read_text().splitlines()] == [line["thing"] for line in lines]
