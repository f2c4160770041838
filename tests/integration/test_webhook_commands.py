"""`mediaplane webhook …` on a real database."""

import asyncio
import json
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from mediaplane.cli.app import app
from mediaplane.postgres import open_pool
from mediaplane.upkeep import webhooks as sending


@pytest.fixture
def command(dsn, tmp_path):
    place = conninfo_to_dict(dsn)
    host = urlencode({name: place[name] for name in ("host", "port") if place.get(name)})
    environ = {
        "DATABASE_URL": f"postgresql://{place['user']}@/{place['dbname']}?{host}",
        "STORAGE_MODE": "local",
        "MEDIAPLANE_STATE_DIR": str(tmp_path),
        "MEDIAPLANE_WEBHOOK_PRIVATE": "yes",
    }

    def run(*arguments: str) -> str:
        finished = CliRunner().invoke(app, ["webhook", *arguments], env=environ, catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        return finished.stdout

    return run


def test_add_list_log_replay_remove(command, dsn):
    """A webhook's life at the command line, with --json where it reads."""
    made = json.loads(command("add", "http://127.0.0.1:9/", "--type", "asset.created", "--json"))
    assert made["secret"].startswith("whsec_")
    assert "secret" not in json.loads(command("ls", "--json"))["webhooks"][0]
    assert made["webhook_id"] in command("ls")
    asyncio.run(tell(dsn))
    (told,) = json.loads(command("log", made["webhook_id"], "--json"))["deliveries"]
    assert (told["state"], told["last_error"]) == ("waiting", "cannot be reached: ConnectionRefusedError")
    assert command("replay", made["webhook_id"], "--delivery", str(told["delivery_id"])).startswith("1 ")
    assert "asset.created" in command("log", made["webhook_id"])
    command("rm", made["webhook_id"])
    assert json.loads(command("ls", "--json")) == {"webhooks": []}


async def tell(dsn: str) -> None:
    async with open_pool(dsn) as pool, pool.connection() as conn:
        await conn.execute("INSERT INTO assets (asset_id, owner, team, status) VALUES ('a', 'local', 'local', 'ready')")
        await sending.deliver_due(pool, private=True)
