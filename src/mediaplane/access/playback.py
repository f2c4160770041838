"""Playlists of one asset with signed segment URLs, and the URLs that lead to them.

Segments are fetched straight from the store: only playlists pass through the gateway.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from mediaplane.catalog import playback, progress, sprites
from mediaplane.catalog.assets import Asset
from mediaplane.catalog.playback import HlsSegment
from mediaplane.errors import AssetNotReady
from mediaplane.media import playlists, previews
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection
from mediaplane.storage.cdn import CdnSigner, shared_directory
from mediaplane.storage.store import Signer

MASTER = "index"  # the name of the master playlist, which no rendition may have


def playback_url(public_url: str, asset_id: str, token: str, start_ms: int = 0) -> str:
    """Return the URL of the asset's master playlist; it plays from `start_ms` on.

    The start stands in it twice: players of HLS read it from the playlist (`start`), pages and browsers from the
    fragment (Source: W3C Media Fragments URI, "temporal dimension").
    """
    url = f"{public_url}/v1/assets/{asset_id}/hls/{MASTER}.m3u8?token={token}"
    if start_ms <= 0:
        return url
    start = _seconds(start_ms / 1000)
    return f"{url}&start={start}#t={start}"


def frame_url(public_url: str, asset_id: str, token: str, timestamp_ms: int | None) -> str | None:
    """Return the URL of a kept frame, or None where there is no frame."""
    if timestamp_ms is None:
        return None
    return f"{public_url}/v1/assets/{asset_id}/frames/{timestamp_ms}.jpg?token={token}"


def preview_url(public_url: str, asset_id: str, token: str) -> str:
    """Return the URL of the scrubbing preview's WebVTT track."""
    return f"{public_url}/v1/assets/{asset_id}/thumbnails.vtt?token={token}"


def picture_url(public_url: str, asset_id: str, token: str, picture: str) -> str:
    """Return the URL of the asset's `poster.jpg`, `waveform.png` or `peaks.json`."""
    return f"{public_url}/v1/assets/{asset_id}/pictures/{picture}?token={token}"


async def master_playlist(conn: Connection, asset: Asset, *, token: str, start_s: float | None = None) -> str:
    """Return the master playlist; its URLs are relative and carry the token and the start on.

    The start itself stands in the media playlists alone: ffmpeg (9.0.2) takes a master playlist with EXT-X-START
    for a broken media playlist.

    Raises:
        AssetNotReady: nothing can be played yet.
    """
    found = await playback.renditions(conn, asset.asset_id)
    if not found:
        raise await _not_ready(conn, asset)
    query = f"token={token}" if start_s is None else f"token={token}&start={_seconds(start_s)}"
    return playlists.master_playlist(found, lambda name: f"{name}.m3u8?{query}")


async def media_playlist(
    conn: Connection, asset: Asset, rendition: str, *, signers: Mapping[str, Signer], start_s: float | None = None
) -> str:
    """Return the playlist of one rendition with signed URLs; while the asset is processed, of what is done so far.

    About 10 µs a segment, most of it the signature.

    Raises:
        AssetNotReady: nothing can be played yet, or there is no such rendition.
    """
    found = await playback.segments(conn, asset.asset_id, rendition)
    ready = asset.status == "ready"
    playable = found if ready else _without_holes(found)
    if not playable:
        raise await _not_ready(conn, asset)
    urls = _signed_urls(asset.asset_id, playable, signers)
    text = playlists.media_playlist(playable, lambda key: urls[key])
    return _starting_at(text if ready else _still_growing(text), start_s)


def _signed_urls(asset_id: str, segments: Sequence[HlsSegment], signers: Mapping[str, Signer]) -> dict[str, str]:
    """Sign each key once: an init section stands before every segment of its chunk.

    Behind a CDN that checks links, one permission is for all that lies in the asset's directory.
    """
    stores = {key: segment.store for segment in segments for key in (segment.init_key, segment.key)}
    urls: dict[str, str] = {}
    for store in dict.fromkeys(stores.values()):
        signer, keys = signers[store], [ObjectKey(key) for key, place in stores.items() if place == store]
        directory = shared_directory(keys, of=asset_id) if isinstance(signer, CdnSigner) else ""
        if isinstance(signer, CdnSigner) and directory:
            urls |= signer.sign_below(directory, keys)
        else:
            urls |= zip(keys, signer.sign_gets(keys), strict=True)
    return urls


async def preview_track(conn: Connection, asset: Asset, *, signers: Mapping[str, Signer]) -> str:
    """Return the WebVTT track of the scrubbing preview with signed URLs, of the chunks that are done.

    Raises:
        AssetNotReady: there are no small pictures: not yet, or never, as of sound alone.
    """
    sheets = await sprites.of_asset(conn, asset.asset_id)
    if not sheets:
        raise await _not_ready(conn, asset)
    last = sheets[-1]
    end_ms = last.first_ms + last.tiles * last.tile_ms
    end_ms = min(end_ms, asset.duration_ms) if asset.duration_ms else end_ms
    return previews.preview_track(sheets, end_ms, lambda sheet: signers[sheet.store].sign_get(ObjectKey(sheet.key)))


def _without_holes(segments: Sequence[HlsSegment]) -> Sequence[HlsSegment]:
    """Return what can be played from the beginning: chunks are finished in any order."""
    if not segments or segments[0].chunk != 0:
        return ()
    for place, (left, right) in enumerate(pairwise(segments), start=1):
        if right.chunk > left.chunk + 1:
            return segments[:place]
    return segments


def _still_growing(playlist: str) -> str:
    """Have players come back for the rest (Source: RFC 8216, sections 4.3.3.4 and 4.3.3.5)."""
    grown = playlist.replace("#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-PLAYLIST-TYPE:EVENT", 1)
    return grown.replace("#EXT-X-ENDLIST\n", "", 1)


def _starting_at(playlist: str, start_s: float | None) -> str:
    """Have players begin there (Source: RFC 8216, section 4.3.5.2); counted from the playlist's begin."""
    if start_s is None:
        return playlist
    return playlist.replace("#EXTM3U\n", f"#EXTM3U\n#EXT-X-START:TIME-OFFSET={_seconds(start_s)},PRECISE=YES\n", 1)


def _seconds(seconds: float) -> str:
    """Write a time to the millisecond, without what says nothing."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


async def _not_ready(conn: Connection, asset: Asset) -> AssetNotReady:
    if asset.status == "ready":
        return AssetNotReady(f"{asset.asset_id} has nothing to play under this name", retryable=False)
    return await progress.not_ready(conn, asset, "played")
