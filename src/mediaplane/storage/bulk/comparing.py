"""Is what stands at the target whole already? Sizes and times where they can tell, content where they cannot.

| direction | in step when sizes are equal and |
| --- | --- |
| file → object | the object was written after the file was last changed (its LastModified ≥ the file's mtime) |
| object → file | the file was put there after the object was written (its ctime ≥ the object's LastModified) |
| object → object | their ETags are equal, or the target was written after the source |

A listing has no metadata, and a HEAD for each key would cost more than the listing: so the mtime that an upload keeps
in metadata decides only where a HEAD is made anyway (single keys). A download gives the file its kept mtime, which is
older than the object; hence the ctime, which nobody can set. Where both times lie in the same second, content decides.
`aws s3 sync` and s5cmd compare in the same way, but with the mtime alone.
"""

import os
from collections.abc import Callable, Mapping
from enum import Enum
from operator import eq, ge, or_

from mediaplane.storage.bulk.digests import blocks_of, composite_md5, composite_of_etag, decode, md5_of_etag, new_md5
from mediaplane.storage.bulk.names import MD5, PART_BYTES
from mediaplane.storage.bulk.streams import NANOSECONDS, Batch, Entry
from mediaplane.storage.bulk.work import Found

# What clients cut large uploads by: aws and boto3 8 MiB, s3cmd 15, rclone 5, s5cmd 50, minio 16 and 64
_USUAL_PART_BYTES = tuple(mebibytes << 20 for mebibytes in (8, 16, 5, 15, 50, 64, 10, 32, 100, 128, 256, 512, 1024))


class Compare(Enum):
    """What makes an object or file that is there count as whole."""

    TIME = "time"  # equal size, and not older: see above
    SIZE = "size"  # equal size
    CONTENT = "content"  # equal size and equal content, by digests
    ABSENT = "absent"  # that it is there
    NEVER = "never"  # nothing does: all is sent again


Digests = Callable[[Entry, Entry], bool]  # whether two entries of equal size have equal content


def is_whole(source: Entry, target: Entry, compare: Compare, same_content: Digests) -> bool:
    """Return whether nothing need be sent to make `target` what `source` is."""
    if compare is Compare.NEVER or target.problem:
        return False
    if compare is Compare.ABSENT:
        return True
    if source.size_bytes != target.size_bytes:
        return False
    if compare is Compare.SIZE or not source.size_bytes:
        return True
    order = None if compare is Compare.CONTENT else _order_of(source, target)
    return same_content(source, target) if order is None else order


def _order_of(source: Entry, target: Entry) -> bool | None:
    """Return whether the target is in step by its times; None: they cannot tell."""
    if source.found is not None and target.found is not None:
        if source.found.etag == target.found.etag:
            return True
        return target.modified_ns >= source.modified_ns
    if source.found is None:
        if target.kept_ns is not None:
            return target.kept_ns == source.modified_ns
        written, changed = target.modified_ns, source.modified_ns
    else:
        if source.kept_ns is not None and source.kept_ns == target.modified_ns:
            return True
        written, changed = target.changed_ns, source.modified_ns
    seconds = written // NANOSECONDS - changed // NANOSECONDS
    return None if seconds == 0 else seconds > 0


def quick_check(compare: Compare, *, from_files: bool, to_files: bool) -> Callable[[Batch, Batch], bool] | None:
    """Return a check of source and target, neighbours of equal names and sizes, that may say no too often.

    None where each must be looked at by itself.
    """
    if compare is Compare.SIZE:
        return lambda _source, _target: True
    if compare is Compare.TIME and from_files:
        return _files_are_older
    if compare is Compare.TIME and to_files:
        return _files_are_newer
    if from_files or to_files:
        return None
    return {Compare.TIME: _etags_or_times_tell, Compare.CONTENT: _etags_are_equal}.get(compare)


def _files_are_older(source: Batch, target: Batch) -> bool:
    written = min([found.modified_at for found in target.found]).timestamp()
    return max([status.st_mtime for status in source.statuses if status]) < int(written)


def _files_are_newer(source: Batch, target: Batch) -> bool:
    written = max([found.modified_at for found in source.found]).timestamp()
    return min([status.st_ctime for status in target.statuses if status]) >= int(written) + 1


def _etags_or_times_tell(source: Batch, target: Batch) -> bool:
    equal = map(eq, [found.etag for found in source.found], [found.etag for found in target.found])
    later = map(ge, [found.modified_at for found in target.found], [found.modified_at for found in source.found])
    return all(map(or_, equal, later))


def _etags_are_equal(source: Batch, target: Batch) -> bool:
    etags = [found.etag for found in source.found]
    return all(etags) and etags == [found.etag for found in target.found]


def same_etag(one: Found, other: Found) -> bool:
    """Return whether two objects have the same content, as their ETags tell: unlike ones may still be alike."""
    return bool(one.etag) and one.etag.strip('"') == other.etag.strip('"')


def file_has_content(path: str, found: Found, kept: Callable[[], Mapping[str, str]]) -> bool:
    """Return whether a file has an object's content: by the MD5 that its ETag is, or that of its parts.

    Reads the whole file, once for each part size that may have been used: the one that our uploads keep in metadata
    (`kept` asks for it), else those of the usual clients. False also where it cannot be told: with encryption by
    SSE-KMS an ETag looks like an MD5 and is none.

    Raises:
        OSError: the file cannot be read.

    Source: Amazon S3 API Reference, Object (ETag).
    """
    if md5 := md5_of_etag(found.etag):
        return _md5s_of(path, max(1, found.size_bytes)) == [md5]
    composite, parts = composite_of_etag(found.etag)
    if not parts:
        return False
    metadata = kept()
    if whole := decode(metadata.get(MD5, ""), 16):
        return _md5s_of(path, max(1, found.size_bytes)) == [whole]
    own = metadata.get(PART_BYTES, "")
    for part_bytes in [int(own)] if own.isdigit() and int(own) else _USUAL_PART_BYTES:
        if -(-found.size_bytes // part_bytes) == parts and composite_md5(_md5s_of(path, part_bytes)) == composite:
            return True
    return False


def _md5s_of(path: str, part_bytes: int) -> list[bytes]:
    """Return the MD5 of each part of a file."""
    digests: list[bytes] = []
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size_bytes = os.fstat(file).st_size
        for offset in range(0, size_bytes, part_bytes):
            digest = new_md5()
            for block in blocks_of(file, offset, min(part_bytes, size_bytes - offset)):
                digest.update(block)
            digests.append(digest.digest())
    finally:
        os.close(file)
    return digests
