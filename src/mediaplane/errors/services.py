"""Servers, stores and workers that fail."""

from mediaplane.errors.base import MediaplaneError


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


class ToolFailed(MediaplaneError):
    """A child process failed for a reason that may pass."""

    code = "tool_failed"
    retryable = True
