"""Originals that nobody announced: which keys are some, and what is done when somebody says that one is there.

The scanner and the notices of buckets both end here. What they say is a hint: the store is asked, and what it says
now is registered. Whoever comes second finds that nothing is new.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from mediaplane.catalog import objects, outbox
from mediaplane.catalog.objects import Object
from mediaplane.errors import AccessDenied, InvalidKey, ObjectNotFound, StorageError
from mediaplane.jobs.arrivals import Advance, Arrival, register
from mediaplane.jobs.withdrawal import Connect
from mediaplane.logs import Logger
from mediaplane.media.ids import derive_id
from mediaplane.media.keys import Layout, ObjectKey
from mediaplane.storage.store import ObjectInfo, ObjectStore

NO_KEY = "it is no key of an original in this layout"
NO_MEDIA = "by its name it is no recording"
OURS = "it was made here"
# Registered as application/… or, by some systems, as text (Qt's translations are .ts too).
_MEDIA_OF_OTHER_TYPES = (".mxf", ".ogg", ".ogv", ".rm", ".ts", ".mts", ".m2ts", ".swf", ".asf")
_TRIES = 5  # while somebody writes the same key again and again

log = Logger(__name__)


class Upshot(StrEnum):
    """What came of a hint."""

    REGISTERED = "registered"  # new, or with other bytes
    COMPLETED = "completed"  # an upload of a client, as if it had said so
    KNOWN = "known"
    UNDER_WAY = "under_way"  # an upload of ours that is still at work
    REFUSED = "refused"  # an upload whose bytes may not be taken
    MISSING = "missing"  # the catalog has it, the store has not
    GONE = "gone"  # neither has it
    LEAVING = "leaving"  # it was deleted here, and its bytes are about to go
    NO_ORIGINAL = "no_original"
    UNKNOWN_BUCKET = "unknown_bucket"
    IGNORED = "ignored"  # an event that concerns nobody here


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a hint about one key; `detail` is the asset's id, or why it is not taken."""

    upshot: Upshot
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Originals:
    """The originals of one store; what is found there belongs to whom its key names, or else to `owner`, and `team`."""

    store_name: str
    store: ObjectStore
    layout: Layout
    owner: str
    team: str
    advance: Advance
    beside: tuple[str, ...] = ()  # roles whose objects lie in the same bucket: where any path may be an original's

    def refusal(self, key: str) -> str | None:
        """Return why no original can have this key; None where one can."""
        fields = self.layout.read("original", key)
        if fields is None:
            return NO_KEY
        if "path" in fields and any(self.layout.read(role, key) for role in self.beside):
            return OURS
        if "path" in fields and not _may_be_media(key):
            return NO_MEDIA
        return None

    async def ask(self, key: ObjectKey) -> ObjectInfo:
        """Return what the store has at the key: by HEAD, or by a listing where the keys may do no more than list.

        Raises:
            ObjectNotFound: nothing is stored there.
            AccessDenied: refused; with `keys_known` the keys may not list, so that nothing may be there as well.
            StorageError: the store failed.
        """
        try:
            return await self.store.stat(key)
        except AccessDenied:
            info = await anext(aiter(self.store.walk(key)), None)
        if info is None or info.key != key:
            raise ObjectNotFound(key)
        return info

    async def receive(self, connect: Connect, key: ObjectKey) -> Received:
        """Ask the store what is at the key, and register it if that is news.

        What is registered is what the store had before and after: bytes that are replaced meanwhile are registered
        as what they have become. Costs two HEADs where something is new, else one.

        Raises:
            StorageError, AccessDenied: the store failed or refused; hint again.
        """
        if reason := self.refusal(key):
            return Received(Upshot.NO_ORIGINAL, reason)
        for _ in range(_TRIES):
            received = await self._receive_once(connect, key)
            if received.upshot is not Upshot.REGISTERED or await self._is_registered(connect, key):
                return received
        raise StorageError(f"{key}: it is written again and again", retryable=True)

    async def _receive_once(self, connect: Connect, key: ObjectKey) -> Received:
        # Asked before the store is: what is deleted in between is then either on the outbox, or gone from the store.
        async with connect() as conn:
            row = (await objects.known(conn, self.store_name, [key])).get(key)
            left_at = await outbox.left_at(conn, self.store_name, key)
        if row is not None and row.role != "original":
            return Received(Upshot.NO_ORIGINAL, OURS)
        if row is not None and row.state == "pending":
            return Received(Upshot.UNDER_WAY, row.asset_id)
        try:
            info = await self.ask(key)
        except ObjectNotFound:
            return self._not_there(key, row)
        if row is not None and (row.etag, row.size_bytes) == (info.etag, info.size_bytes):
            return Received(Upshot.KNOWN, row.asset_id)
        if left_at is not None and info.modified_at <= left_at:
            return Received(Upshot.LEAVING)
        return await self._register(connect, info, row)

    async def _register(self, connect: Connect, info: ObjectInfo, row: Object | None) -> Received:
        fields: Mapping[str, str] = self.layout.read("original", info.key) or {}
        asset_id = fields.get("asset_id") or (row.asset_id if row else derive_id(self.store_name, info.key))
        arrival = Arrival(
            store=self.store_name,
            info=info,
            asset_id=asset_id,
            owner=_owner_in(fields) or self.owner,
            team=self.team,
            title=asset_id if asset_id in info.key else info.key,
            content_type=mimetypes.guess_type(info.key)[0] or "application/octet-stream",
        )
        try:
            async with connect() as conn:
                is_new = await register(conn, arrival, self.advance)
        except InvalidKey as error:
            return Received(Upshot.NO_ORIGINAL, error.message)
        return Received(Upshot.REGISTERED if is_new else Upshot.KNOWN, asset_id)

    def _not_there(self, key: ObjectKey, row: Object | None) -> Received:
        if row is None:
            return Received(Upshot.GONE)
        log.warning("original_missing", store=self.store_name, key=key, asset=row.asset_id)
        return Received(Upshot.MISSING, row.asset_id)

    async def _is_registered(self, connect: Connect, key: ObjectKey) -> bool:
        """Return whether the store still has what was registered; what is gone by now is the next look's business."""
        async with connect() as conn:
            row = (await objects.known(conn, self.store_name, [key])).get(key)
        try:
            info = await self.ask(key)
        except ObjectNotFound:
            return True
        return row is None or (row.etag, row.size_bytes) == (info.etag, info.size_bytes)


def _owner_in(fields: Mapping[str, str]) -> str:
    """Return the owner that a key names; empty where it names none, or only a digest of one (`uid_of`)."""
    uid = fields.get("uid", "")
    return "" if "~" in uid else uid


def _may_be_media(key: str) -> bool:
    """Tell whether an original may have this name, where the layout leaves names to those who put files there.

    Cameras have extensions that nobody lists, so only what is known to be something else is left out.
    """
    if any(part.startswith(".") for part in key.split("/")):
        return False
    extension = PurePosixPath(key).suffix.lower()
    kind = (mimetypes.guess_type(f"x{extension}")[0] or "video").partition("/")[0]
    return kind in ("video", "audio") or extension in _MEDIA_OF_OTHER_TYPES
