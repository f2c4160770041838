"""Who may not, not yet, or no more."""

from mediaplane.errors.base import MediaplaneError


class RateLimited(MediaplaneError):
    """Too many requests in a short time."""

    code = "rate_limited"
    retryable = True


class QuotaExceeded(MediaplaneError):
    """Beyond a limit of the owner's plan; `larger_plans` are those in which it would fit."""

    code = "quota_exceeded"

    def __init__(
        self,
        message: str,
        *,
        resource: str,
        limit: float,
        usage: float,
        requested: float,
        plan: str,
        larger_plans: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.resource = resource
        self.limit = limit
        self.usage = usage
        self.requested = requested
        self.plan = plan
        self.larger_plans = larger_plans


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
    """The asset is still being processed, or failed and never will be ready.

    `share` (0 to 1) is done and `stages` are at work; after `retry_seconds` it is worth asking again. None of them
    for an asset that will not become ready by waiting.
    """

    code = "asset_not_ready"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        share: float | None = None,
        stages: tuple[str, ...] = (),
        retry_seconds: int | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.share = share
        self.stages = stages
        self.retry_seconds = retry_seconds


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
