"""Asking for a clip: the row and the run that makes it, once for the same cut."""

from mediaplane.catalog import assets, clips
from mediaplane.catalog.clips import Clip
from mediaplane.catalog.runs import NewRun
from mediaplane.errors import InvalidRange
from mediaplane.jobs.queue import enqueue
from mediaplane.media.ids import new_id
from mediaplane.media.timecodes import format_timecode
from mediaplane.pipeline.flow import VERSIONS, digest_of
from mediaplane.postgres import Connection
from mediaplane.settings import Settings

CLIP_PRIORITY = 100  # somebody is waiting for it


async def request_clip(
    conn: Connection,
    settings: Settings,
    asset_id: str,
    *,
    start_ms: int,
    end_ms: int,
    mode: str,
    padding_ms: int,
    owner: str | None = None,
    team: str | None = None,
) -> Clip:
    """Return the clip of this cut, asked for anew or made already; padding is added and held within the asset.

    Raises:
        AssetNotFound: there is no such asset, or it is not the owner's, or the team's, where those are given.
        InvalidRange: the range is empty, or lies outside the asset.
    """
    async with conn.transaction():
        asset = await assets.lock(conn, asset_id)
        await assets.get(conn, asset_id, owner, team)
        duration_ms = asset.duration_ms
        if duration_ms is None:
            raise InvalidRange(f"{asset_id} cannot be cut yet: it is {asset.status}")
        if not 0 <= start_ms < min(end_ms, duration_ms):
            raise InvalidRange(
                f"{format_timecode(start_ms)} to {format_timecode(end_ms)} is no range of {asset_id}, "
                f"which is {format_timecode(duration_ms)} long"
            )
        clip = await clips.request(
            conn,
            clip_id=new_id(),
            asset_id=asset_id,
            mode=mode,
            t_start_ms=max(0, start_ms - padding_ms),
            t_end_ms=min(duration_ms, end_ms + padding_ms),
            expiry=settings.clip_expiry,
        )
        if clip.status == "processing":
            await enqueue(conn, [_run_for(clip, asset.digest)])
    return clip


def _run_for(clip: Clip, digest: str | None) -> NewRun:
    params = {"mode": clip.mode, "t_start_ms": clip.t_start_ms, "t_end_ms": clip.t_end_ms}
    return NewRun(
        asset_id=clip.asset_id,
        owner=clip.owner,
        team=clip.team,
        stage="clip",
        subject=clip.clip_id,
        params=params,
        priority=CLIP_PRIORITY,
        # asked for late in its life it is cut anew, although nothing else has changed
        inputs_digest=digest_of("clip", VERSIONS["clip"], digest, {**params, "until": str(clip.expires_at)}),
    )
