"""Object keys: the only place where they are made, checked and read back.

Fields of a template, besides `{asset_id}`, `{clip_id}`, `{job_id}`, `{timestamp_ms}`, `{name}` and `{rendition}`:
`{path}` is an original's relative path as it was given, `{ext}` its extension, `{hash}` of its bytes, `{timestamp}`
when it came (seconds since 1970), `{year}`, `{month}` and `{day}` the same in UTC. Deployments that wrote keys before
us may have had another hash and finer times: both are read. `{uid}` is the owner, the same in every key of theirs.
Of clips there are `{highlight}`, `{version}`, `{title}` and `{style}` too (`media/clip_names.py`).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType

from mediaplane.errors import InvalidKey
from mediaplane.media.ids import ID_PATTERN

ObjectKey = NewType("ObjectKey", str)

MAX_KEY_BYTES = 1024  # Source: Amazon S3 User Guide, "Naming Amazon S3 objects"

ROLES = (
    "original",
    "proxy",
    "segment",
    "playlist",
    "poster",
    "frame",
    "debug",
    "clip",
    "log",
    "sprite",
    "waveform",
    "peaks",
    "highlights",
    "thumbnail",
)


_UID_CHARS = 64
_PLAIN_UID = re.compile(rf"[A-Za-z0-9_-]{{1,{_UID_CHARS}}}")


def check_key(text: str) -> ObjectKey:
    """Return `text` as a key that every store accepts.

    Raises:
        InvalidKey: empty, over 1024 bytes, with an empty, `.` or `..` part, or with control characters or a backslash.
    """
    if not text or len(text.encode()) > MAX_KEY_BYTES:
        raise InvalidKey(f"a key has 1 to {MAX_KEY_BYTES} bytes, not {len(text.encode())}")
    if any(part in ("", ".", "..") for part in text.split("/")):
        raise InvalidKey(f"{text!r}: no part of a key may be empty, '.' or '..'")
    if any(ord(char) < 32 or ord(char) == 127 or char == "\\" for char in text):
        raise InvalidKey(f"{text!r}: a key has no control characters and no backslash")
    return ObjectKey(text)


def uid_of(owner: str) -> str:
    """Return the owner as one part of a key that no two owners share: `alice`, or `a-b-example-com~1f3870be274f6c49`.

    What is plain already stays as it is; what is not gets a digest behind a `~`, which no plain name has.
    """
    if _PLAIN_UID.fullmatch(owner):
        return owner
    start = re.sub(r"[^A-Za-z0-9_-]+", "-", owner).strip("-")[:_UID_CHARS]
    return f"{start}~{hashlib.sha256(owner.encode('utf-8', 'replace')).hexdigest()[:16]}"


def arrival_fields(owner: str, moment: datetime) -> dict[str, str]:
    """Return what a template may name of whose an original is and when it came (an aware time)."""
    utc = moment.astimezone(UTC)
    return {
        "owner": re.sub(r"[^A-Za-z0-9_-]+", "-", owner),
        "uid": uid_of(owner),
        "timestamp": str(int(utc.timestamp())),
        "year": f"{utc:%Y}",
        "month": f"{utc:%m}",
        "day": f"{utc:%d}",
    }


@dataclass(frozen=True, slots=True)
class Layout:
    """Key templates of one deployment, by role; fields are `{asset_id}`, `{ext}`, `{name}`, …"""

    templates: Mapping[str, str]

    def key(self, role: str, **fields: str | int) -> ObjectKey:
        """Return the key of `role`, e.g. `key("frame", asset_id="a1", timestamp_ms=1500)`.

        Raises:
            InvalidKey: the layout has no such role, or a field is missing or makes a bad key.
        """
        try:
            return check_key(self.templates[role].format(**fields))
        except KeyError as error:
            raise InvalidKey(f"the layout cannot make a {role} key: {error} is missing") from error

    def prefix(self, role: str) -> str:
        """Return what stands before the first field, the prefix to list for `role`."""
        return self.templates[role].split("{", 1)[0]

    def prefixes(self, of: str, **fields: str) -> set[str]:
        """Return what the keys of one asset, or of one owner, begin with: `of` is which field tells them apart.

        Left out are roles whose keys do not tell: those that do not name the field among the known ones that they
        begin with, or go on behind it as another asset's id or another owner's name might.
        """
        found = set()
        for template in self.templates.values():
            pieces = re.split(r"\{(\w+)\}", template)
            known = next((at for at in range(1, len(pieces), 2) if pieces[at] not in fields), len(pieces))
            begin = "".join(fields[piece] if at % 2 else piece for at, piece in enumerate(pieces[: known - 1]))
            behind = pieces[known - 1]  # of a directory that is theirs, all
            if of in pieces[1:known:2] and behind and not re.match("[A-Za-z0-9_~-]", behind):
                found.add(begin + "".join(behind.partition("/")[:2]))
        return {one for one in found if not any(one != other and one.startswith(other) for other in found)}

    def read(self, role: str, key: str) -> dict[str, str] | None:
        """Return the fields that stand in `key`, or None where it is no key of `role`."""
        match = re.fullmatch(_pattern(self.templates[role]), key)
        return match.groupdict() if match else None


_FIELDS = {
    "asset_id": ID_PATTERN,
    "clip_id": ID_PATTERN,
    "job_id": ID_PATTERN,
    "timestamp_ms": "[0-9]+",
    "ext": "[A-Za-z0-9]+",
    "path": ".+",
    "hash": "[0-9A-Za-z]+",
    "timestamp": "[0-9]+",
    "year": "[0-9]{4}",
    "month": "[0-9]{1,2}",
    "day": "[0-9]{1,2}",
    "uid": "[A-Za-z0-9_~-]+",
    "highlight": "[0-9]{2,}",
    "version": "[0-9]{2,}",
    "title": "[^/_]+",
    "style": "[a-z0-9-]+",
}


def _pattern(template: str) -> str:
    pieces = re.split(r"\{(\w+)\}", template)
    return "".join(
        re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>{_FIELDS.get(piece, '[^/]+')})"
        for index, piece in enumerate(pieces)
    )
