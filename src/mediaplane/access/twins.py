"""The same bytes that came another way: what neither a digest nor an etag tells is compared.

An etag depends on how an object was written (its parts) and where. So an original with as many bytes, which hardly ever
has other ones, is worth reading once.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace

from mediaplane.access.verification import Verified
from mediaplane.catalog import direct_uploads
from mediaplane.catalog.direct_uploads import DirectUpload
from mediaplane.errors import MediaplaneError
from mediaplane.jobs.withdrawal import Connect
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.open import OpenStore
from mediaplane.storage.store import ObjectStore

LARGEST_BYTES = 1 << 30  # beyond it only a SHA-256 that the client gives, or an equal etag, tells
_LOOKALIKES = 3


async def find_twin(
    connect: Connect, stores: Mapping[str, OpenStore], upload: DirectUpload, found: Verified
) -> tuple[Verified, str | None]:
    """Return what was found, with its digest where it had to be read, and the asset whose original is the same.

    Raises:
        StorageError, AccessDenied: the upload cannot be read. An original that cannot be read is no twin.
    """
    size_bytes = found.info.size_bytes
    async with connect() as conn:
        likely = await direct_uploads.find_same_size(
            conn,
            owner=upload.owner,
            team=upload.team,
            size_bytes=size_bytes,
            not_asset_id=upload.asset_id,
            limit=_LOOKALIKES,
        )
    is_told = any((other.store, other.etag) == (upload.store, found.info.etag) for other in likely)
    if not likely or is_told or size_bytes > LARGEST_BYTES:
        return found, None
    digest = found.digest or await _digest(stores[upload.store].store, found.info.key)
    untold = [other for other in likely if other.store in stores and not (other.digest or "").startswith("sha256:")]
    for other in untold:
        if await _is_same(stores[other.store].store, ObjectKey(other.key), digest):
            return replace(found, digest=digest), other.asset_id
    return replace(found, digest=digest), None


async def _is_same(store: ObjectStore, key: ObjectKey, digest: str) -> bool:
    try:
        return await _digest(store, key) == digest
    except MediaplaneError:
        return False


async def _digest(store: ObjectStore, key: ObjectKey) -> str:
    sha256 = hashlib.sha256()
    async for chunk in store.read(key):
        await asyncio.to_thread(sha256.update, chunk)
    return f"sha256:{sha256.hexdigest()}"
