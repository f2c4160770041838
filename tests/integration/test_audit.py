"""The audit log: nothing is changed in it, everything is in it, and every change of it is found."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from mediaplane.access.audit import AuditLog, Fault, chain_and_log, verify
from mediaplane.access.keys import make_key
from mediaplane.access.rules import EVERYTHING, sight
from mediaplane.catalog import accounts, assets, audit, clips, objects
from mediaplane.catalog.audit import GENESIS, Head, NewRecord
from mediaplane.errors import DatabaseUnavailable
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection, connect, narrowed
from mediaplane.storage.store import ObjectInfo

UNTIL = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


def record(number: int, **fields) -> NewRecord:
    return NewRecord(subject="key:abc", action="url.issued", kind="asset", thing=f"a{number}", **fields)


async def fill(conn: Connection, count: int = 10) -> list[int]:
    await audit.add(conn, [record(number) for number in range(count)])
    rows = await conn.execute("SELECT record_id FROM audit_records ORDER BY record_id")
    return [row[0] for row in await rows.fetchall()]


@asynccontextmanager
async def tampering(conn: Connection):
    """Do what the owner of the tables can: switch the triggers off, change, switch them on again."""
    async with conn.transaction():
        for table in ("audit_records", "audit_chain"):
            await conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        for table in ("audit_records", "audit_chain"):
            await conn.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def test_add_and_read(conn):
    """A record keeps everything it was given, whatever characters a client sent."""
    given = record(
        1, subject_owner="me", subject_team="red", role="admin", owner="them", team="blue", until=UNTIL, ip="::1",
        user_agent="curl\x00 \ud800 é", request_id="r", details={"reason": "a\x00b", "n": [1, 2.5, None]},
    )  # fmt: skip
    await audit.add(conn, [given])
    [found] = [row async for row in audit.export(conn)]
    assert (found["subject"], found["owner"], found["until"]) == ("key:abc", "them", UNTIL)
    assert (found["user_agent"], found["details"]) == ("curl ? é", {"reason": "ab", "n": [1, 2.5, None]})
    assert datetime.now(UTC) - found["at"] < timedelta(minutes=1)


@pytest.mark.parametrize("table", ["audit_records", "audit_chain"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_change_is_refused(conn, table, statement):
    """Nobody who does not switch the triggers off changes or removes a record, the tables' owner neither."""
    await fill(conn)
    await audit.chain_all(conn)
    column = "thing" if table == "audit_records" else "hash"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        await conn.execute(statement.format(table, column, column))
    assert not (await verify(conn)).fault_count


async def test_chain_of_nothing(conn):
    """An empty record is whole."""
    verdict = await verify(conn)
    assert (verdict.records, verdict.head, verdict.fault_count) == (0, Head(0, GENESIS), 0)


async def test_chain_grows(conn, monkeypatch):
    """Records are chained in batches, once each, and the head moves on."""
    monkeypatch.setattr(audit, "BATCH", 3)
    await fill(conn)
    assert await audit.chain(conn, limit=4) == 4
    first = await audit.head(conn)
    assert await audit.chain_all(conn) == 6
    assert await audit.chain_all(conn) == 0
    verdict = await verify(conn, expected=first)
    assert (verdict.records, verdict.head.position, verdict.fault_count) == (10, 10, 0)
    assert (await verify(conn, expected=verdict.head)).fault_count == 0


async def test_chain_of_records_that_commit_out_of_order(conn, dsn):
    """A record that was begun earlier and committed later is chained behind those that were chained before."""
    async with await connect(dsn) as slow:
        async with slow.transaction():
            await audit.add(slow, [record(0)])
            await fill(conn, 3)
            assert await audit.chain_all(conn) == 3
        assert await audit.chain_all(conn) == 1
    places = [(row["thing"], row["position"]) async for row in audit.export(conn)]
    assert places == [("a0", 4), ("a0", 1), ("a1", 2), ("a2", 3)]
    assert (await verify(conn)).fault_count == 0


