"""Uploads that cannot go on as they were asked to."""

from mediaplane.errors.base import MediaplaneError


class UploadError(MediaplaneError):
    """An upload that cannot go on as it was asked to."""

    code = "upload_error"


class UploadTooLarge(UploadError):
    """More bytes than an upload may have (MEDIAPLANE_UPLOAD_MAX_MB)."""

    code = "upload_too_large"


class UploadTypeRefused(UploadError):
    """A type that is not taken (MEDIAPLANE_UPLOAD_TYPES), or bytes that are not what was said."""

    code = "upload_type_refused"


class UploadIncomplete(UploadError):
    """The store does not have all of the bytes; the upload stays open for the rest."""

    code = "upload_incomplete"


class UploadChanged(UploadError):
    """The bytes were replaced while they were verified, or after."""

    code = "upload_changed"


class AlreadyWritten(UploadError):
    """The link was used: its object is there already, as after a PUT whose answer was lost; complete the upload."""

    code = "already_written"


class ChecksumMismatch(UploadError):
    """The bytes are not those whose checksum was given."""

    code = "checksum_mismatch"


class PartsInvalid(UploadError):
    """Part numbers or etags that cannot be, or that are not what the store has."""

    code = "parts_invalid"


class UploadClosed(UploadError):
    """The upload was completed, refused or aborted before."""

    code = "upload_closed"


class UploadBusy(UploadError):
    """Another request is completing the upload just now; ask again."""

    code = "upload_busy"
    retryable = True
