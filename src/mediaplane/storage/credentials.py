"""Keys to sign with: from settings, or from what the machine has, renewed before they end.

`RoleKeys` asks botocore's own chain (AWS files, web identity, container, instance), so that whatever works for other
tools there works here. The plain AWS_ACCESS_KEY_ID of a shell is not part of it: where it counts it is a setting.

Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mediaplane.errors import SettingInvalid, StorageError
from mediaplane.storage.providers import Provider

if TYPE_CHECKING:
    from mediaplane.profile import StoreSettings
    from mediaplane.settings import Settings

# Source: botocore, credentials.py: the chain asks for new keys this long before the old ones end.
RENEWED_BEFORE = timedelta(minutes=15)
# Held by whoever changes the AWS_* of this process for a moment (obstore reads them all), or has botocore read them.
AWS_VARIABLES = threading.Lock()


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with, as it is now."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expires: datetime | None = None  # aware; None: they do not end
    renewed: bool = False  # others take their place before they end


class RoleKeys:
    """The keys of this machine's role or files; asked for when first needed, safe for threads."""

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._session: Any = None
        self._boto3: Any = None
        self._found: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be what another process asks its machine for: keys that this one holds might end there."""
        return role_keys, (self._profile,)

    def keys(self) -> Keys:
        """Return the keys as they are now; asks the machine again when they are about to end.

        Raises:
            SettingInvalid: the machine has none.
            StorageError: it was asked and did not answer.
        """
        with AWS_VARIABLES:
            found = self._load()
            while True:  # other threads' clients share the credentials: these may be renewed while they are read
                frozen = self._asked(found.get_frozen_credentials)
                expires = getattr(found, "_expiry_time", None)
                if self._asked(found.get_frozen_credentials) == frozen:
                    break
        ends = expires.astimezone(UTC) if expires else None  # obstore takes no other zone
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or "", ends, renewed=ends is not None)

    def session(self) -> Any:
        """Return a boto3 session with these keys, for clients that renew them by themselves.

        Raises:
            SettingInvalid: the machine has none.
            StorageError: it was asked and did not answer.
        """
        import boto3

        with AWS_VARIABLES:
            self._load()
            if self._boto3 is None:
                self._boto3 = boto3.Session(botocore_session=self._session)
            return self._boto3

    def _load(self) -> Any:
        from botocore.exceptions import ConfigNotFound, InvalidConfigError, PartialCredentialsError, ProfileNotFound
        from botocore.session import Session

        if self._found is not None:
            return self._found
        session = Session(profile=self._profile or None)
        try:
            session.get_component("credential_provider").remove("env")
            found = self._asked(session.get_credentials)
        except (ConfigNotFound, InvalidConfigError, PartialCredentialsError, ProfileNotFound) as error:
            raise SettingInvalid("S3_CREDENTIALS", f"the AWS files cannot be used: {error}") from error
        if found is None:
            raise SettingInvalid(
                "S3_CREDENTIALS",
                "this machine has no keys: neither AWS files nor a role of an instance, container or web identity; "
                "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
            )
        self._session, self._found = session, found
        return found

    def _asked(self, ask: Callable[[], Any]) -> Any:
        from botocore.exceptions import ClientError, CredentialRetrievalError, HTTPClientError, MetadataRetrievalError

        try:
            return ask()
        except (ClientError, CredentialRetrievalError, HTTPClientError, MetadataRetrievalError, RuntimeError) as error:
            # RuntimeError: they have ended, and none came. What follows a brace is an answer, which may hold keys.
            problem = f"{error}".split("{", 1)[0].rstrip(": ")
            sentence = f"the machine's role gives no keys ({problem}); S3_CREDENTIALS says where keys come from"
            raise StorageError(sentence, retryable=True) from error


@lru_cache
def plain_session() -> Any:
    """Return a boto3 session for clients with keys of their own, which knows neither AWS files nor AWS_PROFILE.

    A section that is not there, named in a developer's shell, would else end every client's making.
    """
    import boto3
    from botocore.session import Session

    unset = (None, None, None, None)  # of configuration, of the environment, default, conversion
    names = {"profile": unset, "config_file": (None, None, os.devnull, None)}
    return boto3.Session(botocore_session=Session(session_vars=names))


@lru_cache
def role_keys(profile: str) -> RoleKeys:
    """Return this process's keys of the role: one object, so that all stores renew them once."""
    return RoleKeys(profile)


def read_keys(settings: "Settings", store: "StoreSettings", provider: Provider) -> Keys | RoleKeys:
    """Return the store's keys, its own or those of the settings, or the machine's role where that is meant.

    Raises:
        SettingInvalid: keys are missing; the message names the settings.
    """
    own = store.access_key_id or store.secret_access_key
    access_key_id = store.access_key_id if own else settings.s3_access_key_id
    secret_access_key = store.secret_access_key if own else settings.s3_secret_access_key
    if settings.s3_credentials == "role" and not own:
        return role_keys(settings.s3_profile)
    ambient = provider.name == "aws" or settings.s3_profile
    if settings.s3_credentials == "auto" and ambient and not (access_key_id or secret_access_key):
        return role_keys(settings.s3_profile)
    for name, value in (("S3_ACCESS_KEY_ID", access_key_id), ("S3_SECRET_ACCESS_KEY", secret_access_key)):
        if not value:
            raise SettingInvalid(
                name, "must be set to use an S3 endpoint of your own (or S3_CREDENTIALS=role, for the machine's keys)"
            )
    token = store.session_token if own else settings.s3_session_token
    expires = store.session_expires if own else settings.s3_session_expires
    return Keys(access_key_id, secret_access_key, token, read_time(expires))


def read_time(text: str) -> datetime | None:
    """Return an ISO 8601 time, without a zone as UTC; None for nothing.

    Raises:
        SettingInvalid: it is no time.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingInvalid("S3_SESSION_EXPIRES", f"must be a time like 2030-01-31T12:00:00Z, not {text!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