async def test_chain_tells_its_head(conn):
    """The log names every new head, as `verify --expect` takes it; where nothing is new it is silent."""
    await fill(conn, 3)
    with capture_logs() as lines:
        await chain_and_log(conn)
        await chain_and_log(conn)
    position, digest = await audit.head(conn)
    assert [(line["records"], line["head"]) for line in lines] == [(3, f"{position}:{digest.hex()}")]


async def test_chain_by_many_at_once(conn, dsn):
    """Several processes that chain at once make one chain."""
    await fill(conn, 200)
    connections = [await connect(dsn) for _ in range(4)]
    try:
        await asyncio.gather(*(audit.chain(each, limit=20) for each in connections))
        await asyncio.gather(*(audit.chain_all(each) for each in connections))
    finally:
        for each in connections:
            await each.close()
    verdict = await verify(conn)
    assert (verdict.records, verdict.head.position, verdict.fault_count) == (200, 200, 0)


CHANGES = {
    "a word": "UPDATE audit_records SET thing = 'another' WHERE record_id = {5}",
    "who": "UPDATE audit_records SET subject = 'key:other' WHERE record_id = {5}",
    "a microsecond": "UPDATE audit_records SET at = at + interval '1 microsecond' WHERE record_id = {5}",
    "details": "UPDATE audit_records SET details = jsonb_build_object('a', 1) WHERE record_id = {5}",
    "null for empty": "UPDATE audit_records SET ip = '' WHERE record_id = {5}",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
async def test_verify_finds_a_change(conn, statement):
    """A record that was changed is named, and no other."""
    ids = await fill(conn)
    await audit.chain_all(conn)
    async with tampering(conn):
        await conn.execute(statement.format(*ids))
    verdict = await verify(conn)
    assert [(fault.position, fault.record_id) for fault in verdict.faults] == [(6, ids[5])]


async def test_verify_finds_a_removal(conn):
    """A removed record is named, with its link and without; so is one removed before it was chained."""
    ids = await fill(conn)
    await audit.chain_all(conn)
    await audit.add(conn, [record(10)])
    last = (await fill(conn, 1))[-2]
    async with tampering(conn):
        await conn.execute("DELETE FROM audit_records WHERE record_id = ANY(%s)", [[ids[2], ids[6], last]])
        await conn.execute("DELETE FROM audit_chain WHERE record_id = %s", [ids[6]])
    verdict = await verify(conn)
    assert verdict.faults == [
        Fault(3, ids[2], "the record was removed"),
        Fault(7, None, "positions 7 to 7 of the chain were removed"),
        Fault(None, last, "it was removed before it was chained"),
    ]


async def test_verify_finds_another_order(conn):
    """Records that changed places are both named."""
    ids = await fill(conn)
    await audit.chain_all(conn)
    async with tampering(conn):
        await conn.execute("UPDATE audit_chain SET record_id = -record_id WHERE position IN (4, 5)")
        for position, record_id in ((4, ids[4]), (5, ids[3])):
            await conn.execute("UPDATE audit_chain SET record_id = %s WHERE position = %s", [record_id, position])
    assert [(fault.position, fault.record_id) for fault in (await verify(conn)).faults] == [(4, ids[4]), (5, ids[3])]


async def test_verify_finds_what_was_slipped_in(conn):
    """A record that was added behind the trigger's back is named."""
    await fill(conn)
    await audit.chain_all(conn)
    async with tampering(conn):
        await conn.execute(
            "INSERT INTO audit_records (subject, action, kind, thing) VALUES ('x', 'review.decided', 'asset', 'a')"
        )
    [fault] = (await verify(conn)).faults
    assert fault.problem == "it was added without being chained"


async def test_verify_finds_a_chain_made_anew(conn):
    """Who changes a record and every hash behind it, or cuts off the end, is found by a head noted elsewhere."""
    ids = await fill(conn)
    await audit.chain_all(conn)
    noted = await audit.head(conn)
    async with tampering(conn):
        await conn.execute("UPDATE audit_records SET thing = 'another' WHERE record_id = %s", [ids[5]])
        await conn.execute("DELETE FROM audit_chain WHERE position > 5")
        await conn.execute("INSERT INTO audit_waiting SELECT unnest(%s::bigint[])", [ids[5:]])
    assert (await verify(conn)).fault_count == 0
    assert [fault.position for fault in (await verify(conn, expected=noted)).faults] == [10]
    async with tampering(conn):
        await conn.execute("DELETE FROM audit_chain WHERE position > 8")
        await conn.execute("DELETE FROM audit_records WHERE record_id = ANY(%s)", [ids[8:]])
    assert (await verify(conn)).fault_count == 0
    assert [fault.position for fault in (await verify(conn, expected=noted)).faults] == [10]


async def put_asset(conn: Connection, asset_id: str, **fields) -> None:
    who = {"owner": "me", "team": "red", **fields}
    await assets.add(conn, asset_id=asset_id, **who, title="A title", status="ready", digest="sha256:0")
    keys = [ObjectKey(f"{asset_id}/{name}") for name in "xyz"]
    place = {"store": "s3", "asset_id": asset_id}
    await objects.intend(conn, **place, role="frame", keys=keys, content_type="image/jpeg")
    await objects.settle(conn, **place, infos=[ObjectInfo(key, 10, "e", UNTIL) for key in keys])


async def records(conn: Connection) -> list[dict]:
    return [row async for row in audit.export(conn)]


async def test_deletion_typed_into_psql(conn, dsn):
    """The database records deletions itself: who was logged in, what, and once, though many rows go with it."""
    await put_asset(conn, "a1")
    await put_asset(conn, "a2")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name="psql") as psql:
        await psql.execute("DELETE FROM mediaplane.assets")
        row = await psql.execute("SELECT session_user::text")
        [user] = await row.fetchone()
    found = await records(conn)
    assert [(row["action"], row["thing"], row["owner"], row["team"]) for row in found] == [
        ("asset.deleted", "a1", "me", "red"),
        ("asset.deleted", "a2", "me", "red"),
    ]
    assert {(row["subject"], row["user_agent"]) for row in found} == {(f"db:{user}", "psql")}
    assert found[0]["details"] == {"asset_id": "a1", "title": "A title", "status": "ready", "digest": "sha256:0"}


