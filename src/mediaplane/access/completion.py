"""An upload becomes an asset: verified, registered once, and answered the same however often it is asked.

Who completes a large one takes a claim first, as verifying may read all bytes; it ends by itself if its holder dies.
What counts is decided in one transaction, see `registration.py`. Claims and registrations of many requests go together.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from mediaplane.access.claims import LEASE, renewed
from mediaplane.access.registration import Candidate, Outcome, Registry, Unsettled
from mediaplane.access.submitting import limits_of
from mediaplane.access.together import Share, alone
from mediaplane.access.twins import compare
from mediaplane.access.verification import SaidPart, Verified, check_type, is_small, verify
from mediaplane.catalog import assets, direct_uploads, objects
from mediaplane.catalog.direct_uploads import FORM, PARTS, PUT, DirectUpload, Ref
from mediaplane.errors import (
    AssetNotFound,
    ChecksumMismatch,
    MediaplaneError,
    ObjectNotFound,
    UploadBusy,
    UploadChanged,
    UploadClosed,
    UploadError,
    UploadIncomplete,
    UploadNotFound,
    UploadTooLarge,
    UploadTypeRefused,
)
from mediaplane.jobs.withdrawal import Connect
from mediaplane.logs import Logger
from mediaplane.media.types import HEAD_BYTES, real_type
from mediaplane.postgres import Connection
from mediaplane.storage.open import OpenStore

FINAL = (UploadTooLarge, UploadTypeRefused, ChecksumMismatch, UploadChanged)  # what is told again by its code
_REFUSING = (UploadTooLarge, UploadTypeRefused, ChecksumMismatch)
_WAIT_SECONDS = 5.0  # for another who completes the same upload
_ASK_AGAIN_SECONDS = 0.2
_SLACK = timedelta(minutes=5)  # between the end of a URL and the last look: clocks differ, a PUT takes its time
FORGOTTEN_AFTER = timedelta(seconds=30)  # bytes that came and nobody spoke of

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Completion:
    """Completes uploads into the stores of one deployment; `share` is for what needs no name."""

    connect: Connect
    share: Share
    stores: Mapping[str, OpenStore]
    registry: Registry
    largest_bytes: int
    types: tuple[str, ...]
    url_lifetime: timedelta

    @property
    def urls_live(self) -> timedelta:
        """After this a URL that was given out now cannot write any more."""
        return self.url_lifetime + _SLACK

    async def complete(self, wanted: Ref, said: Sequence[SaidPart] | None = None) -> DirectUpload:
        """Return the upload, completed; its asset is processed, or is that which had the same bytes before.

        Raises:
            UploadNotFound: there is none, or it is another's.
            UploadIncomplete, PartsInvalid: bytes are missing; the upload stays open.
            UploadTooLarge, UploadTypeRefused, ChecksumMismatch: refused, with everything that came.
            UploadChanged: the bytes were replaced meanwhile.
            UploadClosed: it was aborted.
            UploadBusy: another request is at it.
            StorageError, AccessDenied: the store failed; ask again.
        """
        upload, is_claimed = await self._claim(wanted)
        if upload.state != "open":
            return _ended(upload)
        try:
            async with renewed(partial(self._hold, upload)) if is_claimed else nullcontext():
                types, most_bytes = await self._limits_of(upload)
                found = await verify(upload, self.stores[upload.store], said, largest_bytes=most_bytes, types=types)
                return _ended(await self._register(upload, found))  # which ends the claim, too
        except BaseException as error:
            try:
                if isinstance(error, _REFUSING):
                    await self._refuse(upload, error)
            finally:
                if is_claimed:
                    async with self.connect() as conn:
                        await direct_uploads.release(conn, upload.upload_id)
            raise

    async def _limits_of(self, upload: DirectUpload) -> tuple[tuple[str, ...], int]:
        most_bytes = upload.most_bytes(self.largest_bytes)
        if upload.submission_id is None:
            return self.types, most_bytes
        async with self.connect() as conn:
            return await limits_of(conn, upload, types=self.types, largest_bytes=most_bytes)

    async def complete_forgotten(self) -> None:
        """Complete what arrived in one request and nobody spoke of: the tab was closed, or the client never says."""
        async with self.connect() as conn:
            uploads = await direct_uploads.take_unsaid(conn, first=FORGOTTEN_AFTER)
        for upload in uploads:
            try:
                await self.complete(Ref(upload.upload_id, upload.owner, upload.team))
                log.info("upload_completed_unasked", upload=upload.upload_id, asset=upload.asset_id)
            except (UploadIncomplete, UploadBusy, UploadClosed, UploadNotFound):
                continue
            except MediaplaneError as error:
                log.warning("upload_not_completed", upload=upload.upload_id, error=error.message)

    async def look_again(self) -> None:
        """Look once more at uploads whose URL could replace the bytes until it ended; an asset that lies is failed."""
        async with self.connect() as conn:
            uploads = await direct_uploads.recheck_due(conn)
        for upload in uploads:
            try:
                await self._look_again(upload)
            except MediaplaneError as error:
                log.warning("upload_not_looked_at_again", upload=upload.upload_id, error=error.message)

    async def _look_again(self, upload: DirectUpload) -> None:
        async with self.connect() as conn:
            row = (await objects.known(conn, upload.store, [upload.key])).get(upload.key)
        problem = None
        if row is not None and row.asset_id == upload.asset_id and row.state == "stored":
            problem = await self._find_replaced(upload, row.etag or "", row.size_bytes)
        async with self.connect() as conn, conn.transaction():
            if problem is not None:
                await _fail(conn, upload, problem)
                log.warning("upload_replaced", upload=upload.upload_id, asset=upload.asset_id)
            await direct_uploads.recheck_done(conn, upload.upload_id)

    async def _find_replaced(self, upload: DirectUpload, etag: str, size_bytes: int) -> UploadError | None:
        store = self.stores[upload.store].store
        try:
            info = await store.stat(upload.object_key)
            if (info.etag, info.size_bytes) != (etag, size_bytes):
                return UploadChanged("the bytes were replaced after the upload was complete")
            head = b"".join([chunk async for chunk in store.read(info.key, length=HEAD_BYTES)])[:HEAD_BYTES]
            check_type(real_type(head), upload.content_type, self.types)
        except ObjectNotFound:
            return None  # fsck's business, not an upload's
        except UploadTypeRefused as error:
            return error
        return None

    async def _claim(self, wanted: Ref) -> tuple[DirectUpload, bool]:
        """Return the upload as it is once we may work on it, or once it has ended; and whether we hold a claim."""
        for _ in range(int(_WAIT_SECONDS / _ASK_AGAIN_SECONDS)):
            claimed = await self.share(_claim_all, wanted)
            if claimed is not None:
                return claimed
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        raise UploadBusy("another request is completing this upload just now: ask again in a moment")

    async def _hold(self, upload: DirectUpload) -> None:
        async with self.connect() as conn:
            await direct_uploads.hold(conn, upload.upload_id, lease=LEASE)

    async def _register(self, upload: DirectUpload, found: Verified) -> DirectUpload:
        candidate = Candidate(upload, found, self.urls_live if _is_replaceable(upload) else None)
        share, work = self.share, self.registry.register_together
        while True:
            outcome: Outcome = await share(work, candidate)
            if isinstance(outcome, DirectUpload):
                return outcome
            if outcome is Unsettled.BY_NAME:
                share, work = alone(self.connect), self.registry.register_by_name
            elif not isinstance(outcome, Unsettled):
                candidate = await compare(self.stores, candidate, outcome)

    async def _refuse(self, upload: DirectUpload, error: MediaplaneError) -> None:
        """Fail the asset with the reason and let the bytes go."""
        if upload.way == PARTS and upload.store_ref is not None:
            await self.stores[upload.store].intake.abort(upload.object_key, upload.store_ref)
        async with self.connect() as conn, conn.transaction():
            if (await _lock(conn, upload)).state == "open":
                await direct_uploads.refuse(conn, upload.upload_id, code=error.code, message=error.message)
                await _fail(conn, upload, error)


async def _fail(conn: Connection, upload: DirectUpload, error: MediaplaneError) -> None:
    await assets.mark_failed(conn, upload.asset_id, code=error.code, message=error.message)
    await objects.delete(conn, upload.store, [upload.key])


async def _lock(conn: Connection, upload: DirectUpload) -> DirectUpload:
    """Lock the asset, then the upload: whoever deletes the asset takes them in this order too."""
    with suppress(AssetNotFound):  # deleted; the upload is gone with it, or was completed with another asset
        await assets.lock(conn, upload.asset_id)
    return await direct_uploads.lock(conn, upload.upload_id)


def _is_replaceable(upload: DirectUpload) -> bool:
    """Return whether the client's URL can still write to the key. URLs of parts end with the upload."""
    return upload.way == FORM or (upload.way == PUT and not upload.write_once)


