"""Acting on what buckets tell, pushed to the gateway or taken from a queue: the store is asked about every key.

A notice that is old, repeated, out of order or made up does no harm: what is registered is what the store has now, by
the same function as the scanner's finds. Where a client's upload is open, it is completed as if the client had said so.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mediaplane.access.completion import Completion
from mediaplane.catalog import direct_uploads
from mediaplane.catalog.direct_uploads import DirectUpload, Ref
from mediaplane.errors import (
    AccessDenied,
    ChecksumMismatch,
    MediaplaneError,
    ObjectNotFound,
    UploadBusy,
    UploadChanged,
    UploadClosed,
    UploadIncomplete,
    UploadNotFound,
    UploadTooLarge,
    UploadTypeRefused,
)
from mediaplane.jobs.originals import Originals, Received, Upshot
from mediaplane.jobs.withdrawal import Connect
from mediaplane.logs import Logger
from mediaplane.media.keys import ObjectKey
from mediaplane.media.notices import Kind, Notice

_AT_ONCE = 4
_NOTHING_THERE = (Upshot.GONE, Upshot.NO_ORIGINAL)  # then the key may have been meant the other way

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A store that originals may be in, and its bucket's name, which notices bear."""

    bucket: str
    originals: Originals


@dataclass(frozen=True, slots=True)
class Notices:
    """Acts on notices about the buckets of one deployment."""

    connect: Connect
    places: Sequence[Place]
    completion: Completion
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def take(self, notices: Sequence[Notice]) -> Counter[Upshot]:
        """Act on all of them and return how many came to what; the same said twice is acted on once.

        Raises:
            StorageError, AccessDenied, DatabaseUnavailable: of some it could not be found out; all others were acted
                on. Have all of them told again.
        """
        once = list(dict.fromkeys(notices))
        found = await asyncio.gather(*(self._take(notice) for notice in once), return_exceptions=True)
        for problem in found:
            if isinstance(problem, BaseException):
                raise problem
        return Counter(outcome for outcome in found if isinstance(outcome, Upshot))

    async def _take(self, notice: Notice) -> Upshot:
        if notice.kind is Kind.OTHER:
            return Upshot.IGNORED
        places = [place for place in self.places if place.bucket == notice.bucket]
        if not places:
            log.warning("bucket_notice", outcome=Upshot.UNKNOWN_BUCKET, bucket=notice.bucket[:63])
            return Upshot.UNKNOWN_BUCKET
        last = Received(Upshot.NO_ORIGINAL)
        for place in places:
            for key in notice.keys:
                async with self._turns:
                    received = await self._ask(place.originals, key, went=notice.kind is Kind.WENT)
                log.info(
                    "bucket_notice",
                    outcome=received.upshot,
                    store=place.originals.store_name,
                    key=key,
                    detail=received.detail,
                )
                if received.upshot not in _NOTHING_THERE:
                    return received.upshot
                last = received if last.upshot is not Upshot.GONE else last
        return last.upshot

    async def _ask(self, originals: Originals, key: ObjectKey, *, went: bool) -> Received:
        async with self.connect() as conn:
            upload = await direct_uploads.of_key(conn, originals.store_name, key)
        try:
            if upload is not None:
                return await self._complete(originals, upload)
            return await originals.receive(self.connect, key)
        except AccessDenied as error:
            if not (went or error.keys_known):
                raise
            # keys that may not list are told so of what is not there: asking again would not end
            return Received(Upshot.GONE, error.message)

    async def _complete(self, originals: Originals, upload: DirectUpload) -> Received:
        """Complete the upload if its bytes are whole in the store; parts that nobody has joined are its client's.

        Whoever completes it just now is not waited for: a server may tell of an object while it still answers the
        request that made it, ours.
        """
        if upload.busy_until is not None and upload.busy_until > datetime.now(UTC):
            return Received(Upshot.UNDER_WAY, upload.asset_id)
        try:
            await originals.ask(upload.object_key)
            completed = await self.completion.complete(Ref(upload.upload_id, upload.owner, upload.team))
        except (ObjectNotFound, UploadIncomplete, UploadChanged, UploadBusy, UploadClosed, UploadNotFound):
            return Received(Upshot.UNDER_WAY, upload.asset_id)
        except (UploadTooLarge, UploadTypeRefused, ChecksumMismatch) as error:
            return Received(Upshot.REFUSED, error.message)
        except MediaplaneError as error:
            log.warning("upload_not_completed", upload=upload.upload_id, error=error.message)
            raise
        return Received(Upshot.COMPLETED, completed.asset_id)
