"""Where a bucket is and with which keys it is opened: one value for the store, its signer and its bucket settings."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from mediaplane.errors import SettingInvalid
from mediaplane.settings import Settings
from mediaplane.storage.providers import Provider, find_provider

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with, as it is now."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expires: datetime | None = None  # aware; None: they do not end


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """One bucket on one S3-compatible endpoint, with the keys to it."""

    url: str  # http(s)://host[:port], without the bucket
    bucket: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"
    session_token: str = ""
    session_expires: datetime | None = None  # aware; None: the keys do not end
    virtual_host: bool = False  # the bucket stands in the host name, not in the path
    ca_file: str = ""  # PEM, trusted beside the system's authorities
    provider_name: str = ""  # of `providers.py`; empty: found by the host name

    @property
    def provider(self) -> Provider:
        """Return what the provider of this endpoint can do."""
        return find_provider(self.url, self.provider_name)

    def keys(self) -> Keys:
        """Return the keys to sign with now; ask again for each request, they may be renewed."""
        return Keys(self.access_key_id, self.secret_access_key, self.session_token, self.session_expires)

    @property
    def origin(self) -> str:
        """Return scheme and host that requests for objects go to, e.g. `https://bucket.host`."""
        return f"{urlsplit(self.url).scheme}://{self.host}"

    @property
    def host(self) -> str:
        """Return the `Host` header of requests for objects; clients leave a default port out of it."""
        parts = urlsplit(self.url)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
        return f"{self.bucket}.{name}{port}" if self.virtual_host else f"{name}{port}"

    @property
    def base_path(self) -> str:
        """Return the path that stands before every quoted key: `/bucket/` or `/`."""
        path = urlsplit(self.url).path.rstrip("/")
        return f"{path}/" if self.virtual_host else f"{path}/{self.bucket}/"


def read_endpoint(settings: Settings) -> S3Endpoint:
    """Return the endpoint of the settings.

    Raises:
        SettingInvalid: keys are missing, S3_SESSION_EXPIRES is no time, or S3_CA_FILE is no file.
    """
    endpoint = S3Endpoint(
        url=settings.s3_endpoint,
        bucket=settings.s3_bucket,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
        region=settings.s3_region,
        session_token=settings.s3_session_token,
        session_expires=_read_time(settings.s3_session_expires),
        virtual_host=settings.s3_addressing == "virtual",
        ca_file=settings.s3_ca_file,
    )
    for name, value in (
        ("S3_ENDPOINT", endpoint.url),
        ("S3_ACCESS_KEY_ID", endpoint.access_key_id),
        ("S3_SECRET_ACCESS_KEY", endpoint.secret_access_key),
    ):
        if not value:
            raise SettingInvalid(name, "must be set to use an S3 endpoint of your own")
    if endpoint.ca_file and not Path(endpoint.ca_file).is_file():
        raise SettingInvalid("S3_CA_FILE", f"there is no file {endpoint.ca_file}")
    return endpoint


def _read_time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingInvalid("S3_SESSION_EXPIRES", f"must be a time like 2030-01-31T12:00:00Z, not {text!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