def _ended(upload: DirectUpload) -> DirectUpload:
    """Return the upload if it is completed; else say once more why it is not.

    Raises:
        UploadTooLarge, UploadTypeRefused, ChecksumMismatch, UploadChanged: why it was refused.
        UploadClosed: it was aborted.
    """
    if upload.state == "completed":
        return upload
    for kind in FINAL:
        if upload.error_code == kind.code:
            raise kind(upload.error_message or "")
    raise UploadClosed(f"the upload was {upload.state}: begin a new one")


_Claimed = tuple[DirectUpload, bool]


async def _claim_all(conn: Connection, wanted: Sequence[Ref]) -> list[_Claimed | Exception | None]:
    """Return uploads that we may verify now, with whether they had to be claimed, or that have ended; None: be patient.

    What is read at one look needs no claim: whoever looks twice finds the same, and registering decides.
    """
    there = await direct_uploads.find(conn, wanted)
    large = [ref for ref, upload in there.items() if upload.state == "open" and not is_small(upload)]
    claimed = await direct_uploads.claim(conn, large, lease=LEASE) if large else {}
    answers: list[_Claimed | Exception | None] = []
    for ref in wanted:
        if ref not in there:
            answers.append(UploadNotFound(ref.upload_id))
        elif ref not in large:
            answers.append((there[ref], False))
        elif upload := claimed.pop(ref.upload_id, None):  # who asks for the same twice is at it himself
            answers.append((upload, True))
        else:
            answers.append(None)
    return answers
