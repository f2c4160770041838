"""The same bytes that came another way: what neither a digest nor an etag tells is compared.

An etag depends on how an object was written (its parts) and where. So an original with as many bytes, which hardly ever
has other ones, is worth reading once.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mediaplane.access.registration import Candidate
from mediaplane.catalog.direct_uploads import Lookalike
from mediaplane.errors import MediaplaneError
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.open import OpenStore
from mediaplane.storage.store import ObjectStore


async def compare(stores: Mapping[str, OpenStore], candidate: Candidate, others: Sequence[Lookalike]) -> Candidate:
    """Return the candidate with its digest, and with its twin if one of the others has the same bytes.

    Raises:
        StorageError, AccessDenied: the upload cannot be read. An original that cannot be read is no twin.
    """
    found = candidate.found
    digest = found.digest or await _digest(stores[candidate.upload.store].store, found.info.key)
    twin = None
    for other in others:
        readable = other.store in stores and not other.is_told
        if readable and await _is_same(stores[other.store].store, ObjectKey(other.key), digest):
            twin = other.asset_id
            break
    compared = candidate.compared | {other.asset_id for other in others}
    return replace(candidate, found=replace(found, digest=digest), twin=twin, compared=compared)


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