async def test_deletion_by_a_view_of_the_deployment(conn):
    """Deleting through a view is deleting."""
    await put_asset(conn, "a1")
    await conn.execute("CREATE VIEW videos AS SELECT asset_id AS id FROM assets")
    await conn.execute("DELETE FROM videos")
    assert [row["action"] for row in await records(conn)] == ["asset.deleted"]


async def test_deletion_of_objects_and_clips_alone(conn):
    """Objects deleted by themselves are one record an asset, a clip is its own."""
    await put_asset(conn, "a1")
    await conn.execute("UPDATE assets SET duration_ms = 5000")
    clip = {"clip_id": "c1", "asset_id": "a1", "mode": "fast", "t_start_ms": 0, "t_end_ms": 1000}
    await clips.request(conn, **clip, expiry=timedelta(0))
    await conn.execute("DELETE FROM objects WHERE key <> 'a1/x'")
    assert await clips.delete_expired(conn) == 1
    found = [(row["action"], row["kind"], row["thing"], row["details"]) for row in await records(conn)]
    assert found == [
        ("objects.deleted", "asset", "a1", {"objects": 2, "size_bytes": 20, "first": "s3:a1/y"}),
        ("clip.deleted", "clip", "c1", {"asset_id": "a1", "status": "processing", "title": ""}),
    ]


async def test_deletion_that_deletes_nothing_is_no_record(conn):
    """Statements that find no rows leave no records."""
    for table in ("assets", "clips", "objects"):
        await conn.execute(f"DELETE FROM {table}")
    assert await records(conn) == []


