"""Whether a file is whole, by the sizes that its container names: a few bytes are read, nothing is decoded."""

from mediaplane.errors import MediaTruncated
from mediaplane.pipeline.tools.source import Head, read_head

_MAX_BOXES = 24  # on the top level; a recording in fragments has thousands, and its first tell enough
_WHOLE = (b"mdat", b"moov", b"moof")  # junk at the end of a file may look like other boxes
_HEADER_BYTES = 16


def check_end(needed_bytes: int, head: Head) -> None:
    """Check that a file has the bytes its container names.

    Raises:
        MediaTruncated: it has fewer.
    """
    if needed_bytes > head.size_bytes:
        share = 100 * head.size_bytes // needed_bytes
        sizes = f"{head.size_bytes:,} of at least {needed_bytes:,} bytes"
        raise MediaTruncated(f"the file ends after {share}% of its data ({sizes}): send it again")


def check_boxes(source: str, ca_file: str | None, head: Head) -> None:
    """Check that the boxes of an MP4 are whole. One small request for each box beyond the first 64 KiB.

    Source: ISO/IEC 14496-12, section 4.2.

    Raises:
        MediaTruncated: data or index end beyond the file.
    """
    if head.data[4:8] != b"ftyp":
        return
    at = 0
    for _ in range(_MAX_BOXES):
        header = head.data[at : at + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES and at + 8 <= head.size_bytes:
            header = read_head(source, ca_file, start=at, length=_HEADER_BYTES).data
        if len(header) < 8:
            return
        size = int.from_bytes(header[:4], "big")
        size = int.from_bytes(header[8:16], "big") if size == 1 else size
        if size < 8:  # 0: to the end of the file
            return
        if header[4:8] in _WHOLE:
            check_end(at + size, head)
        at += size


def matroska_end(data: bytes) -> int:
    """Return where the Segment says it ends, 0 where it does not say. Source: RFC 8794, variable-size integers."""
    at = data.find(b"\x18\x53\x80\x67")
    if at < 0 or at + 12 > len(data) or data[at + 4] == 0:
        return 0
    length = 9 - data[at + 4].bit_length()
    unknown = (1 << (7 * length)) - 1
    size = int.from_bytes(data[at + 4 : at + 4 + length], "big") & unknown
    return 0 if size == unknown else at + 4 + length + size
