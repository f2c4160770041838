"""URLs that lead to playlists and frames, and what stands in playlists while an asset is not whole."""

from urllib.parse import parse_qs, urlsplit

import pytest

from mediaplane.access.playback import _starting_at, _still_growing, _without_holes, frame_url, playback_url
from mediaplane.catalog.playback import HlsSegment
from mediaplane.media.playlists import media_playlist

URL = "http://127.0.0.1:8420"


def segments(*chunks: int) -> list[HlsSegment]:
    return [
        HlsSegment("360p", chunk, position, "s3", f"c{chunk}_{position}.m4s", f"c{chunk}_init.mp4", 6_000_000, 1)
        for chunk in chunks
        for position in (0, 1)
    ]


def test_playback_url_from_the_beginning():
    """Without a start the URL is the plain one, so that all viewers share it."""
    assert playback_url(URL, "a1", "T") == f"{URL}/v1/assets/a1/hls/index.m3u8?token=T"


@pytest.mark.parametrize(
    ("start_ms", "text"), [(1, "0.001"), (1500, "1.5"), (20_000, "20"), (12_345_678, "12345.678"), (10**9, "1000000")]
)
def test_playback_url_from_a_moment(start_ms, text):
    """The start stands to the millisecond in query and fragment, however long the recording."""
    parts = urlsplit(playback_url(URL, "a1", "T", start_ms=start_ms))
    assert parse_qs(parts.query) == {"token": ["T"], "start": [text]}
    assert parts.fragment == f"t={text}"


def test_frame_url():
    """A segment without a frame has no URL of one."""
    assert frame_url(URL, "a1", "T", 0) == f"{URL}/v1/assets/a1/frames/0.jpg?token=T"
    assert frame_url(URL, "a1", "T", None) is None


@pytest.mark.parametrize(
    ("chunks", "playable"), [((), 0), ((1, 2), 0), ((0,), 2), ((0, 1, 2), 6), ((0, 2), 2), ((0, 1, 3, 4), 4)]
)
def test_segments_without_holes(chunks, playable):
    """Only what follows from the beginning without a hole can be played while chunks are still missing."""
    found = segments(*chunks)
    assert list(_without_holes(found)) == found[:playable]


def test_playlist_still_growing():
    """A playlist of an unfinished asset tells players to come back."""
    text = _still_growing(media_playlist(segments(0), str))
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in text
    assert "ENDLIST" not in text
    assert "VOD" not in text


def test_playlist_with_a_start():
    """The start stands behind the first line, which nothing may precede."""
    text = _starting_at(media_playlist(segments(0), str), 12_345.678)
    assert text.startswith("#EXTM3U\n#EXT-X-START:TIME-OFFSET=12345.678,PRECISE=YES\n#EXT-X-VERSION")
