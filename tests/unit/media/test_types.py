"""What bytes are by their beginning, whatever they are called."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mediaplane.errors import UploadTypeRefused
from mediaplane.media.types import (
    HEAD_BYTES,
    UNKNOWN,
    agrees,
    extension_of,
    guess_type,
    is_allowed,
    read_type,
    real_type,
)

MEDIA = {
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/bmp": b"BM" + b"\0" * 12 + b"\x28\0\0\0",
    "image/tiff": b"II*\0\x08\0\0\0",
    "image/avif": b"\0\0\0\x1cftypavif",
    "image/heic": b"\0\0\0\x18ftypheic",
    "video/mp4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2",
    "video/quicktime": b"\0\0\0\x14ftypqt  ",
    "audio/mp4": b"\0\0\0\x20ftypM4A ",
    "video/3gpp": b"\0\0\0\x18ftyp3gp4",
    "video/webm": b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "video/x-matroska": b"\x1a\x45\xdf\xa3\xa3B\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x88matroska",
    "video/x-msvideo": b"RIFF\x24\0\0\0AVI LIST",
    "video/mp2t": (b"\x47" + b"\0" * 187) * 4,
    "video/mpeg": b"\0\0\x01\xba\x44\0",
    "video/x-flv": b"FLV\x01\x05\0",
    "video/ogg": b"OggS\0\2" + b"\0" * 22 + b"\x80theora",
    "audio/ogg": b"OggS\0\2" + b"\0" * 22 + b"OpusHead",
    "audio/mpeg": b"\xff\xfb\x90\x44\0\0",
    "audio/aac": b"\xff\xf1\x50\x80\0\0",
    "audio/flac": b"fLaC\0\0\0\x22",
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "audio/aiff": b"FORM\0\0\0\x24AIFFCOMM",
}
LIES = {
    "text/html": [
        b"<!DOCTYPE html><html>",
        b"\xef\xbb\xbf\n\t <HTML>",
        b"<script>alert(1)</script>",
        b"<!-- x --><p>",
        b"<body onload=x>",
    ],
    "text/xml": [b"<?xml version='1.0'?><svg/>", b"<svg xmlns='http://www.w3.org/2000/svg'>", b"\n<SVG >"],
    "application/pdf": [b"%PDF-1.7\n"],
    "application/zip": [b"PK\x03\x04\x14\0"],
    "application/x-msdownload": [b"MZ\x90\0"],
    "application/x-elf": [b"\x7fELF\2\1"],
    UNKNOWN: [b"", b"\0", b"hello, world", b"BMW is a car, no picture of one", b"\xff\xff\xff\xff", b"{}", b"GGGGG"],
}


@pytest.mark.parametrize("media_type", MEDIA)
def test_media_is_known(media_type):
    """Every kind that is taken is known by its first bytes, and has an extension."""
    assert real_type(MEDIA[media_type] + b"\0" * 200) == media_type
    assert extension_of(media_type) != "bin"


@pytest.mark.parametrize("media_type", LIES)
def test_what_is_no_media(media_type):
    """Pages, programs, archives and text are not taken for media."""
    for head in LIES[media_type]:
        assert real_type(head) == media_type, head
        assert not is_allowed(real_type(head), ("video/*", "audio/*", "image/*"))


def test_old_quicktime():
    """QuickTime of old has no `ftyp`."""
    assert real_type(b"\0\0\0\x08wide\0\0\0\0mdat") == "video/quicktime"


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes(head):
    """No bytes make it raise, and what it answers is a type."""
    assert "/" in real_type(head)


@given(st.sampled_from(sorted(MEDIA)), st.integers(0, 40))
@example("image/avif", 8)
def test_cut_off(media_type, length):
    """The beginning of a beginning is the same kind or nothing that is known."""
    found = real_type(MEDIA[media_type][:length])
    assert found == UNKNOWN or agrees(media_type, found)


@pytest.mark.parametrize(
    ("said", "found", "passes"),
    [
        ("image/jpeg", "image/png", True),
        ("video/mp4", "audio/mp4", True),
        ("audio/webm", "video/webm", True),
        ("image/jpeg", "video/mp4", False),
        ("video/mp4", "text/html", False),
        ("image/png", "application/zip", False),
    ],
)
def test_what_may_pass_for_what(said, found, passes):
    """One picture passes for another and one recording for another; nothing else does."""
    assert agrees(said, found) is passes


@pytest.mark.parametrize(
    ("text", "name", "media_type"),
    [
        ("video/mp4", "x", "video/mp4"),
        (" Video/MP4 ; codecs=avc1", "x", "video/mp4"),
        ("", "clip.MKV", "video/x-matroska"),
        ("application/octet-stream", "a.b.webp", "image/webp"),
        ("", "noextension", UNKNOWN),
        ("", "page.html", "text/html"),
    ],
)
def test_type_as_it_is_said(text, name, media_type):
    """Parameters go; where nothing useful is said the name counts."""
    assert read_type(text, name) == media_type


@pytest.mark.parametrize("text", ["video", "/mp4", "video/mp4\r\nx-a: b", "video/m p4", "ü/x", "a/" + "b" * 100])
def test_type_that_is_none(text):
    """What could not stand in a header is refused."""
    with pytest.raises(UploadTypeRefused):
        read_type(text)


@given(st.text(max_size=50))
def test_any_name(name):
    """No name makes it raise."""
    assert "/" in guess_type(name)
