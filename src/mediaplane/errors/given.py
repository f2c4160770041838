"""What people and programs gave us and cannot be used so."""

from mediaplane.errors.base import MediaplaneError


class SettingInvalid(MediaplaneError):
    """A setting has a value it may not have; the message names it and what is allowed."""

    code = "setting_invalid"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class InvalidId(MediaplaneError):
    """An id is not `[A-Za-z0-9_-]{1,64}`."""

    code = "invalid_id"


class InvalidKey(MediaplaneError):
    """An object key no store accepts, or one outside the layout."""

    code = "invalid_key"


class InvalidPlace(MediaplaneError):
    """A source or target of a transfer that is none, or that cannot be used so."""

    code = "invalid_place"


class InvalidTimecode(MediaplaneError):
    """A time that cannot be read."""

    code = "invalid_timecode"


class InvalidRange(MediaplaneError):
    """A time or byte range that is empty, reversed or outside the media."""

    code = "invalid_range"


class InvalidQuery(MediaplaneError):
    """A search that cannot be understood, or a page cursor of another search."""

    code = "invalid_query"


class InvalidReplay(MediaplaneError):
    """A replay of a stage that there is not, or with a parameter or a value that it may not have."""

    code = "invalid_replay"


class InvalidWebhook(MediaplaneError):
    """A webhook's URL or types that cannot be used."""

    code = "invalid_webhook"


class InvalidNotice(MediaplaneError):
    """A body or message that is nothing a bucket tells of its objects."""

    code = "invalid_notice"


class InvalidHighlights(MediaplaneError):
    """A highlights.json that cannot be taken; the message says what is wrong with it."""

    code = "invalid_highlights"


class HighlightsChanged(MediaplaneError):
    """The highlights.json that is there is not the version that was named."""

    code = "highlights_changed"


class InvalidStyle(MediaplaneError):
    """A style that clips are not cut in here (CLIP_STYLES)."""

    code = "invalid_style"
