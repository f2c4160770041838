"""Sweeping: finishes or undoes what a killed process left half done, and removes what has expired."""

from datetime import timedelta

import structlog

from mediaplane.catalog import assets, clips, objects, uploads
from mediaplane.errors import AssetNotFound
from mediaplane.jobs.arrivals import Advance
from mediaplane.postgres import Connection

UPLOAD_SILENCE = timedelta(minutes=5)
FORGOTTEN_AFTER = timedelta(hours=1)
STALLED_AFTER = timedelta(seconds=30)
log = structlog.get_logger(__name__)


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
