"""Every error raised on purpose, in one tree, each with a stable code.

    MediaplaneError
    ├── SettingInvalid           setting_invalid        a setting has a value it may not have
    ├── NotRunning               not_running            no `mediaplane up` in the state directory
    ├── ServiceFailed            service_failed         an embedded server did not start or died
    ├── DatabaseUnavailable      database_unavailable   PostgreSQL cannot be reached
    ├── SchemaOutOfDate          schema_out_of_date     migrations are missing, or newer than this release
    ├── InvalidId, InvalidKey, InvalidTimecode, InvalidQuery, InvalidRange
    ├── InvalidPlace             invalid_place          no s3://bucket/key, path or stream that can be used so
    ├── NotFound
    │   ├── AssetNotFound        asset_not_found
    │   ├── ObjectNotFound       object_not_found       nothing is stored at the key
    │   ├── ClipNotFound         clip_not_found
    │   ├── UploadNotFound       upload_not_found
    │   ├── KeyNotFound          key_not_found          no API key with the id
    │   └── WebhookNotFound      webhook_not_found      no webhook endpoint with the id
    ├── RateLimited              rate_limited           too many requests in a short time
    ├── InvalidWebhook           invalid_webhook        a webhook's URL or types that cannot be used
    ├── CredentialsInvalid       credentials_invalid    no key or token, or one that is wrong, expired or revoked
    ├── NotPermitted             not_permitted          the role or the scopes do not allow it to anybody's rows
    ├── IdentityUnavailable      identity_unavailable   the keys that tokens are checked with cannot be fetched
    ├── UploadError              upload_error           an upload that cannot go on as it was asked to
    │   ├── UploadTooLarge       upload_too_large       more bytes than an upload may have
    │   ├── UploadTypeRefused    upload_type_refused    a type that is not taken, or bytes that are not what was said
    │   ├── UploadIncomplete     upload_incomplete      the store does not have all of the bytes
    │   ├── UploadChanged        upload_changed         the bytes were replaced while they were verified
    │   ├── ChecksumMismatch     checksum_mismatch      the bytes are not those whose checksum was given
    │   ├── PartsInvalid         parts_invalid          part numbers or etags that cannot be
    │   ├── UploadClosed         upload_closed          it was completed, refused or aborted before
    │   └── UploadBusy           upload_busy            another request is completing it just now
    ├── KeyReused                idempotency_key_reused an Idempotency-Key of another request
    ├── RequestBusy              idempotency_key_busy   the first request with this Idempotency-Key is still at work
    ├── AssetNotReady            asset_not_ready        nothing of it can be played yet
    ├── AccessDenied             access_denied          the store refused the credentials
    ├── LinkInvalid              link_invalid           a signed link is wrong or has expired
    ├── StorageError             storage_error          anything else a store said
    ├── LeaseLost                lease_lost             another worker owns the run now
    ├── RunCancelled             run_cancelled          the run was cancelled while it worked
    ├── WorkerLost               worker_lost            the worker of a run fell silent, too often in the end
    ├── Unexpected               unexpected             a fault of ours; the worker's log has it
    └── MediaError               bad media or a tool that failed on it; never retried
        ├── MediaEmpty           media_empty            zero bytes
        ├── MediaUnreadable      media_unreadable       no decoder understands it
        ├── MediaTruncated       media_truncated        it ends too early to be used
        ├── MediaUnsupported     media_unsupported      readable, but nothing in it we can use
        └── MediaTooLarge        media_too_large        beyond the limits for decoding
    ToolFailed                   tool_failed            a child process failed for a reason that may pass

`message` is a sentence for people; it says what is wrong and, where we know, what to do.
"""


