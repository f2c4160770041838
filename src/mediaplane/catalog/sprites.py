"""Sheets of small pictures for the scrubbing preview: which times lie where on which object."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from psycopg.rows import class_row

from mediaplane.postgres import Connection, load_queries

SQL = load_queries("sprites")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One JPEG of `tiles` pictures, row by row, `tile_ms` apart."""

    chunk: int
    position: int  # within the chunk
    store: str
    key: str
    first_ms: int
    tile_ms: int
    tiles: int
    columns: int
    tile_width: int
    tile_height: int


async def replace_chunk(conn: Connection, asset_id: str, chunk: int, sheets: Sequence[Sheet]) -> None:
    """Set the chunk's sheets to these."""
    await conn.execute(SQL["drop_chunk"], {"asset_id": asset_id, "chunk": chunk})
    for sheet in sheets:
        await conn.execute(SQL["put_sheet"], {**asdict(sheet), "asset_id": asset_id})


async def of_asset(conn: Connection, asset_id: str) -> list[Sheet]:
    """Return the asset's sheets by time, as far as its chunks are done."""
    async with conn.cursor(row_factory=class_row(Sheet)) as cursor:
        return await (await cursor.execute(SQL["of_asset"], {"asset_id": asset_id})).fetchall()


async def drop_chunks(conn: Connection, asset_id: str, *, from_chunk: int) -> None:
    """Forget what an earlier processing with more chunks left."""
    await conn.execute(SQL["drop_chunks"], {"asset_id": asset_id, "from_chunk": from_chunk})
