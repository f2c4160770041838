"""Names of downloads: from titles that people wrote, for headers and file systems."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.filenames import clean_stem, content_disposition, download_name


@pytest.mark.parametrize(
    ("title", "role", "key", "expected"),
    [
        ("Talk.mov", "original", "videos/original/a/master.mp4", "Talk.mp4"),
        ("Talk v1.2", "original", "a/master.MP4", "Talk v1.MP4"),
        ("Größe: 1/2", "proxy", "a/proxy.mp4", "Größe_ 1_2.mp4"),
        ("Talk", "frame", "frames/a/1500.jpg", "Talk 1500.jpg"),
        ("Talk", "clip", "videos/clips/a/c1.mp4", "Talk c1.mp4"),
        ("../../etc/passwd", "original", "a/noextension", "_.._etc_passwd.mp4"),
        ("", "poster", "a/poster.jpg", "download.jpg"),
        ("nul", "poster", "a/poster.jpg", "_nul.jpg"),
        (" . ", "original", "a/x.mp4", "download.mp4"),
    ],
)
def test_name_of_a_download(title, role, key, expected):
    """The title with the object's own extension, no path in it, and the object's name where there are many."""
    assert download_name(title, role=role, key=key, content_type="video/mp4") == expected


@given(st.text(max_size=400))
def test_stem_of_any_title(title):
    """Whatever a title is, a file system takes it."""
    stem = clean_stem(title)
    assert stem and len(stem.encode()) <= 181
    assert not set(stem) & set('\\/:*?"<>|\r\n\0')
    assert stem == stem.strip(" .")


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=80))
def test_disposition_of_any_name(name):
    """The header is one line of ASCII, and the name comes out of it as it went in."""
    header = content_disposition(name)
    assert header.isascii() and header.isprintable()
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name
    assert header.count('"') == 2
