"""The stores of this process by name: `local` always (a directory costs nothing), `s3` where it has an endpoint.

The mode decides where to write; a row says where its bytes are, so both stay readable whatever the mode.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mediaplane.media.keys import ObjectKey
from mediaplane.settings import Settings
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.local import LocalStore
from mediaplane.storage.s3 import S3Store
from mediaplane.storage.signing import LinkSigner, S3Signer
from mediaplane.storage.store import ObjectStore, Signer


@dataclass(frozen=True, slots=True)
class OpenStore:
    """One store with what belongs to it."""

    name: str
    store: ObjectStore
    signer: Signer
    long_signer: Signer  # for whoever reads on and on: players of long recordings, and ffmpeg
    source_url: Callable[[ObjectKey], str]  # what ffmpeg reads: a signed URL, or an absolute path


def open_stores(
    settings: Settings, *, public_url: str, signing_key: str, s3: S3Endpoint | None
) -> dict[str, OpenStore]:
    """Return the stores by name; `s3` comes from `read_endpoint`, None leaves that store out.

    Raises:
        SettingInvalid: the signing key is empty.
        StorageError: the S3 endpoint cannot be used as it is written.
    """
    lifetimes = [timedelta(minutes=minutes) for minutes in (settings.link_minutes, settings.playback_minutes)]
    directory = LocalStore(Path(settings.local_dir) if settings.local_dir else settings.state_dir / "media")
    short_link, long_link = (LinkSigner(public_url, "local", signing_key, lifetime=lifetime) for lifetime in lifetimes)
    stores = {"local": OpenStore("local", directory, short_link, long_link, lambda key: str(directory.path(key)))}
    if s3 is not None:
        short, long = (S3Signer(s3, lifetime=lifetime) for lifetime in lifetimes)
        stores["s3"] = OpenStore("s3", S3Store(s3), short, long, long.sign_get)
    return stores
