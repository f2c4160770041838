"""Which checksum guards what is sent and what comes, and whether it is right."""

from collections.abc import Sequence

from mediaplane.errors import StorageError
from mediaplane.storage.bulk.digests import (
    Crc32,
    Digest,
    blocks_of,
    composite_crc32,
    composite_md5,
    composite_of_etag,
    decode,
    encode,
    md5_of_etag,
    new_md5,
)
from mediaplane.storage.bulk.names import MD5
from mediaplane.storage.connection import Steps
from mediaplane.storage.exchange import Answer, FileSlice
from mediaplane.storage.providers import Provider
from mediaplane.storage.replies import text_of

CRC32_HEADER = "x-amz-checksum-crc32"


class Damaged(StorageError):
    """What arrived is not what was sent."""

    retryable = True


class Check:
    """The checksum that a provider knows."""

    def __init__(self, provider: Provider | None) -> None:
        self.is_crc32 = provider is not None and provider.checksum_trailers

    @classmethod
    def md5(cls) -> "Check":
        """Return the check that ETags are made with."""
        return cls(None)

    @classmethod
    def crc32(cls) -> "Check":
        """Return the check of an object whose CRC-32 the store tells, whatever its provider is said to know."""
        check = cls(None)
        check.is_crc32 = True
        return check

    def new(self, data: bytes = b"") -> Digest:
        """Return a digest that has taken `data`."""
        return Crc32(data) if self.is_crc32 else new_md5(data)

    def digest_of(self, body: bytes | FileSlice) -> Steps[bytes]:
        """Return the digest of a body; others get their turn between the blocks of a file."""
        if isinstance(body, bytes):
            return self.new(body).digest()
        digest = self.new()
        for block in blocks_of(body.file, body.offset, body.count):
            digest.update(block)
            yield None
        return digest.digest()

    def headers(self, digest: bytes) -> dict[str, str]:
        """Return the header that lets the store refuse a damaged body."""
        return {CRC32_HEADER if self.is_crc32 else "content-md5": encode(digest)}

    def fields(self, digest: bytes) -> dict[str, str]:
        """Return what the completion of a multipart upload says of a part beside its ETag."""
        return {"ChecksumCRC32": encode(digest)} if self.is_crc32 else {}

    def composite(self, digests: Sequence[bytes]) -> bytes:
        """Return the checksum that the store gives an object of parts with these."""
        return composite_crc32(digests) if self.is_crc32 else composite_md5(digests)

    def composite_etag(self, md5s: Sequence[bytes]) -> str:
        """Return the ETag of an object of parts with these MD5s."""
        return f"{composite_md5(md5s).hex()}-{len(md5s)}"

    def confirm_sent(self, what: str, digest: bytes, answer: Answer) -> None:
        """Return if the store says it has what was sent, or says nothing about it.

        Raises:
            Damaged: it says that it has something else.
        """
        stored = decode(answer.header(CRC32_HEADER), 4) if self.is_crc32 else md5_of_etag(answer.header("etag"))
        if stored and stored != digest and (self.is_crc32 or not is_encrypted(answer)):
            raise Damaged(f"{what}: the store has other bytes than were sent")

    def confirm_composed(self, what: str, digests: Sequence[bytes], answer: Answer) -> None:
        """Return if the store has put together what was sent, or says nothing about it.

        Raises:
            Damaged: it says that it has something else.
        """
        body = answer.body
        if self.is_crc32:
            stored = decode(text_of(body, "ChecksumCRC32").partition("-")[0], 4)
        else:
            stored, count = composite_of_etag(text_of(body, "ETag"))
            stored = stored if count == len(digests) and not is_encrypted(answer) else b""
        if stored and stored != self.composite(digests):
            raise Damaged(f"{what}: the store has put together other bytes than were sent")


def is_encrypted(answer: Answer) -> bool:
    """Tell whether the ETag is no MD5 because of how the store encrypts.

    Source: Amazon S3 API Reference, "Object" (ETag).
    """
    kind = answer.header("x-amz-server-side-encryption")
    return kind.startswith("aws:") or bool(answer.header("x-amz-server-side-encryption-customer-algorithm"))


def md5_of(answer: Answer) -> bytes:
    """Return the MD5 of a whole object as its headers tell; empty where they do not."""
    md5 = md5_of_etag(answer.header("etag"))
    return md5 if md5 and not is_encrypted(answer) else decode(answer.header(MD5), 16)


def confirm_came(what: str, body: bytes, answer: Answer) -> None:
    """Return if a whole object came as it is stored, as far as the answer's headers tell.

    Raises:
        Damaged: it did not.
    """
    if stored := decode(answer.header(CRC32_HEADER), 4):
        came = Crc32(body).digest()
    elif stored := md5_of(answer):
        came = new_md5(body).digest()
    else:
        return
    if came != stored:
        raise Damaged(f"{what}: other bytes came than are stored")
