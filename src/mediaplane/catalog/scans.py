"""Scans: how far a prefix has been looked at, so that a cut-off scan goes on from there."""

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("scans")


async def begin(conn: Connection, store: str, prefix: str) -> str:
    """Return the key behind which to go on, empty for the beginning."""
    row = await (await conn.execute(SQL["begin"], {"store": store, "prefix": prefix})).fetchone()
    assert row is not None
    return str(row[0])


async def advance(conn: Connection, store: str, prefix: str, *, last_key: str, seen: int) -> None:
    """Note that `seen` more keys up to `last_key` were looked at; a crash of the database may forget it."""
    async with conn.transaction():
        await conn.execute("SET LOCAL synchronous_commit = off")  # a scan does not wait for the disk
        await conn.execute(SQL["advance"], {"store": store, "prefix": prefix, "last_key": last_key, "seen": seen})


async def finish(conn: Connection, store: str, prefix: str) -> None:
    """Note that the whole prefix was looked at."""
    await conn.execute(SQL["finish"], {"store": store, "prefix": prefix})
