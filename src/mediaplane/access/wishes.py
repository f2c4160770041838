"""What a client wants to upload, made fit to be believed: way, name, and what may stand in a key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from mediaplane.access.principals import Principal
from mediaplane.catalog.direct_uploads import PARTS, PUT
from mediaplane.errors import UploadTooLarge
from mediaplane.media.keys import arrival_fields
from mediaplane.media.types import extension_of
from mediaplane.storage.intake import MAX_PUT_BYTES, Checksums

PARTS_FROM_BYTES = 64 << 20  # from here on in parts where the client does not say: what is cut off is not sent again
MAX_NAME_CHARS = 255
_SLUG_CHARS = 80
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants to upload; `size_bytes` None where its protocol does not say."""

    name: str
    content_type: str
    size_bytes: int | None
    way: str
    title: str = ""
    checksums: Checksums = Checksums()
    plans_parts: bool = True  # False: the client cuts the file as it likes
    task: str = ""  # what it is for, and which submission it goes on with, where it does
    submission: str = ""

    @property
    def digest(self) -> str | None:
        """The SHA-256 as the catalog writes it."""
        return f"sha256:{self.checksums.sha256}" if self.checksums.sha256 else None


def choose_way(*, size_bytes: int, in_parts: bool | None) -> str:
    """Return how a file of this size goes, if the client does not insist.

    Raises:
        UploadTooLarge: it insists on one PUT, which takes at most 5 GiB.
    """
    if in_parts is False and size_bytes > MAX_PUT_BYTES:
        raise UploadTooLarge(f"one PUT takes at most {MAX_PUT_BYTES} bytes: upload the file in parts")
    return PARTS if in_parts or (in_parts is None and size_bytes >= PARTS_FROM_BYTES) else PUT


def clean_title(title: str) -> str:
    """Return a title without characters that no one could see, and that the database does not take."""
    return "".join(char for char in title if char.isprintable()).strip()


def clean_name(name: str) -> str:
    """Return a file name fit to be shown: the last part of a path, without control characters, not too long."""
    return clean_title(re.split(r"[/\\]", name)[-1])[:MAX_NAME_CHARS] or "unnamed"


def key_fields(principal: Principal, wish: Wish, asset_id: str) -> Mapping[str, str]:
    """Return what the template of an original's key may name, nothing of it in the client's own spelling.

    The hash is that of the id: the bytes are not here yet, and two clients may claim the same ones at once.
    """
    extension = extension_of(wish.content_type)
    stem = re.sub(r"[^A-Za-z0-9]+", "-", wish.name.rpartition(".")[0] or wish.name).strip("-")[:_SLUG_CHARS]
    return {
        "asset_id": asset_id,
        "ext": extension,
        "path": f"uploads/{asset_id}/{stem or 'file'}.{extension}",
        "hash": sha256(asset_id.encode()).hexdigest()[:_HASH_DIGITS],
        **arrival_fields(principal.owner, datetime.now(UTC)),
    }
