"""What a profile says about a bucket: `[bucket]`, for one store amended by `[stores.NAME.bucket]`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mediaplane.errors import SettingInvalid
from mediaplane.media.keys import Layout

# What goes only with its asset: a playlist without its segments, or the reverse, plays nothing.
_NEVER_ALONE = ("segment", "playlist")
_LONGEST_DAYS = 36_500
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^\s/*]*\*?[^\s/*]*")
_ENCRYPTION = re.compile(r"|AES256|aws:kms(:\S+)?")
_COLD_CLASS = re.compile(r"(?!(GLACIER|DEEP_ARCHIVE)$)[A-Z0-9_]*")  # Source: Amazon S3 User Guide, storage classes
_EVENTS = re.compile(r"|eventbridge|http://[^\s@]+|https://\S+|arn:\S+")  # no password without TLS: Ceph refuses it


@dataclass(frozen=True, slots=True)
class BucketRules:
    """What one bucket is to be like; the defaults are those of a profile that says nothing."""

    managed: bool = True  # False: the bucket's own business; looked at, changed only when that is asked for
    cors_origins: tuple[str, ...] = ("*",)  # whose pages may read: every URL carries its own permission
    upload_origins: tuple[str, ...] = ("*",)  # whose pages may also write
    expire_days: Mapping[str, int] = field(default_factory=dict)  # by role of the layout, or by prefix (`temp/`)
    cold_days: Mapping[str, int] = field(default_factory=dict)  # the same: when it moves to `cold_class`
    cold_class: str = ""  # empty: the first colder class that the provider has
    unfinished_days: int = 7  # abandoned multipart uploads go after these; 0: left alone
    versioning: bool | None = None  # None: left as it is
    old_version_days: int = 30  # with versioning: how long what was deleted or overwritten is kept
    encryption: str = ""  # AES256, aws:kms or aws:kms:KEY; empty: left as it is
    access_logs: str = ""  # BUCKET/PREFIX that they are written to; empty: left as it is
    events: str = ""  # webhook URL, ARN or `eventbridge` that learns of new originals; empty: nobody
    keys: str = "roles"  # how `bucket policy` gives permissions: `roles`, or `objects` (one key, put, get and delete)


def read_rules(section: Mapping[str, Any], layout: Layout, *, where: str, clip_days: float = 0) -> BucketRules:
    """Return the rules of a profile's section; clips expire after `clip_days` unless it says otherwise.

    Raises:
        SettingInvalid: an entry is unknown or has a value it may not have; the message names it.
    """
    if unknown := sorted(set(section) - set(_READERS)):
        raise SettingInvalid(where, f"has unknown entries: {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, raw in section.items():
        try:
            values[name] = _READERS[name](raw)
        except ValueError as error:
            raise SettingInvalid(f"{where} {name}", str(error)) from error
    values.setdefault("upload_origins", values.get("cors_origins", ("*",)))
    if clip_days > 0 and "clip" in layout.templates:
        # whole days, as S3 counts them; the rows go on time by themselves
        values["expire_days"] = {"clip": math.ceil(clip_days), **values.get("expire_days", {})}
    for name in ("expire_days", "cold_days"):
        for subject in values.get(name, {}):
            _check_subject(subject, layout, f"{where}.{name}")
    return BucketRules(**values)


def _check_subject(subject: str, layout: Layout, where: str) -> None:
    if subject in _NEVER_ALONE:
        raise SettingInvalid(where, f"{subject} goes with its asset only")
    if not subject.endswith("/") and subject not in layout.templates:
        known = ", ".join(sorted(set(layout.templates) - set(_NEVER_ALONE)))
        raise SettingInvalid(
            where, f"{subject!r} is neither a role of the layout ({known}) nor a prefix that ends in /"
        )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _whole_days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LONGEST_DAYS:
        raise ValueError(f"must be a whole number of days from 0 to {_LONGEST_DAYS}, not {value!r}")
    return value


def _days_by_subject(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table like {{ frame = 30 }}, not {value!r}")
    return {str(subject): _whole_days(days) for subject, days in value.items()}


def _origins(value: Any) -> tuple[str, ...]:
    """Return the origins, in order and once each.

    Source: Amazon S3 API Reference, CORSRule: an origin has at most one `*`.
    """
    if not isinstance(value, list):
        raise ValueError(f'must be a list like ["https://*.example.com"], not {value!r}')
    for origin in value:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin: `*`, or scheme://host[:port] without a path, with at most one `*`"
            )
    return tuple(sorted(set(value)))


def _matching(pattern: re.Pattern[str], allowed: str) -> Any:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"must be {allowed}, not {value!r}")
        return value

    return read


_READERS: Mapping[str, Any] = {
    "managed": _flag,
    "cors_origins": _origins,
    "upload_origins": _origins,
    "expire_days": _days_by_subject,
    "cold_days": _days_by_subject,
    "cold_class": _matching(_COLD_CLASS, "the name of a storage class that is read without restoring it first"),
    "unfinished_days": _whole_days,
    "versioning": _flag,
    "old_version_days": _whole_days,
    "encryption": _matching(_ENCRYPTION, "AES256, aws:kms or aws:kms:KEY"),
    "access_logs": _matching(re.compile(r"|[a-z0-9][a-z0-9.-]+(/\S*)?"), "BUCKET or BUCKET/PREFIX"),
    "events": _matching(_EVENTS, "a URL (with a password only over https), an ARN or eventbridge"),
    "keys": _matching(re.compile("roles|objects"), "roles or objects"),
}
