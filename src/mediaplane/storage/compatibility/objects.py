"""What can be asked of a server about objects: keys, ranges, lists, copies, deletes, conditions.

Source: Amazon S3 API Reference, the operations that each function calls.
"""

import threading

from botocore.exceptions import BotoCoreError, ClientError

from mediaplane.storage.compatibility.subject import Subject, Unable, expect, refusal

_WRITERS = 12


def metadata(subject: Subject) -> None:
    """Keep content type, cache control and metadata, and answer the MD5 as ETag."""
    subject.put("meta", b"hello", ContentType="video/mp4", CacheControl="max-age=60", Metadata={"k": "v"})
    head = subject.client.head_object(Bucket=subject.bucket, Key="meta")
    expect(head["ContentType"] == "video/mp4", f"the content type is {head['ContentType']}")
    expect(head["Metadata"] == {"k": "v"} and head.get("CacheControl") == "max-age=60", "headers are lost")
    expect(head["ETag"] == '"5d41402abc4b2a76b9719d911017c592"', f"the ETag is {head['ETag']}")


def odd_keys(subject: Subject) -> None:
    """Take keys with spaces, `+`, `%`, `&`, quotes, accents and emoji, and list them unchanged."""
    keys = ["odd/a b+c%20d&e=f?g#h", "odd/é ü ñ", "odd/🎬", "odd/'\"<x>"]
    for key in keys:
        subject.put(key, key.encode())
        expect(subject.get(key) == key.encode(), f"{key!r} comes back wrong")
    listed = subject.client.list_objects_v2(Bucket=subject.bucket, Prefix="odd/")["Contents"]
    expect(sorted(entry["Key"] for entry in listed) == sorted(keys), "the list has other keys")


def long_key(subject: Subject) -> None:
    """Take a key of 1,024 bytes without a slash."""
    subject.put("k" * 1024)
    expect(subject.get("k" * 1024) == b"1", "it comes back wrong")


def keys_that_are_no_paths(subject: Subject) -> None:
    """Take keys that no directory can hold: `d//e`, `dir/`."""
    refused = [key for key in ("d//e", "dir/") if not _survives(subject, key)]
    expect(not refused, f"not {', '.join(refused)}")


def key_below_key(subject: Subject) -> None:
    """Take `a` and `a/b` beside each other."""
    expect(_survives(subject, "a") and _survives(subject, "a/b") and subject.get("a") == b"a", "one hides the other")


def _survives(subject: Subject, key: str) -> bool:
    try:
        subject.put(key, key.encode())
        return subject.get(key) == key.encode()
    except (ClientError, BotoCoreError):
        return False


def ranges(subject: Subject) -> None:
    """Serve byte ranges, from the front and from the end, and answer 416 behind the end."""
    subject.put("range", bytes(range(256)))
    expect(subject.get("range", Range="bytes=10-19") == bytes(range(10, 20)), "a range comes back wrong")
    expect(subject.get("range", Range="bytes=-5") == bytes(range(251, 256)), "a suffix comes back wrong")
    answer = refusal(subject.client.get_object, Bucket=subject.bucket, Key="range", Range="bytes=999-1000")
    expect(answer.startswith("416"), f"behind the end: {answer or 'no refusal'}")


def conditional_reads(subject: Subject) -> None:
    """Answer 304 to If-None-Match of the ETag that is stored."""
    etag = subject.put("cached")["ETag"]
    answer = refusal(subject.client.get_object, Bucket=subject.bucket, Key="cached", IfNoneMatch=etag)
    expect(answer.startswith("304"), answer or "the object came")


def list_order(subject: Subject) -> None:
    """List in byte order over many pages: `o/a-b` before `o/a/b` before `o/a0`."""
    keys = [f"o/{name}" for name in ("a-b", "a/b", "a/c", "a0", "b")]
    for key in reversed(keys):
        subject.put(key, b"")
    pages = subject.client.get_paginator("list_objects_v2").paginate(
        Bucket=subject.bucket, Prefix="o/", PaginationConfig={"PageSize": 2}
    )
    found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    expect(sorted(found) == keys, f"{len(found)} of {len(keys)} are listed")
    expect(found == keys, f"{found[0]} comes first: it goes directory by directory")


