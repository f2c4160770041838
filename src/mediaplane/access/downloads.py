"""URLs of an asset's bytes: one object, the playlist, or the transcript, for who may have them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mediaplane.access.links import ends_at
from mediaplane.access.playback import playback_url
from mediaplane.catalog.downloads import PLAYBACK, TRANSCRIPT, Found, Wish
from mediaplane.media.filenames import download_name
from mediaplane.media.keys import ObjectKey
from mediaplane.media.transcripts import DEFAULT_FORMAT, FORMATS, TYPES
from mediaplane.storage.cdn import CdnSigner, shared_directory
from mediaplane.storage.open import OpenStore
from mediaplane.storage.store import Signer

PLAYLIST = "playlist"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


@dataclass(slots=True)  # not frozen: that makes one cost three times as much, and a call makes a thousand
class Issued:
    """A URL and what is behind it; `url` is null for what is not there, or not for the caller to see."""

    url: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    expires_at: datetime | None = None  # None: never, as those of public stores
    filename: str | None = None  # under which it is saved, where it was asked for as a download


NOTHING = Issued()


@dataclass(frozen=True, slots=True)
class Urls:
    """Makes the URLs of one deployment."""

    stores: Mapping[str, OpenStore]
    public_url: str
    make_token: Callable[[str], str]  # for one asset's playback

    def issue(self, found: Collection[tuple[Wish, Found]], *, download: bool, start_ms: int = 0) -> list[Issued]:
        """Return a URL for each; equal calls within a window give equal URLs. `NOTHING`: there is no such format.

        With `download` the answers behind them are saved under a file's name instead of being shown; what plays begins
        at `start_ms`.
        """
        shown = {} if download else self._sign_shown(found)
        ends: dict[tuple[str, str], datetime | None] = {}  # by signer: reading the end costs as much as signing
        issued = []
        for wish, row in found:
            if row.store in shown and wish.role != PLAYLIST:
                url, content_type, filename = next(shown[row.store]), row.content_type, None
            else:
                url, content_type, filename = self._sign(wish, row, download=download, start_ms=start_ms)
            if (signer := (row.store, wish.role)) not in ends:
                ends[signer] = ends_at(url)
            issued.append(Issued(url, content_type, row.size_bytes, ends[signer], filename) if url else NOTHING)
        return issued

    def _sign_shown(self, found: Collection[tuple[Wish, Found]]) -> dict[str, Iterator[str]]:
        """Return by store the URLs of the objects that are shown as they are, in order."""
        keys: dict[str, list[ObjectKey]] = defaultdict(list)
        for wish, row in found:
            if row.store and wish.role != PLAYLIST:
                keys[row.store].append(ObjectKey(row.key))
        return {store: iter(self.stores[store].signer.sign_gets(wanted)) for store, wanted in keys.items()}

    def _sign(self, wish: Wish, row: Found, *, download: bool, start_ms: int) -> tuple[str, str, str | None]:
        """Return URL, type and file name; no URL where there is no such format."""
        if not row.store:
            return self._sign_made(wish, row, download=download, start_ms=start_ms)
        opened, key = self.stores[row.store], ObjectKey(row.key)
        if wish.role == PLAYLIST:
            return _sign_playlist(opened.long_signer, key, wish.asset_id), row.content_type, None
        filename = download_name(row.title, role=wish.role, key=key, content_type=row.content_type)
        return opened.signer.sign_download(key, filename=filename), row.content_type, filename

    def _sign_made(self, wish: Wish, row: Found, *, download: bool, start_ms: int) -> tuple[str, str, str | None]:
        token = self.make_token(wish.asset_id)
        if wish.role == PLAYBACK:
            return playback_url(self.public_url, wish.asset_id, token, start_ms), PLAYLIST_TYPE, None
        kind = wish.name or DEFAULT_FORMAT
        if kind not in FORMATS:
            return "", "", None
        url = f"{self.public_url}/v1/assets/{wish.asset_id}/transcript.{kind}?token={token}"
        if not download:
            return url, TYPES[kind], None
        return f"{url}&download=true", TYPES[kind], transcript_name(row.title, kind)


def transcript_name(title: str, kind: str) -> str:
    """Return under which name a transcript is saved."""
    return download_name(title, role=TRANSCRIPT, key=f"transcript.{kind}", content_type=TYPES[kind])


def _sign_playlist(signer: Signer, key: ObjectKey, asset_id: str) -> str:
    """Return a link to a stored playlist which, behind a CDN that checks links, opens what it names beside itself."""
    directory = shared_directory([key], of=asset_id) if isinstance(signer, CdnSigner) else ""
    if isinstance(signer, CdnSigner) and directory:
        return signer.sign_below(directory, [key])[key]
    return signer.sign_get(key)
