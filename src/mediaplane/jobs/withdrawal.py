"""An upload that nobody goes on with is taken back: parts in the store, asset, object and bytes.

It was marked `aborted` before, so that nothing can complete it meanwhile; whoever is cut off here leaves the rest to
the sweeper, which does the same again.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from mediaplane.catalog import assets
from mediaplane.catalog.direct_uploads import DirectUpload
from mediaplane.errors import AssetNotFound
from mediaplane.postgres import Connection
from mediaplane.storage.intake import Intake

Connect = Callable[[], AbstractAsyncContextManager[Connection]]


async def withdraw(connect: Connect, intakes: Mapping[str, Intake], upload: DirectUpload) -> None:
    """Remove all that an aborted upload left; a second time is no error.

    Raises:
        StorageError: the store failed; nothing is forgotten.
        AccessDenied: the store refused.
    """
    if upload.store_ref is not None:
        await intakes[upload.store].abort(upload.object_key, upload.store_ref)
    async with connect() as conn, conn.transaction():
        try:
            await assets.delete(conn, upload.asset_id, owner=upload.owner)  # the upload's row goes with it
        except AssetNotFound:
            return
