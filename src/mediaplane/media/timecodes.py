"""Times as people write them, in whole milliseconds."""

import re

from mediaplane.errors import InvalidTimecode

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d{1,2}(?:\.\d{1,3})?)")
_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d{1,3})?)s)?(?:(\d+)ms)?")


def parse_timecode(text: str) -> int:
    """Return the milliseconds of `1:02:03.5`, `62:03`, `3.5`, `1h2m3.5s` or `1500ms`.

    Raises:
        InvalidTimecode: it is none of these.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d{1,3})?", stripped):
        return round(float(stripped) * 1000)
    if clock := _CLOCK.fullmatch(stripped):
        hours, minutes, seconds = clock.groups()
        return round((int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)) * 1000)
    units = _UNITS.fullmatch(stripped)
    if stripped and units:
        hours, minutes, seconds, millis = units.groups()
        whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
        return round(whole * 1000) + int(millis or 0)
    raise InvalidTimecode(f"{text!r} is no time: write 1:02:03.5, 62:03, 3.5 (seconds), 1h2m3s or 1500ms")


def format_timecode(timestamp_ms: int) -> str:
    """Return `M:SS.mmm`, or `H:MM:SS.mmm` from one hour on."""
    seconds, millis = divmod(timestamp_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}.{millis:03}" if hours else f"{minutes}:{seconds:02}.{millis:03}"
