"""What S3 servers answer, in the dialects they have."""

from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.storage.found import Found
from mediaplane.storage.replies import (
    completion_body,
    deletion_body,
    error_code,
    fits_xml,
    read_page,
    read_parts,
    read_refusals,
    read_unfinished,
)

TIME = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
FIELDS = {
    "Key": "<Key>{key}</Key>",
    "LastModified": "<LastModified>2026-11-20T01:02:03.000Z</LastModified>",
    "ETag": "<ETag>&quot;e1&quot;</ETag>",
    "Size": "<Size>7</Size>",
    "StorageClass": "<StorageClass>STANDARD</StorageClass>",
    "Owner": "<Owner><ID>1</ID><DisplayName>me</DisplayName></Owner>",
    "Checksum": "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>",
}
ORDERS = [
    ["Key", "LastModified", "ETag", "Size", "StorageClass"],  # RGW, the stand-in
    ["Key", "LastModified", "ETag", "Checksum", "Size", "StorageClass"],  # AWS
    ["ETag", "Key", "LastModified", "Owner", "Size", "StorageClass"],
    ["Key", "LastModified", "ETag", "Size", "Owner", "StorageClass"],
    ["Key", "Size", "LastModified"],
]


def page_of(keys, order, *, token="", encoding=True, space=' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', end=""):
    """A ListObjectsV2 answer as a server with this order of fields writes it."""
    fields = "".join(FIELDS[name] for name in order)
    entries = "".join(
        f"<Contents>{fields.replace('{key}', quote(key, safe='/') if encoding else escape(key))}</Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    kind = "<EncodingType>url</EncodingType>" if encoding else ""
    head = f"<Name>b</Name><IsTruncated>{'true' if token else 'false'}</IsTruncated>{kind}{more}"
    return f'<?xml version="1.0"?><ListBucketResult{space}>{head}{entries}{end}</ListBucketResult>'.encode()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("encoding", [True, False])
def test_page_in_every_dialect(order, encoding):
    """Keys, sizes, times and tokens are read whatever the order of the fields."""
    keys = ["a", "b c/+%é😀", "d&amp;<x>", "e/"]
    page = read_page(page_of(keys, order, token="t&1", encoding=encoding))
    etag = '"e1"' if "ETag" in order else ""
    kind = "STANDARD" if "StorageClass" in order else ""
    assert page.objects == [Found(key, 7, etag, TIME, kind) for key in keys]
    assert page.token == "t&1"


def test_objects_that_differ_in_their_fields_are_all_read():
    """A page where one object has more fields than the first is read the slow way, none is lost."""
    first, second = (page_of([key], order).decode() for key, order in (("a", ORDERS[0]), ("b", ORDERS[1])))
    entry = second[second.index("<Contents>") : second.index("</ListBucketResult>")]
    page = read_page(first.replace("</ListBucketResult>", f"{entry}</ListBucketResult>").encode())
    assert [found.key for found in page.objects] == ["a", "b"]


def test_folders_are_decoded():
    """Common prefixes come with their names as they are."""
    end = "<CommonPrefixes><Prefix>x%20y/</Prefix></CommonPrefixes>"
    page = read_page(page_of(["a"], ORDERS[0], end=end))
    assert (page.folders, [found.key for found in page.objects]) == (["x y/"], ["a"])


@pytest.mark.parametrize("body", [b"", b"<html>", b"not xml at all", b"<a></b>"])
def test_no_page(body):
    """What is no listing is an error, not an empty bucket."""
    with pytest.raises(ValueError, match="no"):
        read_page(body)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_any_key_survives_a_listing(keys):
    """Every key that is Unicode text comes out of a listing as it went in."""
    assert [found.key for found in read_page(page_of(keys, ORDERS[0])).objects] == keys


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(fits_xml), max_size=5))
def test_any_key_survives_a_deletion(keys):
    """A parser reads from the request the keys that were to be deleted, line breaks included."""
    root = ElementTree.fromstring(deletion_body(keys))
    found = [element.text for element in root.iter() if element.tag.endswith("}Key")]
    assert found == keys


def test_multipart_answers():
    """Unfinished uploads and parts are read with the markers of their next pages."""
    uploads = (
        b"<R><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><NextKeyMarker>a%20b</NextKeyMarker>"
        b"<NextUploadIdMarker>7</NextUploadIdMarker><Upload><Key>a%20b</Key><UploadId>7</UploadId>"
        b"<Initiated>2026-11-20T01:02:03Z</Initiated></Upload></R>"
    )
    (found,), more = read_unfinished(uploads)
    assert (found.key, found.upload_id, found.began_at) == ("a b", "7", TIME)
    assert more == {"key-marker": "a b", "upload-id-marker": "7"}
    parts, marker = read_parts(
        b"<R><IsTruncated>false</IsTruncated><Part><PartNumber>2</PartNumber><Size>5</Size><ETag>e</ETag></Part></R>"
    )
    assert (parts[0].number, parts[0].size_bytes, parts[0].etag, marker) == (2, 5, "e", "")


def test_refusals_and_codes():
    """Each refused key has its code; an error without one has none."""
    body = (
        b"<DeleteResult><Error><Key>a&amp;b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    )
    assert read_refusals(body) == {"a&b": ("AccessDenied", "no")}
    assert error_code(b"<Error><Code>SlowDown</Code></Error>") == "SlowDown"
    assert error_code(b"oops") == ""


def test_completion_names_every_part():
    """Parts stand with number, ETag and checksum, in order."""
    body = completion_body([(1, '"a"', {}), (2, '"b"', {"ChecksumCRC32": "AAAA"})]).decode()
    assert body.index("<PartNumber>1<") < body.index("<PartNumber>2<") < body.index("<ChecksumCRC32>AAAA<")
