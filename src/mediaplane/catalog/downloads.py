"""What can be downloaded: objects found by asset, role and name, many in one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg.rows import class_row, tuple_row

from mediaplane.postgres import Connection, Jsonb, load_queries

SQL = load_queries("downloads")

HIDDEN_ROLES = ("log", "debug")  # of interest to who operates, who reads them in the bucket
PLAYBACK, TRANSCRIPT = "playback", "transcript"  # wishes for what is made when it is asked for


class Wish(NamedTuple):
    """What is wanted of an asset; an empty name: the first object of the role by key."""

    asset_id: str
    role: str
    name: str = ""  # the last parts of a key, or all of it


class Found(NamedTuple):
    """An object that is wanted and in sight; `store` is empty for playback and transcripts."""

    place: int  # of the wish
    owner: str
    team: str
    title: str
    store: str
    key: str
    content_type: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A stored object, as its asset's readers see it."""

    role: str
    key: str
    store: str
    content_type: str
    size_bytes: int
    etag: str | None


async def find(conn: Connection, wishes: Sequence[Wish], owner: str | None, team: str | None) -> dict[Wish, Found]:
    """Return what there is of the wishes, the owner's and the team's, each where given; about 10 µs a wish."""
    shown = [wish for wish in wishes if wish.role not in HIDDEN_ROLES]
    if not shown:
        return {}
    asset_ids, roles, names = map(Jsonb, zip(*shown, strict=True))
    values = {"asset_ids": asset_ids, "roles": roles, "names": names, "owner": owner, "team": team}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(SQL["find"], values)).fetchall()
    return {shown[row[0]]: Found._make(row) for row in rows}


async def page(
    conn: Connection, asset_id: str, *, role: str | None, after: tuple[str, str] | None, limit: int
) -> list[Listed]:
    """Return stored objects of an asset by role and key, behind the place `after` (role, key)."""
    after_role, after_key = after or (None, None)
    values = {"asset_id": asset_id, "role": role, "hidden": list(HIDDEN_ROLES), "limit": limit}
    async with conn.cursor(row_factory=class_row(Listed)) as cursor:
        rows = await cursor.execute(SQL["page"], {**values, "after_role": after_role, "after_key": after_key})
        return await rows.fetchall()
