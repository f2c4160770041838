"""Direct uploads: sessions in which a client writes an original straight to a store.

They share the table of this process's own (`uploads.py`), which have the way `process`. States: `open` until it is
`completed`, `refused` (the bytes cannot be taken) or `aborted` (its rows and bytes are being removed).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from mediaplane.errors import InvalidKey, UploadNotFound
from mediaplane.media.ids import new_id
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection, Jsonb, load_queries, values_of

SQL = load_queries("direct_uploads")

PUT, FORM, PARTS = "put", "form", "parts"  # ways a client writes


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """One row of `uploads` that a client works on."""

    upload_id: str
    asset_id: str
    owner: str
    team: str
    store: str
    key: str
    state: str
    size_bytes: int | None  # None: the client's protocol does not say it beforehand
    digest: str | None
    content_type: str
    created_at: datetime
    seen_at: datetime
    completed_at: datetime | None
    way: str
    name: str
    store_ref: str | None
    part_bytes: int | None
    md5: str | None
    write_once: bool
    reused: bool
    error_code: str | None
    error_message: str | None
    busy_until: datetime | None
    checked_at: datetime | None
    recheck_at: datetime | None
    reserved_bytes: int = 0  # counted as used until its bytes count themselves
    urls_live: timedelta = timedelta(hours=1)  # the URLs that its client was given end within it
    submission_id: str | None = None  # what it is sent in as, where it is for a task

    @property
    def object_key(self) -> ObjectKey:
        """The key, as stores take it."""
        return ObjectKey(self.key)

    @property
    def part_count(self) -> int | None:
        """How many parts there are to be; None where the client decides."""
        if self.part_bytes is None or self.size_bytes is None:
            return None
        return -(-self.size_bytes // self.part_bytes)

    def bytes_of_part(self, number: int) -> int | None:
        """Return the size of one part, counted from 1; None where the client decides."""
        if self.part_bytes is None or self.size_bytes is None:
            return None
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)

    def most_bytes(self, largest_bytes: int) -> int:
        """Return how many bytes may come: what is reserved, where that is less than what is taken of anybody."""
        return min(largest_bytes, self.reserved_bytes or largest_bytes)


@dataclass(frozen=True, slots=True)
class Ref:
    """An upload of an owner, and of a team where one is named."""

    upload_id: str
    owner: str
    team: str | None

    def fits(self, upload: DirectUpload) -> bool:
        """Return whether the upload is the one."""
        return (
            upload.upload_id == self.upload_id
            and upload.owner == self.owner
            and (self.team is None or upload.team == self.team)
        )


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload that is to begin, with the asset that it is to become."""

    asset_id: str
    owner: str
    team: str
    title: str
    store: str
    key: ObjectKey
    way: str
    name: str
    size_bytes: int | None
    digest: str | None
    md5: str | None
    content_type: str
    part_bytes: int | None
    write_once: bool
    reserved_bytes: int
    urls_live: timedelta
    upload_id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of an upload: which asset has its bytes; until `recheck_in` they can be replaced."""

    upload_id: str
    asset_id: str
    reused: bool
    size_bytes: int
    digest: str
    recheck_in: timedelta | None


@dataclass(frozen=True, slots=True)
class Sought:
    """Bytes of which an owner may have an asset: by digest, by etag and size in the same store, or the `twin`."""

    owner: str
    team: str
    digest: str | None
    store: str = ""
    etag: str = ""
    size_bytes: int = 0
    twin: str | None = None
    not_asset_id: str = ""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """An original with as many bytes as another; `digest` is that of its asset."""

    asset_id: str
    store: str
    key: str
    digest: str | None

    @property
    def is_told(self) -> bool:
        """Whether the digest is of the bytes, so that other bytes have another one."""
        return (self.digest or "").startswith("sha256:")


@dataclass(frozen=True, slots=True)
class Same:
    """The asset that has the same bytes; or, where none is known to, originals that may have, the newest first."""

    asset_id: str | None
    lookalikes: tuple[Lookalike, ...] = ()


async def open_all(conn: Connection, asked: Sequence[NewUpload]) -> list[DirectUpload]:
    """Begin the uploads: their assets, the intents of their objects, and they themselves, in the order asked.

    Raises:
        InvalidKey: a key is another object's; the transaction must be undone.
    """
    rows = [
        {**values_of(new), "place": place, "urls_live": f"{new.urls_live.total_seconds()} seconds"}
        for place, new in enumerate(asked)
    ]
    try:
        return await _all(conn, "open", {"asked": Jsonb(rows)})
    except UniqueViolation as error:
        raise InvalidKey(f"the key of a new upload belongs to another object already: {asked[0].key}") from error


async def note_begun(conn: Connection, upload_id: str, store_ref: str) -> DirectUpload:
    """Keep the store's reference of an upload in parts.

    Raises:
        UploadNotFound: it was aborted meanwhile.
    """
    return await _one(conn, "begun", {"upload_id": upload_id, "store_ref": store_ref})


async def get(conn: Connection, upload_id: str, *, owner: str | None, team: str | None) -> DirectUpload:
    """Return the upload; None for owner or team: anybody's.

    Raises:
        UploadNotFound: there is none, or it is another's.
    """
    return await _one(conn, "get", {"upload_id": upload_id, "owner": owner, "team": team})


async def lock(conn: Connection, upload_id: str) -> DirectUpload:
    """Return the upload, locked until the caller's transaction ends.

    Raises:
        UploadNotFound: it was aborted and removed.
    """
    return await _one(conn, "lock", {"upload_id": upload_id})


async def find(conn: Connection, wanted: Sequence[Ref]) -> dict[Ref, DirectUpload]:
    """Return those of the uploads that are there and nobody else's."""
    found = await _all(conn, "of_ids", {"upload_ids": [ref.upload_id for ref in wanted]})
    there = {upload.upload_id: upload for upload in found}
    return {ref: there[ref.upload_id] for ref in wanted if ref.upload_id in there and ref.fits(there[ref.upload_id])}


