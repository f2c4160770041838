"""What a bucket tells of its objects, in the words of each provider, read into ours.

A notice is a hint: it says where to look, never what is there. So little of it is read: whether something came or
went, in which bucket, at which key. Known are S3's own records (Amazon, MinIO, Ceph), the same in an SNS message,
EventBridge's events, and the messages of Cloudflare R2.

Source: Amazon S3 User Guide, "Event message structure"; Amazon EventBridge, "Amazon S3 events"; Ceph documentation,
"S3 Bucket Notifications Compatibility"; Cloudflare R2, "Event notifications".
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from mediaplane.errors import InvalidKey, InvalidNotice
from mediaplane.media.keys import ObjectKey, check_key

MOST_NOTICES = 10_000  # in one body
_MOST_WRAPPINGS = 4  # an event in a message in a message in a batch
_SNS_TYPES = frozenset(("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"))
_CAME = ("ObjectCreated", "ObjectSynced:Create", "Object Created")
_WENT = ("ObjectRemoved", "ObjectLifecycle:Expiration", "LifecycleExpiration", "Object Deleted")
_R2_CAME = frozenset(("PutObject", "CopyObject", "CompleteMultipartUpload"))
_R2_WENT = frozenset(("DeleteObject", "LifecycleDeletion"))


class Kind(StrEnum):
    """What happened to an object."""

    CAME = "came"
    WENT = "went"
    OTHER = "other"  # tags, access rights, restores: nothing that concerns us


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened to an object."""

    kind: Kind
    bucket: str
    keys: tuple[ObjectKey, ...]  # where to look; two where it is not known if the sender quotes keys; none: no key


def read_notices(document: Any) -> list[Notice]:
    """Return the notices in a decoded body, in its order; of a test message or a confirmation, none.

    Raises:
        InvalidNotice: it is nothing that a bucket tells.
    """
    found = []
    for notice in _read(document, _MOST_WRAPPINGS):
        found.append(notice)
        if len(found) > MOST_NOTICES:
            raise InvalidNotice(f"there are more than {MOST_NOTICES} notices in it")
    return found


def read_body(body: bytes | str) -> Any:
    """Return the JSON document of a body: of a queue that hides it in base64, too.

    Raises:
        InvalidNotice: there is none in it.
    """
    with suppress(ValueError, RecursionError):
        return json.loads(body)
    with suppress(ValueError, RecursionError):
        return json.loads(base64.b64decode(body, validate=True))
    raise InvalidNotice("it is no JSON document")


def sns_type(document: Any) -> str:
    """Return the type of an SNS message, empty where it is none."""
    kind = document.get("Type") if isinstance(document, dict) and "TopicArn" in document else None
    return kind if isinstance(kind, str) and kind in _SNS_TYPES else ""


def _read(document: Any, wrappings: int) -> Iterator[Notice]:
    if wrappings < 0:
        raise InvalidNotice("it is wrapped too often")
    if isinstance(document, list):
        for entry in document:
            yield from _read(entry, wrappings - 1)
    elif not isinstance(document, dict):
        raise InvalidNotice("it is no object of JSON")
    elif (inner := _unwrapped(document)) is not None:
        yield from _read(inner, wrappings - 1)
    elif isinstance(document.get("Records"), list):
        yield from map(_of_record, document["Records"])
    elif "detail-type" in document:
        yield _of_event_bridge(document)
    elif "action" in document:
        yield _of_r2(document)
    elif document.get("Event") != "s3:TestEvent":
        raise InvalidNotice("it is no event of a bucket that is known here")


def _unwrapped(document: dict[str, Any]) -> Any:
    """Return what SNS or a queue has wrapped, None where nobody has."""
    if kind := sns_type(document):
        return read_body(_text(document, "Message")) if kind == "Notification" else []
    if not isinstance(document.get("messages"), list):
        return None
    bodies = [message.get("body") if isinstance(message, dict) else None for message in document["messages"]]
    return [read_body(body) if isinstance(body, str) else body for body in bodies]  # of a batch that was handed on


def _of_record(record: Any) -> Notice:
    s3 = _part(record, "s3")
    name = _text(record, "eventName").removeprefix("s3:")
    key = _text(_part(s3, "object"), "key")
    return Notice(_kind(name), _text(_part(s3, "bucket"), "name"), _both_ways(key))


def _of_event_bridge(event: Any) -> Notice:
    detail = _part(event, "detail")
    key = _text(_part(detail, "object"), "key")  # unlike S3's own records these do not quote it
    return Notice(_kind(_text(event, "detail-type")), _text(_part(detail, "bucket"), "name"), _usable(key))


def _of_r2(message: Any) -> Notice:
    action = _text(message, "action")
    kind = Kind.CAME if action in _R2_CAME else Kind.WENT if action in _R2_WENT else Kind.OTHER
    return Notice(kind, _text(message, "bucket"), _usable(_text(_part(message, "object"), "key")))


def _kind(name: str) -> Kind:
    if name.startswith(_CAME):
        return Kind.CAME
    return Kind.WENT if name.startswith(_WENT) else Kind.OTHER


def _both_ways(key: str) -> tuple[ObjectKey, ...]:
    """Return the key as a form field would be read, and as it stands: Amazon and MinIO quote it, Ceph does not."""
    return tuple(dict.fromkeys((*_usable(unquote_plus(key)), *_usable(key))))


def _usable(key: str) -> tuple[ObjectKey, ...]:
    try:
        return (check_key(key),)
    except (InvalidKey, UnicodeEncodeError):
        return ()  # no key that we could ever have, or find


def _part(document: Any, name: str) -> Any:
    part = document.get(name) if isinstance(document, dict) else None
    if not isinstance(part, dict):
        raise InvalidNotice(f"it has no {name!r}")
    return part


def _text(document: Any, name: str) -> str:
    text = document.get(name) if isinstance(document, dict) else None
    if not isinstance(text, str):
        raise InvalidNotice(f"it has no {name!r}")
    return text
