"""Every error raised on purpose, in one tree, each with a stable code.

    MediaplaneError
    ├── SettingInvalid           setting_invalid        a setting has a value it may not have
    ├── NotRunning               not_running            no `mediaplane up` in the state directory
    ├── ServiceFailed            service_failed         an embedded server did not start or died
    ├── DatabaseUnavailable      database_unavailable   PostgreSQL cannot be reached
    ├── SchemaOutOfDate          schema_out_of_date     migrations are missing, or newer than this release
    ├── InvalidId, InvalidKey, InvalidTimecode, InvalidQuery, InvalidRange
    ├── InvalidReplay            invalid_replay         a stage or a parameter that no replay has
    ├── InvalidPlace             invalid_place          no s3://bucket/key, path or stream that can be used so
    ├── NotFound
    │   ├── AssetNotFound        asset_not_found
    │   ├── ObjectNotFound       object_not_found       nothing is stored at the key
    │   ├── ClipNotFound         clip_not_found
    │   ├── UploadNotFound       upload_not_found
    │   ├── TaskNotFound         task_not_found         no task with the id, in this team
    │   ├── SubmissionNotFound   submission_not_found   no submission with the id, that one may see
    │   ├── ReviewLinkNotFound   review_link_not_found  no link with the id, of this submission
    │   ├── KeyNotFound          key_not_found          no API key with the id
    │   ├── PlanNotFound         plan_not_found         no plan of the name in the profile
    │   ├── HighlightsNotFound   highlights_not_found   an asset without highlights.json
    │   ├── PurgeNotFound        purge_not_found        no purge with the id
    │   └── WebhookNotFound      webhook_not_found      no webhook endpoint with the id
    ├── RateLimited              rate_limited           too many requests in a short time
    ├── QuotaExceeded            quota_exceeded         beyond a limit of the owner's plan
    ├── InvalidWebhook           invalid_webhook        a webhook's URL or types that cannot be used
    ├── InvalidNotice            invalid_notice         nothing that a bucket tells of its objects
    ├── CredentialsInvalid       credentials_invalid    no key or token, or one that is wrong, expired or revoked
    ├── NotPermitted             not_permitted          the role or the scopes do not allow it to anybody's rows
    ├── IdentityUnavailable      identity_unavailable   the keys that tokens are checked with cannot be fetched
    ├── UploadError              upload_error           an upload that cannot go on as it was asked to
    │   ├── UploadTooLarge       upload_too_large       more bytes than an upload may have
    │   ├── UploadTypeRefused    upload_type_refused    a type that is not taken, or bytes that are not what was said
    │   ├── UploadIncomplete     upload_incomplete      the store does not have all of the bytes
    │   ├── AlreadyWritten       already_written        the link was used: its object is there; complete the upload
    │   ├── UploadChanged        upload_changed         the bytes were replaced while they were verified
    │   ├── ChecksumMismatch     checksum_mismatch      the bytes are not those whose checksum was given
    │   ├── PartsInvalid         parts_invalid          part numbers or etags that cannot be
    │   ├── UploadClosed         upload_closed          it was completed, refused or aborted before
    │   └── UploadBusy           upload_busy            another request is completing it just now
    ├── TaskError                task_error             a task that takes no upload of this kind
    │   ├── TaskClosed           task_closed            it was closed, or its deadline has passed
    │   └── TaskFull             task_full              it has all that it takes, in all or of this contributor
    ├── SubmissionError          submission_error       a submission that cannot go on as it was asked to
    │   ├── SubmissionDuplicate  submission_duplicate   the same bytes were sent in for the task before
    │   └── SubmissionClosed     submission_closed      it takes no other upload in its state
    ├── ReviewNotHeld            review_not_held        the validator does not hold the submission, or not any more
    ├── KeyReused                idempotency_key_reused an Idempotency-Key of another request
    ├── RequestBusy              idempotency_key_busy   the first request with this Idempotency-Key is still at work
    ├── AssetNotReady            asset_not_ready        it is still being processed, or never will be ready
    ├── InvalidHighlights        invalid_highlights     a highlights.json that cannot be taken
    ├── HighlightsChanged        highlights_changed     somebody else wrote highlights.json meanwhile
    ├── InvalidStyle             invalid_style          a style that clips are not cut in here
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

from mediaplane.errors.access import (
    AccessDenied,
    AssetNotReady,
    CredentialsInvalid,
    IdentityUnavailable,
    KeyReused,
    LinkInvalid,
    NotPermitted,
    QuotaExceeded,
    RateLimited,
    RequestBusy,
)
from mediaplane.errors.base import MediaplaneError
from mediaplane.errors.given import (
    HighlightsChanged,
    InvalidHighlights,
    InvalidId,
    InvalidKey,
    InvalidNotice,
    InvalidPlace,
    InvalidQuery,
    InvalidRange,
    InvalidReplay,
    InvalidStyle,
    InvalidTimecode,
    InvalidWebhook,
    SettingInvalid,
)
from mediaplane.errors.media import (
    MediaEmpty,
    MediaError,
    MediaTooLarge,
    MediaTruncated,
    MediaUnreadable,
    MediaUnsupported,
)
from mediaplane.errors.missing import (
    AssetNotFound,
    ClipNotFound,
    HighlightsNotFound,
    KeyNotFound,
    NotFound,
    ObjectNotFound,
    PlanNotFound,
    PurgeNotFound,
    ReviewLinkNotFound,
    SubmissionNotFound,
    TaskNotFound,
    UploadNotFound,
    WebhookNotFound,
)
from mediaplane.errors.reviews import (
    ReviewNotHeld,
    SubmissionClosed,
    SubmissionDuplicate,
    SubmissionError,
    TaskClosed,
    TaskError,
    TaskFull,
)
from mediaplane.errors.services import (
    DatabaseUnavailable,
    LeaseLost,
    NotRunning,
    RunCancelled,
    SchemaOutOfDate,
    ServiceFailed,
    StorageError,
    ToolFailed,
    Unexpected,
    WorkerLost,
)
from mediaplane.errors.uploads import (
    AlreadyWritten,
    ChecksumMismatch,
    PartsInvalid,
    UploadBusy,
    UploadChanged,
    UploadClosed,
    UploadError,
    UploadIncomplete,
    UploadTooLarge,
    UploadTypeRefused,
)

__all__ = [
    "AccessDenied",
    "AlreadyWritten",
    "AssetNotFound",
    "AssetNotReady",
    "ChecksumMismatch",
    "ClipNotFound",
    "CredentialsInvalid",
    "DatabaseUnavailable",
    "HighlightsChanged",
    "HighlightsNotFound",
    "IdentityUnavailable",
    "InvalidHighlights",
    "InvalidId",
    "InvalidKey",
    "InvalidNotice",
    "InvalidPlace",
    "InvalidQuery",
    "InvalidRange",
    "InvalidReplay",
    "InvalidStyle",
    "InvalidTimecode",
    "InvalidWebhook",
    "KeyNotFound",
    "KeyReused",
    "LeaseLost",
    "LinkInvalid",
    "MediaEmpty",
    "MediaError",
    "MediaTooLarge",
    "MediaTruncated",
    "MediaUnreadable",
    "MediaUnsupported",
    "MediaplaneError",
    "NotFound",
    "NotPermitted",
    "NotRunning",
    "ObjectNotFound",
    "PartsInvalid",
    "PlanNotFound",
    "PurgeNotFound",
    "QuotaExceeded",
    "RateLimited",
    "RequestBusy",
    "ReviewLinkNotFound",
    "ReviewNotHeld",
    "RunCancelled",
    "SchemaOutOfDate",
    "ServiceFailed",
    "SettingInvalid",
    "StorageError",
    "SubmissionClosed",
    "SubmissionDuplicate",
    "SubmissionError",
    "SubmissionNotFound",
    "TaskClosed",
    "TaskError",
    "TaskFull",
    "TaskNotFound",
    "ToolFailed",
    "Unexpected",
    "UploadBusy",
    "UploadChanged",
    "UploadClosed",
    "UploadError",
    "UploadIncomplete",
    "UploadNotFound",
    "UploadTooLarge",
    "UploadTypeRefused",
    "WebhookNotFound",
    "WorkerLost",
]
