"""Downloads as programs and people ask for them: the Python client, and `mediaplane url`."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from mediaplane.catalog import segments
from mediaplane.catalog.segments import NewSegment
from mediaplane.cli import session
from mediaplane.cli.app import app
from mediaplane.client import Client, NotFound, Wanted
from tests.services.gateway import Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(module_dsn, tmp_path_factory) -> AsyncIterator[Gateway]:
    async with running_gateway(module_dsn, tmp_path_factory.mktemp("state"), {"STORAGE_MODE": "local"}) as running:
        for asset_id in ("a1", "a2"):
            await running.add_asset(asset_id, title=f"Talk {asset_id}")
            await running.put(
                asset_id, f"{asset_id}/master.mp4", b"v" * 300_000, role="original", content_type="video/mp4"
            )
            await running.put(asset_id, f"{asset_id}/0.jpg", b"\xff\xd8\xff", role="frame", content_type="image/jpeg")
        async with running.plane.pool.connection() as conn, conn.transaction():
            said = NewSegment(source="speech", t_start_ms=0, t_end_ms=900, text="hello", language="en")
            await segments.replace_chunk(conn, ("a1", "local", "local"), 0, [said])
        yield running


async def with_client(gateway: Gateway, work):
    def run():
        with Client(gateway.url) as media:
            return work(media)

    return await asyncio.to_thread(run)


async def test_client_lists_and_signs(gateway):
    """What there is, one URL, and more than fit into one request, in the order of the wishes."""

    def work(media: Client):
        objects = list(media.downloads.objects("a1"))
        wishes = ["a1", Wanted("a2", "frame", "0.jpg"), "nobody"] * 400
        return objects, media.downloads.url("a1", download=True), media.downloads.urls(wishes)

    objects, one, many = await with_client(gateway, work)
    assert [(entry.role, entry.size_bytes) for entry in objects] == [("frame", 3), ("original", 300_000)]
    assert one.filename == "Talk a1.mp4" and one.expires_at is not None
    assert len(many) == 1200
    assert [bool(signed.url) for signed in many[:3]] == [True, True, False]
    assert many[1199] == many[2] and many[1197].url == many[0].url


async def test_client_saves_a_file(gateway, tmp_path):
    """Under its own name in a directory, or under the name given; whole or not at all."""

    def work(media: Client):
        saved = media.downloads.save(tmp_path, "a1")
        named = media.downloads.save(tmp_path / "x.jpg", "a1", "frame")
        with pytest.raises(NotFound):
            media.downloads.save(tmp_path / "y", "a1", "poster")
        return saved, named, media.downloads.transcript("a1")

    saved, named, text = await with_client(gateway, work)
    assert saved.name == "Talk a1.mp4" and saved.stat().st_size == 300_000
    assert named.read_bytes() == b"\xff\xd8\xff"
    assert text == "hello\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Talk a1.mp4", "x.jpg"]


@pytest.fixture
def command(gateway, monkeypatch):
    """Run `mediaplane url` on the gateway's plane."""
    settings = replace(gateway.plane.settings, signing_key="a key for tests only")
    monkeypatch.setattr(session, "load_settings", lambda **_: settings)
    monkeypatch.setattr(session, "find_services", lambda found: found)

    async def run(*arguments: str):
        return await asyncio.to_thread(CliRunner().invoke, app, ["url", *arguments])

    return run


async def test_command(gateway, command):
    """A line each; playback where nothing else is asked for; status 1 where something is missing."""
    both = await command("a1", "a2", "--role", "original")
    assert both.exit_code == 0
    assert [line.partition("?")[0] for line in both.stdout.splitlines()] == [
        f"{gateway.url}/v1/objects/local/{asset_id}/master.mp4" for asset_id in ("a1", "a2")
    ]
    one = json.loads((await command("a1", "--role", "frame", "--name", "0.jpg", "--download", "--json")).stdout)
    assert (one["asset_id"], one["filename"]) == ("a1", "Talk a1 0.jpg")
    text = await command("a1", "--role", "transcript", "--name", "srt")
    assert "/v1/assets/a1/transcript.srt?token=" in text.stdout
    some = await command("a1", "a2", "--role", "transcript", "--json")
    assert some.exit_code == 1
    assert [bool(entry["url"]) for entry in json.loads(some.stdout)["urls"]] == [True, False]
    none = await command("a1")
    assert none.exit_code == 1 and none.stdout == ""
