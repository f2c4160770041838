"""Sweeping: finishes or undoes what a killed process left half done, and removes what has expired."""

from collections.abc import Mapping
from datetime import timedelta

from mediaplane.catalog import assets, clips, direct_uploads, idempotency, objects, uploads
from mediaplane.errors import AssetNotFound, MediaplaneError
from mediaplane.jobs.arrivals import Advance
from mediaplane.jobs.withdrawal import Connect, withdraw
from mediaplane.logs import Logger
from mediaplane.postgres import Connection
from mediaplane.storage.intake import Intake

UPLOAD_SILENCE = timedelta(minutes=5)
FORGOTTEN_AFTER = timedelta(hours=1)
STALLED_AFTER = timedelta(seconds=30)
ENDED_UPLOADS_KEPT = timedelta(days=30)
ANSWERS_KEPT = timedelta(days=1)
log = Logger(__name__)


async def sweep_uploads(conn: Connection) -> None:
    """Undo uploads whose writer died: the asset goes, and with it the object and its bytes."""
    async with conn.transaction():
        abandoned = await uploads.find_abandoned(conn, silence=UPLOAD_SILENCE)
        for upload in abandoned:
            try:
                await assets.delete(conn, upload.asset_id, owner=upload.owner)
            except AssetNotFound:
                continue
            log.info("upload_swept", upload=upload.upload_id, asset=upload.asset_id)


async def sweep_intents(conn: Connection) -> None:
    """Undo intents to write that nobody will finish."""
    if undone := await objects.delete_forgotten(conn, age=FORGOTTEN_AFTER):
        log.info("intents_swept", objects=undone)


async def resume_stalled(conn: Connection, advance: Advance) -> None:
    """Plan anew for assets in processing for which nothing waits or runs."""
    for asset_id in await assets.find_stalled(conn, age=STALLED_AFTER):
        async with conn.transaction():
            await advance(conn, asset_id)
        log.info("stalled_asset_planned_anew", asset=asset_id)


async def remove_expired_clips(conn: Connection) -> None:
    """Remove clips whose time has come, row and bytes."""
    if removed := await clips.delete_expired(conn):
        log.info("clips_expired", clips=removed)


async def sweep_abandoned(connect: Connect, intakes: Mapping[str, Intake], *, silence: timedelta) -> None:
    """Take back clients' uploads that nobody went on with, and those whose end was cut off: parts, rows and bytes."""
    async with connect() as conn:
        silent = await direct_uploads.abort_silent(conn, silence=silence)
        aborted = await direct_uploads.aborted(conn)
    if silent:
        log.info("uploads_abandoned", uploads=silent)
    for upload in aborted:
        try:
            await withdraw(connect, intakes, upload)
        except MediaplaneError as error:  # its store is away, or not configured any more: the others go on
            log.warning("upload_not_withdrawn", upload=upload.upload_id, error=error.message)


async def forget_ended_uploads(conn: Connection) -> None:
    """Forget uploads and answers that nobody asks for again."""
    await direct_uploads.prune(conn, age=ENDED_UPLOADS_KEPT)
    await idempotency.prune(conn, age=ANSWERS_KEPT)
