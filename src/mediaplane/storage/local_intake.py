"""`Intake` of a directory: the gateway takes what a bucket would take, at signed links.

Parts lie as files below the directory's unfinished files, `{ref}/{number}`, where no listing shows them.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from mediaplane.errors import ObjectNotFound, PartsInvalid
from mediaplane.media.ids import new_id
from mediaplane.media.keys import ObjectKey, check_key
from mediaplane.storage.intake import SIGNING_WINDOW, Checksums, Part, SignedPut, newest
from mediaplane.storage.links import LinkSigner
from mediaplane.storage.local import UNFINISHED, LocalStore
from mediaplane.storage.signing import SignedForm
from mediaplane.storage.store import Chunks, ObjectInfo

_BEGUN = "begun"  # the file that says an upload is open: without it a late part would be left behind


class LocalIntake:
    """Uploads into one directory; `signer` makes the links."""

    takes_forms = True
    proves: frozenset[str] = frozenset()
    writes_once = True

    def __init__(self, store: LocalStore, signer: LinkSigner) -> None:
        self._store = store
        self._parts = LocalStore(store.root / UNFINISHED / "parts")
        self.signer = signer

    def sign_put(
        self,
        key: ObjectKey,
        *,
        size_bytes: int,
        content_type: str,
        checksums: Checksums,  # noqa: ARG002 read back
    ) -> SignedPut:
        """Return a link, for what `take` writes."""
        url = self.signer.sign_put(key, size_bytes=size_bytes, content_type=content_type)
        return SignedPut(url, {"content-type": content_type})

    def sign_form(self, key: ObjectKey, *, largest_bytes: int, content_type: str) -> SignedForm:
        """Return a form that the gateway takes."""
        return self.signer.sign_form(key, largest_bytes=largest_bytes, content_type=content_type)

    def sign_part(self, key: ObjectKey, ref: str, *, number: int, size_bytes: int | None) -> str:
        """Return a link for one part."""
        return self.signer.sign_part(key, upload_ref=ref, number=number, size_bytes=size_bytes)

    async def take(self, key: ObjectKey, body: Chunks) -> ObjectInfo:
        """Write the object of one PUT, whole or not at all, and only once.

        Raises:
            AlreadyWritten: its bytes are there already.
            StorageError: the disk is full, or cannot be written. What `body` raises passes through.
        """
        return await self._store.create(key, body)

    async def begin(self, key: ObjectKey, *, content_type: str) -> str:  # noqa: ARG002 the row keeps it
        """Begin an upload in parts and return its reference.

        Raises:
            StorageError: the disk is full, or cannot be written.
        """
        ref = new_id()
        await self._parts.put(check_key(f"{ref}/{_BEGUN}"), _nothing(), content_type="")
        return ref

    async def take_part(self, key: ObjectKey, ref: str, number: int, body: Chunks) -> str:
        """Write one part, whole or not at all, and return its etag.

        Raises:
            ObjectNotFound: the upload was joined or aborted, perhaps while the part came.
            StorageError: the disk is full, or cannot be written. What `body` raises passes through.
        """
        await self._require_open(key, ref)
        place = check_key(f"{ref}/{number:05d}")
        info = await self._parts.put(place, body, content_type="")
        try:
            await self._require_open(key, ref)
        except ObjectNotFound:
            await self._parts.delete([place])
            raise
        return info.etag

    async def parts(self, key: ObjectKey, ref: str) -> list[Part]:
        """Return all parts that are there, by number.

        Raises:
            ObjectNotFound: the upload was joined or aborted.
        """
        await self._require_open(key, ref)
        found = [info async for info in self._parts.walk(f"{ref}/")]
        numbered = [(info.key.rpartition("/")[2], info) for info in found]
        return [
            Part(int(name), info.size_bytes, info.etag, info.modified_at) for name, info in numbered if name != _BEGUN
        ]

    async def join(self, key: ObjectKey, ref: str, parts: Sequence[Part]) -> None:
        """Write the object from these parts, then remove them.

        Raises:
            PartsInvalid: there are other parts than these.
            ObjectNotFound: the upload was joined or aborted.
            StorageError: the disk is full, or cannot be written.
        """
        there = newest(await self.parts(key, ref))
        if not parts or any(there.get(part.number) != part for part in parts):
            raise PartsInvalid("the store does not have these parts: ask which are there and send the rest")
        await self._store.put(key, self._joined(ref, parts), content_type="")
        await self.abort(key, ref)

    async def abort(self, key: ObjectKey, ref: str) -> None:  # noqa: ARG002 the reference says it all
        """Remove the upload's parts; one that has ended already is no error."""
        await self._parts.delete([check_key(f"{ref}/{_BEGUN}")])  # first: from now on no part is taken
        await self._parts.delete([info.key async for info in self._parts.walk(f"{ref}/")])

    def remove_unfinished(self) -> int:
        """Remove the files of parts whose writer was killed, and return how many those were."""
        return self._parts.remove_unfinished()

    async def _require_open(self, key: ObjectKey, ref: str) -> None:
        try:
            await self._parts.stat(check_key(f"{ref}/{_BEGUN}"))
        except ObjectNotFound:
            raise ObjectNotFound(key) from None

    async def _joined(self, ref: str, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            async for chunk in self._parts.read(check_key(f"{ref}/{part.number:05d}")):
                yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def open_local_intake(
    store: LocalStore, public_url: str, name: str, signing_key: str, *, lifetime: timedelta
) -> LocalIntake:
    """Return the intake of the directory that clients know as `name`; its links live `lifetime` at most.

    Raises:
        SettingInvalid: the signing key is empty.
    """
    window = SIGNING_WINDOW
    return LocalIntake(store, LinkSigner(public_url, name, signing_key, lifetime=lifetime - window, window=window))