def list_folders(subject: Subject) -> None:
    """List common prefixes by a delimiter, and from a key on."""
    for key in ("f/0/x", "f/1/x", "f/2/x"):
        subject.put(key, b"")
    listed = subject.client.list_objects_v2(Bucket=subject.bucket, Prefix="f/", Delimiter="/")
    folders = [entry["Prefix"] for entry in listed.get("CommonPrefixes", [])]
    expect(folders == ["f/0/", "f/1/", "f/2/"], f"the folders are {folders}")
    later = subject.client.list_objects_v2(Bucket=subject.bucket, Prefix="f/", StartAfter="f/1/")
    expect([entry["Key"] for entry in later["Contents"]] == ["f/1/x", "f/2/x"], "StartAfter is not honoured")


def batch_delete(subject: Subject) -> None:
    """Delete many objects with one request."""
    keys = [f"batch/{number}" for number in range(5)]
    for key in keys:
        subject.put(key)
    answer = subject.client.delete_objects(
        Bucket=subject.bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "batch/never-there"]]}
    )
    expect(not answer.get("Errors"), f"errors: {answer.get('Errors')}")
    left = subject.client.list_objects_v2(Bucket=subject.bucket, Prefix="batch/").get("KeyCount")
    expect(left == 0, f"{left} are left")


def copy(subject: Subject) -> None:
    """Copy an object on the server, with other metadata."""
    subject.put("copy a+b", b"hello", Metadata={"old": "1"})
    source = {"Bucket": subject.bucket, "Key": "copy a+b"}
    subject.client.copy_object(
        Bucket=subject.bucket, Key="copied", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"}
    )
    head = subject.client.head_object(Bucket=subject.bucket, Key="copied")
    expect(head["Metadata"] == {"new": "1"} and head["ContentLength"] == len(b"hello"), "the copy is another")


def tags(subject: Subject) -> None:
    """Keep tags of objects."""
    subject.put("tagged", Tagging="a=1&b=2")
    found = subject.client.get_object_tagging(Bucket=subject.bucket, Key="tagged")["TagSet"]
    expect({tag["Key"]: tag["Value"] for tag in found} == {"a": "1", "b": "2"}, f"the tags are {found}")


def colder_class(subject: Subject) -> None:
    """Take an object in the storage class STANDARD_IA and list it there."""
    subject.put("cold", StorageClass="STANDARD_IA")
    listed = subject.client.list_objects_v2(Bucket=subject.bucket, Prefix="cold")["Contents"][0]
    expect(listed.get("StorageClass") == "STANDARD_IA", f"it lies in {listed.get('StorageClass')}")


def create_only(subject: Subject) -> None:
    """Honour If-None-Match: * on PUT: of many writers at once one wins."""
    winners: list[int] = []
    start = threading.Barrier(_WRITERS)

    def write(number: int) -> None:
        client = subject.open_client()
        start.wait()
        if not refusal(client.put_object, Bucket=subject.bucket, Key="race", Body=b"1", IfNoneMatch="*"):
            winners.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(_WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(len(winners) == 1, f"{len(winners)} of {_WRITERS} writers won")


def replace_only(subject: Subject) -> None:
    """Honour If-Match on PUT, with the ETag in quotes as it is answered."""
    etag = subject.put("cas", b"1")["ETag"]
    answer = refusal(subject.client.put_object, Bucket=subject.bucket, Key="cas", Body=b"3", IfMatch='"another"')
    expect(answer.startswith("412"), f"another ETag: {answer or 'no refusal'}")
    answer = refusal(subject.client.put_object, Bucket=subject.bucket, Key="cas", Body=b"2", IfMatch=etag)
    if answer and not refusal(
        subject.client.put_object, Bucket=subject.bucket, Key="cas", Body=b"2", IfMatch=etag.strip('"')
    ):
        raise Unable("only with the ETag out of its quotes")
    expect(not answer, answer)
