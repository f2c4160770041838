"""HLS playlists as text, from rows and a way to make URLs.

Source for every tag: RFC 8216; version 7 because fragmented MP4 with `EXT-X-MAP` is played by it everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

TARGET_SECONDS = 6  # segments are made this long at most; said even of short ones, so that it never has to grow
AUDIO_GROUP = "sound"


class RenditionRow(Protocol):
    """What a master playlist says about one rendition."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...  # video or audio
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def frame_rate(self) -> float | None: ...
    @property
    def bandwidth(self) -> int: ...  # bits per second, peak
    @property
    def codecs(self) -> str: ...
    @property
    def language(self) -> str: ...  # of sound, as the file says it; empty where it does not
    @property
    def title(self) -> str: ...


class SegmentRow(Protocol):
    """What a media playlist says about one segment."""

    @property
    def key(self) -> str: ...
    @property
    def init_key(self) -> str: ...
    @property
    def duration_us(self) -> int: ...


def master_playlist(renditions: Sequence[RenditionRow], url: Callable[[str], str]) -> str:
    """Return the master playlist; `url` gives the URL of a rendition's playlist by its name.

    Sound is a group of its own that every picture uses. Sound alone is a variant by itself.
    """
    videos = [rendition for rendition in renditions if rendition.kind == "video"]
    sounds = [rendition for rendition in renditions if rendition.kind == "audio"]
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if videos and sounds:
        lines += [_media(sound, url, number) for number, sound in enumerate(sounds)]
    for rendition in videos or sounds:
        lines += [_variant(rendition, sounds if videos else []), url(rendition.name)]
    return "\n".join(lines) + "\n"


def _media(sound: RenditionRow, url: Callable[[str], str], number: int) -> str:
    chosen = "YES" if number == 0 else "NO"
    language = _quotable(sound.language)
    said = f'LANGUAGE="{language}",' if language else ""
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{AUDIO_GROUP}",NAME="{_label(sound, number)}",{said}'
        f'DEFAULT={chosen},AUTOSELECT=YES,URI="{url(sound.name)}"'
    )


def _label(sound: RenditionRow, number: int) -> str:
    """Return what a menu of a player shows; the number keeps names of one group different, as the RFC wants them."""
    told = _quotable(sound.title or sound.language)
    if not told:
        return sound.name
    return told if number == 0 else f"{told} ({number + 1})"


def _quotable(text: str) -> str:
    """Return `text` without what a quoted string may not have. Source: RFC 8216, section 4.2."""
    return "".join(char for char in text if char.isprintable() and char != '"')


def _variant(rendition: RenditionRow, sounds: Sequence[RenditionRow]) -> str:
    """Return the line of a variant; its bandwidth and codecs are those of picture and sound together."""
    bandwidth = rendition.bandwidth + max((sound.bandwidth for sound in sounds), default=0)
    codecs = ",".join(dict.fromkeys([rendition.codecs, *(sound.codecs for sound in sounds)]))
    line = f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="{codecs}"'
    if rendition.width and rendition.height:
        line += f",RESOLUTION={rendition.width}x{rendition.height}"
    if rendition.frame_rate:
        line += f",FRAME-RATE={rendition.frame_rate:.3f}"
    return line + (f',AUDIO="{AUDIO_GROUP}"' if sounds else "")


def media_playlist(segments: Sequence[SegmentRow], url: Callable[[str], str]) -> str:
    """Return the playlist of one rendition, whole; `url` gives the URL of an object by its key.

    `url` is called once for each segment and once wherever another init section begins. About 1 µs a segment and
    what `url` takes.
    """
    longest_us = max((segment.duration_us for segment in segments), default=0)
    target_seconds = max(TARGET_SECONDS, (longest_us + 500_000) // 1_000_000)  # rounded, as the RFC compares it
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{target_seconds}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    init_key = None
    for segment in segments:
        if segment.init_key != init_key:
            init_key = segment.init_key
            lines.append(f'#EXT-X-MAP:URI="{url(init_key)}"')
        seconds, rest_us = divmod(segment.duration_us, 1_000_000)
        lines.append(f"#EXTINF:{seconds}.{rest_us:06},\n{url(segment.key)}")
    lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"
