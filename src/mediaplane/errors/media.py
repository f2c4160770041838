"""Media that nothing can be made of."""

from mediaplane.errors.base import MediaplaneError


class MediaError(MediaplaneError):
    """Bad media; never retried."""

    code = "media_error"


class MediaEmpty(MediaError):
    """Zero bytes."""

    code = "media_empty"


class MediaUnreadable(MediaError):
    """No decoder understands it."""

    code = "media_unreadable"


class MediaTruncated(MediaError):
    """It ends too early to be used."""

    code = "media_truncated"


class MediaUnsupported(MediaError):
    """Readable, but nothing in it we can use."""

    code = "media_unsupported"


class MediaTooLarge(MediaError):
    """Beyond the limits for decoding."""

    code = "media_too_large"
