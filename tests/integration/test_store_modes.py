"""One asset in two stores: what a mode that was changed leaves, and what reading, scanning and readiness make of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from mediaplane.catalog import assets, objects, playback
from mediaplane.media.keys import check_key
from mediaplane.settings import load_settings
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.wiring import open_plane
from tests.services.gateway import Gateway, running_gateway


async def _body(data: bytes = b"bytes") -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def environ(seaweed, fresh_bucket, tmp_path) -> dict[str, str]:
    return {
        "STORAGE_MODE": "hybrid",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": fresh_bucket(seaweed),
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
        "MEDIAPLANE_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture
async def gateway(dsn, environ, tmp_path) -> AsyncIterator[Gateway]:
    async with running_gateway(dsn, tmp_path / "state", environ) as running:
        yield running


async def put(gateway: Gateway, store: str, key: str, body: bytes) -> None:
    async with gateway.plane.pool.connection() as conn:
        where = {"store": store, "asset_id": "a"}
        await objects.intend(conn, **where, role="segment", keys=[check_key(key)], content_type="video/mp4")
        info = await gateway.plane.stores[store].store.put(check_key(key), _body(body), content_type="video/mp4")
        await objects.settle(conn, **where, infos=[info])


async def test_playlist_of_two_stores(gateway):
    """Each segment is signed by the store its row names: one answers by the bucket, one by the gateway."""
    await gateway.add_asset("a")
    for chunk, store in enumerate(("s3", "local")):
        key = f"videos/proxy/a/360p/c{chunk}_000.m4s"
        init = f"videos/proxy/a/360p/c{chunk}_init.mp4"
        await put(gateway, store, key, f"of {store}".encode())
        await put(gateway, store, init, b"init")
        await gateway.add_rendition("a", "360p", [(key, 6_000_000, 8)], init_key=init, chunk=chunk)
        async with gateway.plane.pool.connection() as conn:
            await playback.replace_segments(
                conn, "a", rendition="360p", chunk=chunk, store=store, init_key=init, segments=[(key, 6_000_000, 8)]
            )
    async with httpx.AsyncClient(timeout=20) as client:
        master = gateway.plane.playback_url("a")
        text = (await client.get(master.replace("/index.m3u8", "/360p.m3u8"))).text
        urls = [line for line in text.splitlines() if line.startswith("http")]
        assert [(await client.get(url)).text for url in urls] == ["of s3", "of local"]
        ranged = [await client.get(url, headers={"Range": "bytes=3-"}) for url in urls]
        assert [answer.text for answer in ranged] == ["s3", "local"]


async def test_deletion_in_two_stores(gateway):
    """Deleting the row deletes the bytes in both."""
    await gateway.add_asset("a")
    for store in ("s3", "local"):
        await put(gateway, store, f"videos/proxy/a/{store}.m4s", b"bytes")
    plane = gateway.plane
    async with plane.pool.connection() as conn:
        await assets.delete(conn, "a", owner="local")
    await drain_outbox(plane.pool, {name: opened.store for name, opened in plane.stores.items()})
    for opened in plane.stores.values():
        assert [info async for info in opened.store.walk("")] == []


@pytest.mark.parametrize("mode", ["local", "s3", "hybrid"])
async def test_scan_finds_originals_in_both_places(dsn, environ, mode):
    """Whatever the mode, what was put into the bucket or the directory by hand is found, once."""
    settings = load_settings({**environ, "STORAGE_MODE": mode, "MEDIAPLANE_SIGNING_KEY": "k"})
    async with open_plane(replace(settings, database_url=dsn)) as plane:
        for name in ("s3", "local"):
            key = check_key(f"videos/original/in-{name}/master.mp4")
            await plane.stores[name].store.put(key, _body(), content_type="video/mp4")
        found = {scanner.store_name: (await scanner.scan()).registered for scanner in plane.scanners()}
        assert found == {"s3": ["in-s3"], "local": ["in-local"]}
        assert [(await scanner.scan()).registered for scanner in plane.scanners()] == [[], []]


async def test_scan_of_a_layout_without_ids_makes_them_from_the_keys(dsn, environ, tmp_path):
    """The same key always gives the same id, and the key is the title."""
    profile = tmp_path / "paths.toml"
    profile.write_text('[layout]\noriginal = "{path}"')
    settings = load_settings({**environ, "MEDIAPLANE_PROFILE": str(profile), "MEDIAPLANE_SIGNING_KEY": "k"})
    ids = []
    async with open_plane(replace(settings, database_url=dsn)) as plane:
        key = check_key("chunks/2025-04-15/match-01.mp4")
        await plane.stores["s3"].store.put(key, _body(), content_type="video/mp4")
        for _ in range(2):
            (asset_id,) = (await plane.scanners()[0].scan()).registered
            ids.append(asset_id)
            async with plane.pool.connection() as conn:
                assert (await assets.get(conn, asset_id)).title == key
                assert (await objects.original(conn, asset_id)).key == key
                await conn.execute("DELETE FROM assets")
                await conn.execute("DELETE FROM outbox")  # so that the bytes stay
    assert ids[0] == ids[1]


async def test_gateway_is_ready_with_keys_that_may_not_list(dsn, rgw, fresh_bucket, tmp_path):
    """Keys for put, get and delete alone are no reason to call the store away; wrong ones are."""
    bucket = fresh_bucket(rgw)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/guest"]},
        "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
    }
    rgw.client().put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    keys = {"S3_ACCESS_KEY_ID": rgw.guest_access_key, "S3_SECRET_ACCESS_KEY": rgw.guest_secret_key}
    for secret, status in ((keys["S3_SECRET_ACCESS_KEY"], 200), ("wrong", 503)):
        environ = {"S3_ENDPOINT": rgw.http_endpoint, "S3_BUCKET": bucket, **keys, "S3_SECRET_ACCESS_KEY": secret}
        async with (
            running_gateway(dsn, tmp_path / "state", environ) as running,
            httpx.AsyncClient(timeout=20) as client,
        ):
            assert (await client.get(f"{running.url}/readyz")).status_code == status
