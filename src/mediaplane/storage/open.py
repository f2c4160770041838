"""The stores of this process by name: a directory for each always (it costs nothing), its bucket where it can be.

The mode decides where to write; a row says where its bytes are, so all stay readable whatever the mode.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mediaplane.errors import SettingInvalid, StorageError
from mediaplane.media.keys import ObjectKey
from mediaplane.profile import StoreSettings
from mediaplane.settings import Settings
from mediaplane.storage.cdn import CdnKey, CdnSigner, read_cdn_keys
from mediaplane.storage.endpoint import S3Endpoint, endpoint_url, read_endpoint
from mediaplane.storage.intake import Intake
from mediaplane.storage.links import LinkSigner
from mediaplane.storage.local import LocalStore
from mediaplane.storage.local_intake import open_local_intake
from mediaplane.storage.public import PublicSigner
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.s3_intake import S3Intake
from mediaplane.storage.signing import S3Signer
from mediaplane.storage.store import ObjectStore, Signer


@dataclass(frozen=True, slots=True)
class OpenStore:
    """One store with what belongs to it."""

    name: str
    store: ObjectStore
    signer: Signer
    long_signer: Signer  # for whoever reads on and on: players of long recordings, and ffmpeg
    source_url: Callable[[ObjectKey], str]  # what ffmpeg reads: a signed URL, or an absolute path
    media_url: Callable[[ObjectKey], str]  # what rows elsewhere may keep: s3://bucket/key, or an absolute path
    intake: Intake  # for clients that write straight to the store
    endpoint: S3Endpoint | None = None  # None: a directory
    public: bool = False  # its URLs are not signed and never end


class Stores(dict[str, OpenStore]):
    """The open stores by name; asking for one that nobody describes any more says so."""

    def __missing__(self, name: str) -> OpenStore:
        raise StorageError(
            f"the bytes are in the store {name!r}, which neither profile nor environment describe: it was renamed, or "
            "its S3_ENDPOINT is not set",
            retryable=False,
        )


def open_stores(settings: Settings, *, public_url: str, signing_key: str) -> Stores:
    """Return the stores by name: each one's directory, and its bucket where an endpoint is known.

    Raises:
        SettingInvalid: the signing key is empty, or a store's settings do not fit together.
        StorageError: an endpoint cannot be used as it is written.
    """
    lifetimes = [timedelta(minutes=minutes) for minutes in (settings.link_minutes, settings.playback_minutes)]
    opened = [_open_directory(settings, StoreSettings("s3"), public_url, signing_key, lifetimes)]  # rows of old have it
    for store in settings.stores:
        if store.twin != "local":
            opened.append(_open_directory(settings, store, public_url, signing_key, lifetimes))
        if endpoint_url(settings, store):
            opened.append(_open_bucket(settings, store, lifetimes))
    return Stores({entry.name: entry for entry in opened})


def _open_directory(
    settings: Settings, store: StoreSettings, public_url: str, signing_key: str, lifetimes: list[timedelta]
) -> OpenStore:
    directory = LocalStore(_directory_of(settings, store))
    short, long = (LinkSigner(public_url, store.twin, signing_key, lifetime=lifetime) for lifetime in lifetimes)

    def path(key: ObjectKey) -> str:
        return str(directory.path(key))

    intake = open_local_intake(
        directory, public_url, store.twin, signing_key, lifetime=timedelta(minutes=settings.upload_minutes)
    )
    return OpenStore(store.twin, directory, short, long, source_url=path, media_url=path, intake=intake)


def _directory_of(settings: Settings, store: StoreSettings) -> Path:
    if own := store.local_dir or next((s.local_dir for s in settings.stores if s.twin == store.twin), ""):
        return Path(own)
    default = Path(settings.local_dir) if settings.local_dir else settings.state_dir / "media"
    return default if store.twin == "local" else default.with_name(f"{default.name}-{store.name}")


def _open_bucket(settings: Settings, store: StoreSettings, lifetimes: list[timedelta]) -> OpenStore:
    endpoint = read_endpoint(settings, store.name)
    own_short, own_long = (S3Signer(endpoint, lifetime=lifetime) for lifetime in lifetimes)
    short: Signer = own_short
    long: Signer = own_long
    public_url = store.public_url or settings.s3_public_url
    if store.tier == "public" and public_url:
        short, long = PublicSigner(public_url, own_short), PublicSigner(public_url, own_long)
    elif cdn_url := store.cdn_url or _only_cdn(settings):
        keys = _read_cdn_keys(settings, store)
        short = CdnSigner(cdn_url, store.name, keys, lifetime=lifetimes[0], writer=own_short)
        long = CdnSigner(cdn_url, store.name, keys, lifetime=lifetimes[1], writer=own_long)
    return OpenStore(
        store.name,
        S3Store(endpoint),
        short,
        long,
        source_url=own_long.sign_get,  # not the CDN's, which may still have an older object of the same key
        media_url=lambda key: f"s3://{endpoint.bucket}/{key}",
        intake=S3Intake(endpoint, lifetime=timedelta(minutes=settings.upload_minutes)),
        endpoint=endpoint,
        public=isinstance(short, PublicSigner),
    )


def _only_cdn(settings: Settings) -> str:
    """Return the CDN of the one store there is: an address stands for one bucket."""
    if settings.s3_cdn_url and len(settings.stores) > 1:
        raise SettingInvalid("S3_CDN_URL", "several stores cannot share it: give each its own `cdn_url` in the profile")
    return settings.s3_cdn_url


def _read_cdn_keys(settings: Settings, store: StoreSettings) -> tuple[CdnKey, ...]:
    try:
        return read_cdn_keys(store.cdn_keys or settings.s3_cdn_keys)
    except ValueError as error:
        raise SettingInvalid(store.sources.get("cdn_keys", "S3_CDN_KEYS"), str(error)) from error
