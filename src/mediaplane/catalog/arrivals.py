"""Originals that have arrived in a store: their assets and objects, many at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from mediaplane.postgres import Connection, Jsonb, load_queries
from mediaplane.storage.store import ObjectInfo

SQL = load_queries("arrivals")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An original seen in a store."""

    store: str
    info: ObjectInfo
    asset_id: str
    owner: str
    team: str
    title: str
    content_type: str
    digest: str | None = None  # of the bytes, where we saw them pass

    @property
    def fingerprint(self) -> str:
        """What the bytes are, as well as we know it."""
        return self.digest or f"etag:{self.info.etag}:{self.info.size_bytes}"


async def add(conn: Connection, arrived: Sequence[Arrival]) -> set[str]:
    """Add the assets of these originals; return which were added: one may have been a moment ago by somebody else."""
    return await _ids(conn, "add", arrived)


async def note(conn: Connection, arrived: Sequence[Arrival]) -> set[str]:
    """Note that the originals are there, and that their assets are processed; return the assets of which it is news.

    It is none of an original that was known with the same etag and size, or whose key belongs to something else.
    """
    return await _ids(conn, "note", arrived)


def _rows(arrived: Sequence[Arrival]) -> Jsonb:
    return Jsonb(
        [
            {
                "store": arrival.store,
                "key": arrival.info.key,
                "asset_id": arrival.asset_id,
                "owner": arrival.owner,
                "team": arrival.team,
                "title": arrival.title,
                "size_bytes": arrival.info.size_bytes,
                "etag": arrival.info.etag,
                "content_type": arrival.content_type,
                "fingerprint": arrival.fingerprint,
            }
            for arrival in arrived
        ]
    )


async def _ids(conn: Connection, name: str, arrived: Sequence[Arrival]) -> set[str]:
    return {row[0] for row in await (await conn.execute(SQL[name], {"arrived": _rows(arrived)})).fetchall()}
