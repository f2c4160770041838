"""Verified uploads become assets, many at once; the same bytes never become two.

What counts is decided in one transaction, with the assets' rows, then the sizes and then the uploads' rows locked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from mediaplane.access.verification import Verified
from mediaplane.catalog import assets, direct_uploads, replays
from mediaplane.catalog.direct_uploads import Completed, DirectUpload, Lookalike, Ref, Same, Sought
from mediaplane.errors import UploadNotFound
from mediaplane.jobs.arrivals import Advance, Arrival, register_all
from mediaplane.postgres import Connection
from mediaplane.storage.store import ObjectInfo

LARGEST_COMPARED_BYTES = 1 << 30  # beyond it only a SHA-256 that the client gives, or an equal etag, tells
_LOOKALIKES = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """An upload whose bytes were verified; `twin` has the same ones, assets in `compared` do not."""

    upload: DirectUpload
    found: Verified
    recheck_in: timedelta | None  # until then they can be replaced
    twin: str | None = None
    compared: frozenset[str] = frozenset()

    @property
    def arrival(self) -> Arrival:
        """The original that has come."""
        upload, info = self.upload, self.found.info
        return Arrival(
            store=upload.store,
            info=ObjectInfo(upload.object_key, info.size_bytes, info.etag, info.modified_at),
            asset_id=upload.asset_id,
            owner=upload.owner,
            team=upload.team,
            title=upload.name,
            content_type=self.found.content_type,
            digest=self.found.digest,
        )

    @property
    def size(self) -> tuple[str, int]:
        """Whose bytes they are, and how many: others that are equal may be the same."""
        return self.upload.owner, self.found.info.size_bytes


class Unsettled(Enum):
    """Why nothing was decided."""

    SAME_SIZE = auto()  # another of the same owner and size went together with it: ask again
    BY_NAME = auto()  # what is to be done is recorded with the name of who asks: ask alone


Outcome = DirectUpload | Sequence[Lookalike] | Unsettled


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """Registers uploads; `advance` plans the work on their assets."""

    advance: Advance

    async def register_together(self, conn: Connection, asked: Sequence[Candidate]) -> list[Outcome | Exception]:
        """Complete the uploads in a transaction that many share.

        An answer is the upload as it is now (completed, or ended before otherwise), or originals that may have the
        same bytes and are to be compared first, or why nothing was decided.
        """
        first = {candidate.size: candidate for candidate in reversed(asked) if not candidate.upload.submission_id}
        decided = await self._register(conn, list(first.values()), by_name=False)
        return [
            Unsettled.BY_NAME
            if candidate.upload.submission_id
            else decided.get(candidate.upload.upload_id, Unsettled.SAME_SIZE)
            for candidate in asked
        ]

    async def register_by_name(self, conn: Connection, asked: Sequence[Candidate]) -> list[Outcome | Exception]:
        """Complete one upload in a transaction of who asks: also what is for a task, or is there already."""
        return list((await self._register(conn, asked, by_name=True)).values())

    async def _register(
        self, conn: Connection, asked: Sequence[Candidate], *, by_name: bool
    ) -> dict[str, Outcome | Exception]:
        decided: dict[str, Outcome | Exception] = {}
        if not asked:
            return decided
        await assets.lock_all(conn, [candidate.upload.asset_id for candidate in asked])
        await direct_uploads.lock_sizes(conn, {candidate.size for candidate in asked})
        found = await direct_uploads.find_same(conn, list(map(_sought, asked)), lookalikes=_LOOKALIKES)
        ready: list[tuple[Candidate, Same]] = []
        for candidate, same in zip(asked, found, strict=True):
            if same.asset_id is not None and not by_name:
                decided[candidate.upload.upload_id] = Unsettled.BY_NAME
            elif to_compare := _to_compare(candidate, same):
                decided[candidate.upload.upload_id] = to_compare
            else:
                ready.append((candidate, same))
        return decided | await self._complete(conn, ready)

    async def _complete(
        self, conn: Connection, ready: Sequence[tuple[Candidate, Same]]
    ) -> dict[str, Outcome | Exception]:
        if not ready:
            return {}
        completed = await direct_uploads.complete(conn, [_completed(candidate, same) for candidate, same in ready])
        ours = [(candidate, same) for candidate, same in ready if candidate.upload.upload_id in completed]
        await register_all(conn, [candidate.arrival for candidate, same in ours if same.asset_id is None], self.advance)
        for candidate, same in ours:
            if same.asset_id is not None:
                await replays.note_same_bytes(conn, same.asset_id)
                await assets.delete(conn, candidate.upload.asset_id, owner=candidate.upload.owner)  # not kept twice
        ended = [_ref(candidate.upload) for candidate, _ in ready if candidate.upload.upload_id not in completed]
        there = await direct_uploads.find(conn, ended) if ended else {}
        gone = {ref.upload_id: there.get(ref) or UploadNotFound(ref.upload_id) for ref in ended}
        return {**completed, **gone}


def _sought(candidate: Candidate) -> Sought:
    upload, info = candidate.upload, candidate.found.info
    return Sought(
        upload.owner,
        upload.team,
        candidate.arrival.fingerprint,
        store=upload.store,
        etag=info.etag,
        size_bytes=info.size_bytes,
        twin=candidate.twin,
        not_asset_id=upload.asset_id,
    )


def _to_compare(candidate: Candidate, same: Same) -> list[Lookalike]:
    """Return the originals of which nothing but their bytes tells whether they are the same."""
    found = candidate.found
    if found.info.size_bytes > LARGEST_COMPARED_BYTES:
        return []
    untold = [other for other in same.lookalikes if other.asset_id not in candidate.compared]
    return untold if found.digest is None else [other for other in untold if not other.is_told]


def _completed(candidate: Candidate, same: Same) -> Completed:
    upload = candidate.upload
    return Completed(
        upload_id=upload.upload_id,
        asset_id=same.asset_id or upload.asset_id,
        reused=same.asset_id is not None,
        size_bytes=candidate.found.info.size_bytes,
        digest=candidate.arrival.fingerprint,
        recheck_in=None if same.asset_id else candidate.recheck_in,
    )


def _ref(upload: DirectUpload) -> Ref:
    return Ref(upload.upload_id, upload.owner, upload.team)
