"""Direct uploads: a client gets signed URLs and writes its file straight to the store, never through us.

Intent rows come first, then URLs. A session survives whatever happens to the client: asked again, it tells which
parts the store has and signs fresh URLs for the rest. Nothing that a client names becomes part of a key unescaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mediaplane.access.beginning import Beginning, Known
from mediaplane.access.completion import Completion
from mediaplane.access.principals import Principal
from mediaplane.access.rules import Action, viewer
from mediaplane.access.submitting import admit, require_no_task
from mediaplane.access.together import Share
from mediaplane.access.verification import SaidPart
from mediaplane.access.wishes import Wish, key_fields
from mediaplane.catalog import direct_uploads
from mediaplane.catalog.direct_uploads import FORM, PARTS, PUT, DirectUpload, NewUpload, Ref
from mediaplane.errors import (
    MediaplaneError,
    ObjectNotFound,
    PartsInvalid,
    UploadClosed,
    UploadError,
    UploadTooLarge,
    UploadTypeRefused,
)
from mediaplane.jobs.withdrawal import Connect, withdraw
from mediaplane.logs import Logger
from mediaplane.media.ids import new_id
from mediaplane.media.keys import Layout
from mediaplane.media.types import is_allowed
from mediaplane.storage.intake import (
    MAX_PARTS,
    MAX_PUT_BYTES,
    SIGNING_WINDOW,
    Checksums,
    Part,
    SignedPut,
    newest,
    plan_part_bytes,
)
from mediaplane.storage.open import OpenStore
from mediaplane.storage.placement import Placement
from mediaplane.storage.signing import SignedForm

_WATCH_EVERY = 16  # parts: how often the sum is asked for where a client says no size

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Where one part goes; None: of any size."""

    number: int
    url: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What the store has of an open upload; `size_bytes` of all of it."""

    parts: tuple[Part, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DirectUploads:
    """Upload sessions of one principal's clients."""

    completion: Completion
    placement: Placement
    layout: Layout
    beginning: Beginning
    needs_task: bool = False  # of contributors

    def lent(self, connect: Connect, share: Share) -> "DirectUploads":
        """Return the same sessions on connections of somebody else."""
        return replace(self, completion=replace(self.completion, connect=connect, share=share))

    async def begin(self, principal: Principal, wish: Wish) -> DirectUpload | Known:
        """Open a session and return it, or which asset has these bytes already (known by the SHA-256 that was given).

        Raises:
            NotPermitted: the role may not upload.
            UploadTooLarge, UploadTypeRefused: the wish is beyond the limits.
            QuotaExceeded: it does not fit into what the owner may use.
            TaskError, NotFound, SubmissionError: it is for a task that does not take it, see `submitting.admit`.
            UploadError: the store does not take it this way.
            StorageError, AccessDenied: the store failed; nothing is left behind.
        """
        viewer(principal, Action.UPLOAD)
        asset_id = new_id()
        opened = self.completion.stores[self.placement.store_for(asset_id, "original")]
        self._admit(wish, opened)
        new = self._plan(principal, wish, asset_id, opened)
        if wish.task:
            begun = await self._begin_for_task(principal, wish, new)
        else:
            require_no_task(principal, wish, needs_task=self.needs_task)
            begun = await self.completion.share(self.beginning.begin_all, new)
        if isinstance(begun, DirectUpload) and begun.way == PARTS:
            return await self._begin_parts(begun, opened)
        return begun

    async def _begin_for_task(self, principal: Principal, wish: Wish, new: NewUpload) -> DirectUpload | Known:
        async with self.completion.connect() as conn, conn.transaction():
            target = await admit(conn, principal, wish)
            (begun,) = await self.beginning.begin_all(conn, [new])
            if isinstance(begun, Known):
                return Known(begun.asset_id, await target.submit_known(conn, begun.asset_id))
            return await target.attach(conn, begun)

    async def get(self, principal: Principal, upload_id: str) -> DirectUpload:
        """Return the principal's upload.

        Raises:
            NotPermitted: the role may not upload.
            UploadNotFound: there is none, or it is another's.
        """
        owner, team = _whose(principal)
        async with self.completion.connect() as conn:
            upload = await direct_uploads.get(conn, upload_id, owner=owner, team=team)
            await direct_uploads.touch(conn, upload_id)
        return upload

    async def page(self, principal: Principal, *, after: tuple[datetime, str] | None, limit: int) -> list[DirectUpload]:
        """Return the principal's open uploads, newest first.

        Raises:
            NotPermitted: the role may not upload.
        """
        owner, team = _whose(principal)
        async with self.completion.connect() as conn:
            return await direct_uploads.page(conn, owner=owner, team=team, after=after, limit=limit)

    async def ask(self, upload: DirectUpload) -> Progress:
        """Return what the store has of an open upload.

        Raises:
            StorageError, AccessDenied: the store failed.
        """
        opened = self._opened(upload)
        try:
            if upload.way != PARTS:
                return Progress((), (await opened.store.stat(upload.object_key)).size_bytes)
            if upload.store_ref is not None:
                parts = newest(await opened.intake.parts(upload.object_key, upload.store_ref)).values()
                return Progress(tuple(parts), sum(part.size_bytes for part in parts))
        except ObjectNotFound:
            pass  # nothing came yet; or the parts were joined, and whoever completes it will find the object
        return Progress((), 0)

    def sign_put(self, upload: DirectUpload) -> SignedPut:
        """Return where the whole file goes.

        Raises:
            UploadClosed: it has ended.
            UploadError: it goes in parts, or in a form.
        """
        _require_open(upload)
        if upload.way != PUT or upload.size_bytes is None:
            raise UploadError("this upload does not go in one PUT")
        checksums = Checksums((upload.digest or "").removeprefix("sha256:"), upload.md5 or "")
        return self._opened(upload).intake.sign_put(
            upload.object_key, size_bytes=upload.size_bytes, content_type=upload.content_type, checksums=checksums
        )

    def sign_form(self, upload: DirectUpload) -> SignedForm:
        """Return the form in which the whole file goes.

        Raises:
            UploadClosed: it has ended.
        """
        _require_open(upload)
        largest_bytes = upload.size_bytes or upload.most_bytes(self._largest_bytes(FORM))
        return self._opened(upload).intake.sign_form(
            upload.object_key, largest_bytes=largest_bytes, content_type=upload.content_type
        )

    def sign_parts(self, upload: DirectUpload, numbers: Sequence[int]) -> list[SignedPart]:
        """Return where these parts go, each bound to its size where that is known.

        Raises:
            UploadClosed: it has ended.
            PartsInvalid: there are no such parts.
        """
        _require_open(upload)
        if upload.way != PARTS or upload.store_ref is None:
            raise PartsInvalid("this upload does not go in parts")
        last = upload.part_count or MAX_PARTS
        if wrong := [number for number in numbers if not 1 <= number <= last]:
            raise PartsInvalid(f"there is no part {wrong[0]}: this upload has parts 1 to {last}")
        intake, signed = self._opened(upload).intake, []
        for number in numbers:
            size_bytes = upload.bytes_of_part(number)
            url = intake.sign_part(upload.object_key, upload.store_ref, number=number, size_bytes=size_bytes)
            signed.append(SignedPart(number, url, size_bytes))
        return signed

    async def watch_size(self, upload: DirectUpload, number: int) -> None:
        """Return if another part may follow, where the client cuts the file and so no URL is bound to a size.

        Asks the store now and then only; what slips through is refused when the upload is completed.

        Raises:
            UploadTooLarge: more has come than is taken.
        """
        if upload.part_bytes is None and number % _WATCH_EVERY == 0:
            size_bytes = (await self.ask(upload)).size_bytes
            largest_bytes = upload.size_bytes or upload.most_bytes(self.completion.largest_bytes)
            if size_bytes > largest_bytes:
                raise UploadTooLarge(f"{size_bytes} bytes came, at most {largest_bytes} are taken")

    async def complete(
        self, principal: Principal, upload_id: str, said: Sequence[SaidPart] | None = None
    ) -> DirectUpload:
        """Return the principal's upload, completed; see `Completion.complete`.

        Raises:
            NotPermitted: the role may not upload.
        """
        owner, team = _whose(principal)
        return await self.completion.complete(Ref(upload_id, owner, team), said)

    async def abort(self, upload: DirectUpload) -> None:
        """Give the upload up: parts and rows go now, or soon where the store does not answer.

        Raises:
            UploadClosed: it is complete: delete the asset instead.
        """
        async with self.completion.connect() as conn:
            if not await direct_uploads.abort(conn, upload.upload_id) and upload.state != "aborted":
                current = await direct_uploads.get(conn, upload.upload_id, owner=None, team=None)
                raise UploadClosed(f"the upload was {current.state} already")
        await self._withdraw(upload)

    def urls_expire_at(self) -> datetime:
        """Return until when URLs signed now are good at least."""
        return datetime.now(UTC) + self.completion.url_lifetime - SIGNING_WINDOW

    def missing_parts(self, upload: DirectUpload, progress: Progress) -> list[int]:
        """Return the numbers of the parts still to be sent; none where the client decides how many there are."""
        there = {part.number for part in progress.parts if part.size_bytes == upload.bytes_of_part(part.number)}
        return [number for number in range(1, (upload.part_count or 0) + 1) if number not in there]

    def _admit(self, wish: Wish, opened: OpenStore) -> None:
        """Return if the upload may begin, as far as no row is needed to tell.

        Raises:
            UploadTooLarge, UploadTypeRefused, UploadError: it may not.
        """
        if wish.way == FORM and not opened.intake.takes_forms:
            raise UploadError("this store takes no forms: upload in parts (in Uppy: shouldUseMultipart: true)")
        largest_bytes = self._largest_bytes(wish.way)
        if wish.size_bytes is not None and wish.size_bytes > largest_bytes:
            raise UploadTooLarge(f"a file of {wish.size_bytes} bytes is too large: at most {largest_bytes} are taken")
        if not is_allowed(wish.content_type, self.completion.types):
            taken = ", ".join(self.completion.types)
            raise UploadTypeRefused(f"files of type {wish.content_type} are not taken; those of {taken} are")

    def _plan(self, principal: Principal, wish: Wish, asset_id: str, opened: OpenStore) -> NewUpload:
        planned = wish.way == PARTS and wish.plans_parts
        return NewUpload(
            asset_id=asset_id,
            owner=principal.owner,
            team=principal.team,
            title=wish.title or wish.name,
            store=opened.name,
            key=self.layout.key("original", **key_fields(principal, wish, asset_id)),
            way=wish.way,
            name=wish.name,
            size_bytes=wish.size_bytes,
            digest=wish.digest,
            md5=wish.checksums.md5 or None,
            content_type=wish.content_type,
            part_bytes=plan_part_bytes(wish.size_bytes) if planned and wish.size_bytes else None,
            write_once=opened.intake.writes_once,
            reserved_bytes=self._largest_bytes(wish.way),
            urls_live=self.completion.urls_live,
        )

    def _largest_bytes(self, way: str) -> int:
        """Return the size of the largest file that goes in this way, whoever sends it."""
        return self.completion.largest_bytes if way == PARTS else min(self.completion.largest_bytes, MAX_PUT_BYTES)

    async def _begin_parts(self, upload: DirectUpload, opened: OpenStore) -> DirectUpload:
        """Begin the store's own session; a store that fails leaves nothing behind."""
        try:
            ref = await opened.intake.begin(upload.object_key, content_type=upload.content_type)
        except MediaplaneError:
            async with self.completion.connect() as conn:
                await direct_uploads.abort(conn, upload.upload_id)
            await self._withdraw(upload)
            raise
        async with self.completion.connect() as conn:
            return await direct_uploads.note_begun(conn, upload.upload_id, ref)

    async def _withdraw(self, upload: DirectUpload) -> None:
        intakes = {name: opened.intake for name, opened in self.completion.stores.items()}
        try:
            await withdraw(self.completion.connect, intakes, upload)
        except MediaplaneError as error:  # the sweeper does it again
            log.warning("upload_not_withdrawn_yet", upload=upload.upload_id, error=error.message)

    def _opened(self, upload: DirectUpload) -> OpenStore:
        return self.completion.stores[upload.store]


def _whose(principal: Principal) -> tuple[str, str | None]:
    """Return owner and team of the uploads the principal may use: the own ones, whatever the role.

    Raises:
        NotPermitted: the role may not upload.
    """
    viewer(principal, Action.UPLOAD)
    return principal.owner, None if principal.only_own else principal.team


def _require_open(upload: DirectUpload) -> None:
    if upload.state != "open":
        raise UploadClosed(f"the upload was {upload.state} already")