class MediaplaneError(Exception):
    """Base of all; `retryable` is set where the error is born, only `jobs` acts on it."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retryable is not None:
            self.retryable = retryable


class SettingInvalid(MediaplaneError):
    """A setting has a value it may not have; the message names it and what is allowed."""

    code = "setting_invalid"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class NotRunning(MediaplaneError):
    """No `mediaplane up` runs in the state directory and no DATABASE_URL is set."""

    code = "not_running"


class ServiceFailed(MediaplaneError):
    """An embedded server (PostgreSQL, SeaweedFS, gateway) did not start or died."""

    code = "service_failed"


class DatabaseUnavailable(MediaplaneError):
    """PostgreSQL cannot be reached."""

    code = "database_unavailable"
    retryable = True


class SchemaOutOfDate(MediaplaneError):
    """Migrations are missing, or the database is newer than this release."""

    code = "schema_out_of_date"


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


class NotFound(MediaplaneError):
    """Base of what is not there."""

    code = "not_found"


class AssetNotFound(NotFound):
    """No asset with the id, for this owner."""

    code = "asset_not_found"

    def __init__(self, asset_id: str) -> None:
        super().__init__(f"there is no asset {asset_id}")


class ObjectNotFound(NotFound):
    """Nothing is stored at the key, or its bucket is missing."""

    code = "object_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored at {key}")
        self.key = key


class ClipNotFound(NotFound):
    """No clip with the id."""

    code = "clip_not_found"

    def __init__(self, clip_id: str) -> None:
        super().__init__(f"there is no clip {clip_id}")


class WebhookNotFound(NotFound):
    """No webhook endpoint with the id, or no delivery of it."""

    code = "webhook_not_found"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"there is no webhook {endpoint_id}: `mediaplane webhook ls` lists them")


class RateLimited(MediaplaneError):
    """Too many requests in a short time."""

    code = "rate_limited"
    retryable = True


class InvalidWebhook(MediaplaneError):
    """A webhook's URL or types that cannot be used."""

    code = "invalid_webhook"


class KeyNotFound(NotFound):
    """No API key with the id."""

    code = "key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id}: `mediaplane key ls` lists them")


class UploadNotFound(NotFound):
    """No upload with the id, for this owner."""

    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no upload {upload_id}")


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


class KeyReused(MediaplaneError):
    """An Idempotency-Key that another request had before."""

    code = "idempotency_key_reused"


class RequestBusy(MediaplaneError):
    """The first request with this Idempotency-Key is still at work; ask again."""

    code = "idempotency_key_busy"
    retryable = True


class CredentialsInvalid(MediaplaneError):
    """No key or token was sent, or one that is wrong, expired or revoked."""

    code = "credentials_invalid"


class NotPermitted(MediaplaneError):
    """The role or the scopes do not allow it, to anybody's rows."""

    code = "not_permitted"


class IdentityUnavailable(MediaplaneError):
    """The keys that tokens are checked with cannot be fetched."""

    code = "identity_unavailable"
    retryable = True


class AssetNotReady(MediaplaneError):
    """Nothing of the asset can be played yet."""

    code = "asset_not_ready"
    retryable = True


class AccessDenied(MediaplaneError):
    """The store refused the credentials for this key; keys that may not list get this for a missing key too."""

    code = "access_denied"

    def __init__(
        self, key: str, problem: str = "check the keys and their permissions", *, keys_known: bool = False
    ) -> None:
        super().__init__(f"the store refused access to {key}: {problem}")
        self.key = key
        self.keys_known = keys_known  # the store knows the keys; they lack the permission, or nothing is stored there


class LinkInvalid(MediaplaneError):
    """A signed link is wrong or has expired."""

    code = "link_invalid"


class StorageError(MediaplaneError):
    """Anything else a store said; `retryable` tells whether to try again."""

    code = "storage_error"


class LeaseLost(MediaplaneError):
    """Another worker owns the run now; what this one made is dropped."""

    code = "lease_lost"


class RunCancelled(MediaplaneError):
    """The run was cancelled while it worked."""

    code = "run_cancelled"


class WorkerLost(MediaplaneError):
    """The worker of a run fell silent: it was killed, or cut off from the database."""

    code = "worker_lost"
    retryable = True


class Unexpected(MediaplaneError):
    """A fault of ours; the worker's log has it."""

    code = "unexpected"
    retryable = True


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


class ToolFailed(MediaplaneError):
    """A child process failed for a reason that may pass."""

    code = "tool_failed"
    retryable = True