async def test_deletion_by_the_gateway_names_who_asked(conn):
    """In a narrowed transaction the record is that of the request, not of the database user."""
    await put_asset(conn, "a1")
    actor = '{"subject": "key:k", "owner": "me", "team": "red", "role": "member", "ip": "10.1.2.3", "request_id": "r1"}'
    async with narrowed(conn, sight(EVERYTHING), actor=actor):
        await assets.delete(conn, "a1", owner="me")
    [row] = await records(conn)
    assert (row["subject"], row["subject_owner"], row["role"]) == ("key:k", "me", "member")
    assert (row["ip"], row["request_id"]) == ("10.1.2.3", "r1")


async def test_deletion_that_is_rolled_back_is_no_record(conn):
    """What did not happen is not recorded."""
    await put_asset(conn, "a1")
    async with conn.transaction(force_rollback=True):
        await assets.delete(conn, "a1", owner="me")
    assert await records(conn) == []


async def test_keys_are_recorded(conn):
    """Making, changing, revoking and deleting a key is recorded, by whatever it is done; using it is not."""
    made = make_key()
    who = {"owner": "me", "team": "red", "role": "member", "scopes": ["read"], "lifetime": timedelta(days=1)}
    row = await accounts.add(conn, key_id=made.key_id, digest=made.digest, **who)
    await accounts.find(conn, made.key_id, made.digest)
    await accounts.revoke(conn, made.key_id)
    await accounts.revoke(conn, made.key_id)
    await conn.execute("UPDATE api_keys SET role = 'admin', revoked_at = NULL")
    await conn.execute("DELETE FROM api_keys")
    found = await records(conn)
    assert [row["action"] for row in found] == ["key.created", "key.revoked", "key.changed", "key.deleted"]
    assert {row["thing"] for row in found} == {made.key_id}
    assert (found[0]["until"], found[2]["details"]["role"]) == (row.expires_at, "admin")
    assert made.text not in str(found) and made.digest.hex() not in str(found)


async def test_export_narrows(conn):
    """Records are exported by time and by who, in order."""
    ids = await fill(conn, 5)
    await audit.add(conn, [record(9, subject_owner="bob")])
    middle = [row["at"] for row in await records(conn)][2]
    assert [row["record_id"] async for row in audit.export(conn, since=middle, until=None)][:1] == [ids[2]]
    assert [row["record_id"] async for row in audit.export(conn, until=middle)] == ids[:2]
    assert [row["thing"] async for row in audit.export(conn, who="bob")] == ["a9"]
    assert len([row async for row in audit.export(conn, who="key:abc")]) == 6
    assert [row async for row in audit.export(conn, who="nobody")] == []


async def test_log_writes_together_and_is_durable(pool):
    """Records of many requests go together, and each request goes on only when its own are there."""
    statements = 0

    @asynccontextmanager
    async def lend():
        nonlocal statements
        statements += 1
        async with pool.connection() as conn:
            yield conn

    log = AuditLog(lend)

    async def one(number: int) -> None:
        await log.append([record(number), record(number + 1000)])
        async with pool.connection() as conn:
            row = await conn.execute("SELECT count(*) FROM audit_records WHERE thing = %s", [f"a{number}"])
            assert await row.fetchone() == (1,)

    await asyncio.gather(*(one(number) for number in range(200)))
    assert statements < 20
    async with pool.connection() as conn:
        verdict = await verify(conn)
    assert (verdict.records, verdict.fault_count) == (400, 0)


async def test_log_that_cannot_write(pool):
    """Every request of a batch that could not be written is told, and the next one tries anew."""
    is_away = True

    @asynccontextmanager
    async def lend():
        if is_away:
            raise DatabaseUnavailable("away")
        async with pool.connection() as conn:
            yield conn

    log = AuditLog(lend)
    results = await asyncio.gather(*(log.append([record(number)]) for number in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 5
    is_away = False
    await log.append([record(9)])
    async with pool.connection() as conn:
        assert [row["thing"] async for row in audit.export(conn)] == ["a9"]


async def test_log_with_a_request_that_went_away(pool):
    """A request that is cancelled while it waits does not stop the others' records."""
    log = AuditLog(pool.connection)
    waiting = [asyncio.create_task(log.append([record(number)])) for number in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(*waiting[1:])
    async with pool.connection() as conn:
        assert len([row async for row in audit.export(conn)]) == 3
