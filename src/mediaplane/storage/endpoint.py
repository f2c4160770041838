"""Where a bucket is and with which keys it is opened: one value for the store, its signer and its bucket settings."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mediaplane.errors import SettingInvalid
from mediaplane.storage.credentials import Keys, RoleKeys, read_keys
from mediaplane.storage.providers import Provider, find_provider, find_region

if TYPE_CHECKING:  # a script that has its endpoint does not wait for what reads profiles
    from mediaplane.profile import StoreSettings
    from mediaplane.settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}


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
    role: RoleKeys | None = None  # where keys come from that are renewed; the fields for keys are empty then

    @property
    def provider(self) -> Provider:
        """Return what the provider of this endpoint can do."""
        return find_provider(self.url, self.provider_name)

    def keys(self) -> Keys:
        """Return the keys to sign with now; ask again for each request, they may be renewed.

        Raises:
            SettingInvalid: they were to come from the machine's role, which has none.
            StorageError: the machine did not answer.
        """
        if self.role:
            return self.role.keys()
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


def endpoint_url(settings: "Settings", store: "StoreSettings") -> str:
    """Return where the store's bucket is; empty where nothing says so."""
    return store.endpoint or settings.s3_endpoint


def find_store(settings: "Settings", name: str = "") -> "StoreSettings":
    """Return the store of this name, without one the default store.

    Raises:
        SettingInvalid: the profile has no such store.
    """
    wanted = name or settings.placement["default"]
    for store in settings.stores:
        if store.name == wanted:
            return store
    known = ", ".join(store.name for store in settings.stores)
    raise SettingInvalid("MEDIAPLANE_PROFILE", f"{settings.profile} has no store {wanted}; it has {known}")


def read_endpoint(settings: "Settings", name: str = "") -> S3Endpoint:
    """Return the endpoint of a store, without a name of the default store.

    Raises:
        SettingInvalid: keys are missing, S3_SESSION_EXPIRES is no time, S3_CA_FILE is no file, or there is no such
            store.
    """
    store = find_store(settings, name)
    url = endpoint_url(settings, store)
    if not url:
        raise SettingInvalid("S3_ENDPOINT", "must be set to use an S3 endpoint of your own")
    provider_name = _of_endpoint(settings, store, "provider")
    provider = find_provider(url, provider_name)
    bucket = store.bucket or settings.s3_bucket
    endpoint = S3Endpoint(
        url=url,
        bucket=bucket,
        region=_of_endpoint(settings, store, "region") or find_region(provider, url),
        virtual_host=_is_virtual(_of_endpoint(settings, store, "addressing"), provider, url, bucket),
        ca_file=settings.s3_ca_file,
        provider_name=provider.name,
        access_key_id="",
        secret_access_key="",
    )
    endpoint = _with_keys(endpoint, read_keys(settings, store, provider))
    if endpoint.ca_file and not Path(endpoint.ca_file).is_file():
        raise SettingInvalid("S3_CA_FILE", f"there is no file {endpoint.ca_file}")
    return endpoint


def _of_endpoint(settings: "Settings", store: "StoreSettings", name: str) -> str:
    """Return what holds for the store's endpoint; the S3_* settings are about S3_ENDPOINT alone."""
    own = getattr(store, name)
    return str(own or ("" if store.endpoint else getattr(settings, f"s3_{name}")))


def _is_virtual(addressing: str, provider: Provider, url: str, bucket: str) -> bool:
    if addressing in ("path", "virtual"):
        return addressing == "virtual"
    # a wildcard certificate covers one label: `a.b.s3.example.com` would not be trusted
    return provider.virtual_host and not ("." in bucket and url.startswith("https:"))


def _with_keys(endpoint: S3Endpoint, keys: Keys | RoleKeys) -> S3Endpoint:
    if isinstance(keys, RoleKeys):
        return replace(endpoint, role=keys)
    return replace(
        endpoint,
        access_key_id=keys.access_key_id,
        secret_access_key=keys.secret_access_key,
        session_token=keys.session_token,
        session_expires=keys.expires,
    )
