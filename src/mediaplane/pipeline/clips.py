"""Asking for a clip: the row and the run that makes it, once for the same cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from mediaplane.catalog import assets, clips, progress
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.clips import Clip
from mediaplane.catalog.quotas import Quotas
from mediaplane.catalog.runs import NewRun
from mediaplane.errors import InvalidRange, InvalidStyle
from mediaplane.jobs.queue import enqueue
from mediaplane.media.clip_names import PLAIN_STYLE, Style
from mediaplane.media.highlights import Highlights
from mediaplane.media.ids import new_id
from mediaplane.media.quotas import read_plans
from mediaplane.media.timecodes import format_timecode
from mediaplane.pipeline.flow import VERSIONS, digest_of
from mediaplane.postgres import Connection
from mediaplane.settings import Settings

CLIP_PRIORITY = 100  # somebody is waiting for it


@dataclass(frozen=True, slots=True)
class Named:
    """What a clip is called and how it is cut; `highlight` is its number in highlights.json, 0 by hand."""

    title: str = ""
    style: str = PLAIN_STYLE
    highlight: int = 0


BY_HAND = Named()


async def request_clip(
    conn: Connection,
    settings: Settings,
    asset_id: str,
    *,
    start_ms: int,
    end_ms: int,
    mode: str,
    padding_ms: int,
    named: Named = BY_HAND,
    owner: str | None = None,
    team: str | None = None,
) -> Clip:
    """Return the clip of this cut, asked for anew or made already; padding is added and held within the asset.

    A style with a shape of its own is always cut exactly: a copied stream keeps its picture.

    Raises:
        AssetNotFound: there is no such asset, or it is not the owner's, or the team's, where those are given.
        AssetNotReady: nothing is known of it yet, or it failed.
        InvalidRange: the range is empty, or lies outside the asset.
        InvalidStyle: there is no such style.
        QuotaExceeded: the asset's owner may not have more clips.
    """
    style, quotas = style_of(settings, named.style), Quotas(read_plans(settings.plans))
    async with conn.transaction():
        asset = await assets.lock(conn, asset_id)
        await assets.get(conn, asset_id, owner, team)
        duration_ms = await _duration(conn, asset)
        if not 0 <= start_ms < min(end_ms, duration_ms):
            raise InvalidRange(
                f"{format_timecode(start_ms)} to {format_timecode(end_ms)} is no range of {asset_id}, "
                f"which is {format_timecode(duration_ms)} long"
            )
        async with quotas.within(conn, asset.owner, asset.team):
            clip = await clips.request(
                conn,
                clip_id=new_id(),
                asset_id=asset_id,
                mode="exact" if style.aspect else mode,
                t_start_ms=max(0, start_ms - padding_ms),
                t_end_ms=min(duration_ms, end_ms + padding_ms),
                expiry=settings.clip_expiry,
                highlight=named.highlight,
                title=named.title,
                style=style.name,
            )
        if clip.status == "processing":
            await enqueue(conn, [_run_for(clip, asset.digest, style)])
    return clip


async def request_highlight_clips(
    conn: Connection,
    settings: Settings,
    asset_id: str,
    found: Highlights,
    *,
    numbers: Sequence[int] | None = None,
    style: str | None = None,
    mode: str = "exact",
    padding_ms: int = 0,
    owner: str | None = None,
    team: str | None = None,
) -> list[Clip]:
    """Return a clip of each highlight, or of those with these numbers (from 1): all of them or, failing, none.

    Each is cut in its own style, or all in the one that is given.

    Raises:
        AssetNotFound, AssetNotReady: as `request_clip`.
        InvalidRange: there is no highlight with the number.
        InvalidStyle: there is no such style.
    """
    moments = dict(enumerate(found.moments, start=1))
    if unknown := [number for number in numbers or () if number not in moments]:
        raise InvalidRange(f"there is no highlight {unknown[0]}: {asset_id} has {len(moments)}")
    made = []
    async with conn.transaction():
        for number in dict.fromkeys(moments if numbers is None else numbers):
            moment = moments[number]
            clip = await request_clip(
                conn,
                settings,
                asset_id,
                start_ms=moment.start_ms,
                end_ms=moment.end_ms,
                mode=mode,
                padding_ms=padding_ms,
                named=Named(moment.title, style or moment.style, number),
                owner=owner,
                team=team,
            )
            made.append(clip)
    return made


def style_of(settings: Settings, name: str) -> Style:
    """Return the style of this name.

    Raises:
        InvalidStyle: there is none.
    """
    for style in settings.clip_styles:
        if style.name == name:
            return style
    known = ", ".join(style.name for style in settings.clip_styles)
    raise InvalidStyle(f"clips are not cut in the style {name!r} here: the styles are {known} (CLIP_STYLES)")


async def _duration(conn: Connection, asset: Asset) -> int:
    if asset.duration_ms is None:
        if asset.kind == "image":
            raise InvalidRange(f"{asset.asset_id} is an image: there is nothing to cut")
        raise await progress.not_ready(conn, asset, "cut")
    return asset.duration_ms


def _run_for(clip: Clip, digest: str | None, style: Style) -> NewRun:
    params = {"mode": clip.mode, "t_start_ms": clip.t_start_ms, "t_end_ms": clip.t_end_ms}
    if style.aspect:
        params["aspect"] = [style.aspect.numerator, style.aspect.denominator]
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