async def of_key(conn: Connection, store: str, key: str) -> DirectUpload | None:
    """Return the open upload that may write to the key, if there is one."""
    found = await _all(conn, "of_key", {"store": store, "key": key})
    return found[0] if found else None


async def page(
    conn: Connection, *, owner: str, team: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[DirectUpload]:
    """Return the owner's open uploads, newest first, behind the place `after` (created_at, upload_id)."""
    before, before_id = after or (None, None)
    values = {"owner": owner, "team": team, "before": before, "before_id": before_id, "limit": limit}
    return await _all(conn, "page", values)


async def touch(conn: Connection, upload_id: str) -> None:
    """Note that the client is alive: what nobody touches is swept in the end."""
    await conn.execute(SQL["touch"], {"upload_id": upload_id})


async def claim(conn: Connection, wanted: Sequence[Ref], *, lease: timedelta) -> dict[str, DirectUpload]:
    """Take the right to verify the bytes of uploads for as long as `lease`; return those of which we have it now.

    Others have it of the rest, or those are not open, or another's.
    """
    owners, teams = [ref.owner for ref in wanted], [ref.team for ref in wanted]
    values = {"upload_ids": [ref.upload_id for ref in wanted], "owners": owners, "teams": teams, "lease": lease}
    return {upload.upload_id: upload for upload in await _all(conn, "claim", values)}


async def hold(conn: Connection, upload_id: str, *, lease: timedelta) -> None:
    """Keep that right for longer."""
    await conn.execute(SQL["hold"], {"upload_id": upload_id, "lease": lease})


async def release(conn: Connection, upload_id: str) -> None:
    """Give that right back."""
    await conn.execute(SQL["release"], {"upload_id": upload_id})


async def complete(conn: Connection, completed: Sequence[Completed]) -> dict[str, DirectUpload]:
    """Note that the bytes are there and what became of them; return those that were still open, by id."""
    rows = [
        {**values_of(one), "recheck_in": f"{one.recheck_in.total_seconds()} seconds" if one.recheck_in else None}
        for one in completed
    ]
    return {upload.upload_id: upload for upload in await _all(conn, "complete", {"completed": Jsonb(rows)})}


async def refuse(conn: Connection, upload_id: str, *, code: str, message: str) -> None:
    """Note why its bytes are not taken."""
    await conn.execute(SQL["refuse"], {"upload_id": upload_id, "code": code, "message": message})


async def abort(conn: Connection, upload_id: str) -> bool:
    """Note that nobody goes on with it; False where it is not open any more."""
    return bool(await _all(conn, "abort", {"upload_id": upload_id}))


async def abort_silent(conn: Connection, *, silence: timedelta) -> int:
    """Give up uploads whose client has been silent; return how many."""
    return (await conn.execute(SQL["abort_silent"], {"silence": silence})).rowcount


async def aborted(conn: Connection) -> list[DirectUpload]:
    """Return uploads that were given up and still have rows and bytes, at most 100."""
    return await _all(conn, "aborted", {})


async def take_unsaid(conn: Connection, *, first: timedelta) -> list[DirectUpload]:
    """Return open uploads in one request to ask the store about; each comes up after `first`, then ever later."""
    return await _all(conn, "take_unsaid", {"first": first})


async def recheck_due(conn: Connection) -> list[DirectUpload]:
    """Return completed uploads whose URL has ended and could have replaced the bytes; at most 100."""
    return await _all(conn, "recheck_due", {})


async def recheck_done(conn: Connection, upload_id: str) -> None:
    """Note that it was looked at again."""
    await conn.execute(SQL["recheck_done"], {"upload_id": upload_id})


async def open_refs(conn: Connection, store: str) -> set[str]:
    """Return the references of the store's uploads in parts that somebody may go on with."""
    return {row[0] for row in await (await conn.execute(SQL["open_refs"], {"store": store})).fetchall()}


async def prune(conn: Connection, *, age: timedelta) -> int:
    """Forget uploads that ended longer ago; return how many."""
    return (await conn.execute(SQL["prune"], {"age": age})).rowcount


async def lock_sizes(conn: Connection, sizes: Collection[tuple[str, int]]) -> None:
    """Make other transactions about an owner's bytes of these sizes wait until this one ends."""
    owners, sizes_bytes = zip(*sizes, strict=True)
    await conn.execute(SQL["lock_sizes"], {"owners": list(owners), "sizes": list(sizes_bytes)})


async def find_same(conn: Connection, sought: Sequence[Sought], *, lookalikes: int = 0) -> list[Same]:
    """Return for each what has the same bytes, or at most so many `lookalikes`.

    The assets that have stay until the caller's transaction ends.
    """
    rows = [{**values_of(one), "place": place} for place, one in enumerate(sought)]
    found = await (await conn.execute(SQL["same_bytes"], {"asked": Jsonb(rows), "limit": lookalikes})).fetchall()
    same = {place: Same(asset_id, tuple(Lookalike(**one) for one in alike or ())) for place, asset_id, alike in found}
    return [same[place] for place in range(len(sought))]


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> DirectUpload:
    rows = await _all(conn, name, values)
    if not rows:
        raise UploadNotFound(str(values["upload_id"]))
    return rows[0]


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[DirectUpload]:
    async with conn.cursor(row_factory=class_row(DirectUpload)) as cursor:
        return await (await cursor.execute(SQL[name], values)).fetchall()
