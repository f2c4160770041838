"""Places that bulk transfer works on: `s3://bucket/key`, local paths, `-`; and which endpoint a bucket is on."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from mediaplane.embedded.running import find_running, follow
from mediaplane.errors import InvalidPlace, SettingInvalid
from mediaplane.media.keys import MAX_KEY_BYTES
from mediaplane.settings import Settings, load_settings
from mediaplane.storage.endpoint import S3Endpoint, endpoint_url, read_endpoint

SCHEME = "s3://"
STREAM = "-"  # standard input or output
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_OF_SOURCE = tuple(f"SOURCE_{name}_" for name in ("S3", "R2", "AWS", "MEDIAPLANE"))  # SOURCE_DATE_EPOCH is none of ours
_WILD = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class S3Place:
    """A key, a prefix or a whole bucket (`key` empty), as it was written."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A file or directory, as it was written; `is_directory` where it was written with a `/` at the end."""

    path: Path
    is_directory: bool = False

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Standard input as a source, standard output as a target."""

    def __str__(self) -> str:
        return STREAM


Place = S3Place | LocalPlace | StreamPlace


def read_place(text: str | Path) -> Place:
    """Return the place that `text` names.

    Raises:
        InvalidPlace: it is empty, or names no bucket S3 could have, or a key that is too long.
    """
    written = os.fspath(text)
    if written == STREAM:
        return StreamPlace()
    if written.lower().startswith(SCHEME):
        return _read_s3(written)
    if not written or "\0" in written:
        raise InvalidPlace("a place is s3://bucket/key, a local path, or - for standard input or output")
    return LocalPlace(Path(written), is_directory=written.endswith(("/", os.sep)))


def read_bucket(text: str) -> S3Place:
    """Return a place that must be on S3.

    Raises:
        InvalidPlace: it is none.
    """
    place = read_place(text)
    if not isinstance(place, S3Place):
        raise InvalidPlace(f"{text!r} is not on S3: write s3://bucket/key")
    return place


def _read_s3(written: str) -> S3Place:
    bucket, _, key = written[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidPlace(f"{written!r} names no bucket: write s3://bucket/key")
    if len(key.encode("utf-8", "surrogateescape")) > MAX_KEY_BYTES:
        raise InvalidPlace(f"{written[:60]!r}…: a key has at most {MAX_KEY_BYTES} bytes")
    return S3Place(bucket, key)


def any_on_s3(places: Iterable[str]) -> bool:
    """Return whether any of the places is on S3, so that an endpoint is needed."""
    return any(place.lower().startswith(SCHEME) for place in places)


def has_wildcard(text: str) -> bool:
    """Return whether `*` or `?` stands in the text; `[` is no wildcard, names of recordings are full of it."""
    return bool(_WILD.search(text))


def fixed_part(text: str) -> str:
    """Return what stands before the first wildcard, up to and with the last `/`: what names are relative to."""
    found = _WILD.search(text)
    before = text[: found.start()] if found else text
    return before[: before.rfind("/") + 1]


def literal_prefix(text: str) -> str:
    """Return all that stands before the first wildcard: what is listed."""
    found = _WILD.search(text)
    return text[: found.start()] if found else text


def as_folder(key: str) -> str:
    """Return a key as the prefix of what lies below it."""
    return key if not key or key.endswith("/") else f"{key}/"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Which endpoint, with which keys, a bucket is on."""

    settings: Settings
    url: str = ""  # in place of the settings' endpoints

    def of(self, bucket: str) -> S3Endpoint:
        """Return the endpoint of a bucket: that of the store whose bucket it is, else the default one.

        Raises:
            SettingInvalid: no endpoint or no keys are set.
        """
        if not self.url:
            for store in self.settings.stores:
                if (store.bucket or self.settings.s3_bucket) == bucket and endpoint_url(self.settings, store):
                    return read_endpoint(self.settings, store.name)
        endpoint = read_endpoint(self.settings)
        return replace(endpoint, bucket=bucket, url=self.url or endpoint.url)


def find_endpoints(settings: Settings | None = None, *, url: str = "") -> Endpoints:
    """Return the endpoints of the settings; where those name none, of the running `mediaplane up`.

    Raises:
        NotRunning: nothing is set and nothing runs.
        SettingInvalid: a setting or `url` is wrong.
    """
    found = settings or load_settings()
    if url:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SettingInvalid("--endpoint-url", f"must begin with http:// or https://, not {url!r}")
        return Endpoints(replace(found, s3_endpoint=url.rstrip("/")), url.rstrip("/"))
    if not any(endpoint_url(found, store) for store in found.stores):
        found = follow(found, find_running(found.state_dir))
    return Endpoints(found)


def source_settings(environ: Mapping[str, str]) -> Settings | None:
    """Return the settings of a source with an endpoint of its own (`SOURCE_S3_ENDPOINT`, …); None: it has none.

    Raises:
        SettingInvalid: one of them is wrong.
    """
    own = {
        name.removeprefix("SOURCE_"): value for name, value in environ.items() if name.startswith(_OF_SOURCE) and value
    }
    return load_settings({**environ, **own}) if own else None
