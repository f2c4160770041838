"""Figures for collectors of metrics: what waits, what is stored."""

from typing import Any

from psycopg.rows import dict_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("figures")

Rows = list[dict[str, Any]]


async def waiting(conn: Connection) -> dict[str, Rows]:
    """Return what waits: runs, keys to be removed, open uploads, deliveries. Cheap: indexes of what is open."""
    return {name: await _rows(conn, name) for name in ("queue", "outbox", "uploads", "deliveries")}


async def stored(conn: Connection) -> dict[str, Rows]:
    """Return what is there: assets by status, objects by store and role. Reads all of them."""
    return {name: await _rows(conn, name) for name in ("assets", "stored")}


async def _rows(conn: Connection, name: str) -> Rows:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL[name])
        return await cursor.fetchall()
