"""Uploads begin, many at once: each is known already, or gets its rows if it fits into what its owner may use."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from mediaplane.catalog import direct_uploads
from mediaplane.catalog.direct_uploads import DirectUpload, NewUpload, Sought
from mediaplane.catalog.quotas import Quotas
from mediaplane.postgres import Connection


@dataclass(frozen=True, slots=True)
class Known:
    """The owner has these bytes already: nothing is to be sent."""

    asset_id: str
    submission_id: str | None = None  # as what it was sent in, where it is for a task


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Begins uploads within the quotas of one deployment."""

    quotas: Quotas

    async def begin_all(self, conn: Connection, asked: Sequence[NewUpload]) -> list[DirectUpload | Known]:
        """Begin the uploads in the caller's transaction, except where the owner has the bytes, by their SHA-256.

        What `reserved_bytes` says is the most that may come; what is reserved is as much as fits.

        Raises:
            QuotaExceeded: not all fit into what an owner may use; the transaction must be undone.
            InvalidKey: see `direct_uploads.open_all`.
        """
        known = await _find_known(conn, asked)
        new = [upload for upload in asked if upload.upload_id not in known]
        begun = {upload.upload_id: upload for upload in await self._open(conn, new)}
        return [begun.get(upload.upload_id) or known[upload.upload_id] for upload in asked]

    async def _open(self, conn: Connection, new: Sequence[NewUpload]) -> list[DirectUpload]:
        if not new:
            return []
        async with AsyncExitStack() as limited:
            rooms = {  # in one order, whoever takes something for several accounts
                account: await limited.enter_async_context(self.quotas.within(conn, *account))
                for account in sorted({(upload.owner, upload.team) for upload in new})
            }
            reserved = [
                replace(
                    upload,
                    reserved_bytes=rooms[upload.owner, upload.team].reservation(
                        upload.size_bytes, most_bytes=upload.reserved_bytes
                    ),
                )
                for upload in new
            ]
            return await direct_uploads.open_all(conn, reserved)


async def _find_known(conn: Connection, asked: Sequence[NewUpload]) -> dict[str, Known]:
    told = [upload for upload in asked if upload.digest]
    if not told:
        return {}
    found = await direct_uploads.find_same(conn, [Sought(upload.owner, upload.team, upload.digest) for upload in told])
    return {
        upload.upload_id: Known(same.asset_id)
        for upload, same in zip(told, found, strict=True)
        if same.asset_id is not None
    }
