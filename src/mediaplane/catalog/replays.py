"""Replays: an asset worked on once more; what each stage made before is reused where nothing it needs has changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row

from mediaplane.catalog.runs import StageRun
from mediaplane.errors import AssetNotFound
from mediaplane.media.ids import new_id
from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("replays")


@dataclass(frozen=True, slots=True)
class Replay:
    """One row of `replays`; `params` are settings for this asset alone, as they stand in their variables."""

    replay_id: str
    asset_id: str
    owner: str
    team: str
    cause: str
    params: dict[str, str]
    created_at: datetime

    def reused(self, run: StageRun) -> bool:
        """Tell whether what the run made was there already and was used again."""
        return run.state == "done" and run.created_at < self.created_at


async def add(
    conn: Connection, asset_id: str, *, cause: Literal["replay", "ingest"], params: Mapping[str, str]
) -> Replay:
    """Note that the asset is worked on once more, with these parameters from now on.

    Raises:
        AssetNotFound: it was deleted.
    """
    values = {"replay_id": new_id(), "asset_id": asset_id, "cause": cause, "params": Jsonb(dict(params))}
    found = await _one(conn, "insert", values)
    if found is None:
        raise AssetNotFound(asset_id)
    return found


async def note_same_bytes(conn: Connection, asset_id: str) -> None:
    """Note that the asset's bytes were ingested again: nothing is done, all that was made is used once more."""
    before = await latest(conn, asset_id)
    await add(conn, asset_id, cause="ingest", params=before.params if before else {})


async def latest(conn: Connection, asset_id: str) -> Replay | None:
    """Return the asset's latest replay, None where it was worked on once."""
    return await _one(conn, "latest", {"asset_id": asset_id})


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> Replay | None:
    async with conn.cursor(row_factory=class_row(Replay)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchone()
